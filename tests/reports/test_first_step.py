"""The first screen answers whether the run held, why not, and what to do first."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reports.model import Report
from reports.render import charts, sentences
from reports.render.first_step import first_step
from reports.render.sections.answers import in_short
from reports.render.tree import Table
from reports.summary.build import build_report
from tests.reports.folders import write_rows
from tests.reports.six_kinds import CALM, SPIKES, failing
from tests.simulator import Story, simulate


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return build_report([failing(tmp_path_factory.mktemp("failed"))])


def test_a_missed_run_names_its_failures_and_the_content_of_their_answers(failed: Report) -> None:
    """The failures are ordered by count: 802 of a broken endpoint, 604 of an overload, 478 of an invalid payload."""
    held = sentences.cards(failed)[0]
    assert held.value == "No"
    assert held.lines[1:] == (
        "802 × HTTP 500 of POST /items/{id}: Internal Server Error.",
        "604 × HTTP 503 of POST /predict: queue is full.",
        "478 × HTTP 422 of POST /search: body.income: Field required.",
    )


def test_the_first_thing_to_do_about_failures_is_to_look_at_the_most_frequent(failed: Report) -> None:
    assert first_step(failed) == "Look first at 802 × HTTP 500 of POST /items/{id}: Internal Server Error."


def test_an_outage_names_the_endpoints_that_failed_in_its_own_way(failed: Report) -> None:
    """In the same seconds, a quarter of /search fails with 422, which is not part of the outage of status 500."""
    assert {outage.kind: outage.endpoints for outage in failed.runs[0].outages} == {
        "status 500": ["POST /items/{id}"],
        "status 503": ["POST /predict"],
    }


def test_the_first_thing_to_do_about_a_spike_is_the_setting_that_removes_it(tmp_path: Path) -> None:
    report = build_report([simulate(tmp_path / "run", SPIKES, 2).path])
    assert first_step(report).startswith("Try first --min-instances 1: one instance kept warm removes the first spike")
    worst = max(report.runs[0].spikes, key=lambda spike: spike.peak_ms)
    assert worst.evidence[0] in sentences.cards(report)[1].lines


def test_a_calm_run_asks_for_nothing(tmp_path: Path) -> None:
    """A maximum number of instances is recommended, but only as a protection, so it is not a first step."""
    report = build_report([simulate(tmp_path / "run", CALM, 1).path])
    assert report.runs[0].advice
    assert first_step(report) == ""


def test_the_first_thing_to_do_about_a_short_run_is_a_longer_one(tmp_path: Path) -> None:
    report = build_report([simulate(tmp_path / "run", Story(seconds=5, users=8.0), 3).path])
    assert first_step(report).startswith("Run it for longer: p95 needs more requests, and spikes need ")


def test_a_short_run_with_many_requests_lacks_time_and_not_requests(tmp_path: Path) -> None:
    folder = write_rows(tmp_path / "run", latency_us=[5000] * 1000)
    report = build_report([folder.path])
    assert first_step(report) == "Run it for longer: spikes need at least 60 requests and 20 s."
    assert sentences.headlines(report)[0].endswith("too short a time to look for spikes.")
    (run,) = report.runs
    assert first_step(report.model_copy(update={"runs": [run.model_copy(update={"outcome": "running"})]})) == ""


def test_a_table_of_many_runs_holds_each_against_the_first(tmp_path: Path) -> None:
    """There are three labels.

    The baseline shows no difference. The other two reports show the difference of p95 with its interval. No line
    precedes the table.
    """
    folders = [simulate(tmp_path / label, story, 1) for label, story in (("v1", CALM), ("v2", CALM), ("v3", SPIKES))]
    for folder, label in zip(folders, ("v1", "v2", "v3"), strict=True):
        folder.write_run(folder.read_run().model_copy(update={"label": label}))
    first = in_short(build_report([folder.path for folder in folders]))
    (table,) = (block for block in first.blocks if isinstance(block, Table))
    at = [column.head for column in table.columns].index("p95 against v1")
    assert [row[0].text for row in table.rows] == ["v1", "v2", "v3"]
    assert [row[at].text for row in table.rows][:2] == ["–", "+0.0 %"]
    assert "not a fair comparison" in table.rows[2][at].small, "96 users against 60"


def test_six_runs_have_six_colours_and_six_dashes() -> None:
    page = Path(charts.__file__).parent / "page"
    assert set(re.findall(r"--run(\d)-2:", (page / "report.css").read_text())) == set("123456"[: charts.COLOURS])
    (dashes,) = re.findall(r"const dashes = \[(.*)\];", (page / "charts.js").read_text())
    assert len(set(re.findall(r"\[[^\]]*\]", dashes))) == charts.COLOURS == 6


def test_instances_that_cloud_run_does_not_have_recommend_no_setting_of_theirs(tmp_path: Path) -> None:
    """The capacity of an instance with 0.05 vCPU says nothing about a user's instances.

    The wait for a cold start applies to any instance.
    """
    folder = simulate(tmp_path / "run", SPIKES, 2)
    run = folder.read_run()
    limits = run.target.limits.model_copy(update={"cpu": 0.05})
    folder.write_run(run.model_copy(update={"target": run.target.model_copy(update={"limits": limits})}))
    (found,) = build_report([folder.path]).runs
    assert [(item.option, item.value, item.cost) for item in found.advice] == [("--min-instances", "1", None)]


def test_two_differing_runs_must_first_be_made_comparable(tmp_path: Path) -> None:
    """One run has 60 users for 180 s, and the other has 96 users for 240 s."""
    report = build_report([simulate(tmp_path / "a", CALM, 1).path, simulate(tmp_path / "b", SPIKES, 2).path])
    assert first_step(report) == "Before you decide by their difference, run both with the same peak users and length."
