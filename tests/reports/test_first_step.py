"""The first screen answers: did it hold, why not, and what to do first."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.model import Report
from reports.render import sentences
from reports.render.first_step import first_step
from reports.summary.build import build_report
from tests.reports.six_kinds import CALM, SPIKES, failing
from tests.simulator import simulate


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return build_report([failing(tmp_path_factory.mktemp("failed"))])


def test_a_missed_run_says_which_failures_it_missed_by_and_what_their_answers_say(failed: Report) -> None:
    """By count: 802 of a broken endpoint, 604 of an overload, 478 of a payload that is not accepted."""
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
    """A quarter of /search fails too in the same seconds, with 422: that is no part of the outage of status 500."""
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
    """Though a bound on the instances is recommended: it helps against a mistake, and the run has none."""
    report = build_report([simulate(tmp_path / "run", CALM, 1).path])
    assert report.runs[0].advice
    assert first_step(report) == ""
