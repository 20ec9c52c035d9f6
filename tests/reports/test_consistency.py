"""A report never contradicts itself: for a set of recorded runs, numbers that appear in several places agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reports.data import formats as f
from reports.model import Report, RunSummary
from reports.render import sentences
from reports.render.html import render_html
from reports.render.markdown import render_markdown
from reports.render.sections import outline
from reports.render.text import render_text
from reports.render.tree import Card, Cards, Table
from reports.summary.build import build_report
from tests.reports.folders import plan, write_rows
from tests.reports.sample import blocks_of
from tests.reports.test_tree import plain
from tests.simulator import Event, Kind, Story, simulate

STORIES = {
    "calm": Story(seconds=120, users=30.0, ramp_s=20),
    "cold": Story(seconds=150, users=40.0, ramp_s=20, events=(Event(Kind.COLD_ZERO, 0, 6, wait_s=6.0),)),
    "slow-warm-up": Story(seconds=240, users=60.0, ramp_s=30, events=(Event(Kind.STUCK, 5, 60, factor=4.0),)),
    "scale-out": Story(seconds=180, users=40.0, ramp_s=20, events=(Event(Kind.SCALE_OUT, 90, 40, factor=5.0),)),
    "stuck-to-the-end": Story(seconds=150, users=40.0, ramp_s=20, events=(Event(Kind.STUCK, 80, 70, factor=4.0),)),
    "errors": Story(seconds=150, users=40.0, ramp_s=20, events=(Event(Kind.ERRORS, 60, 40),)),
    "open-loop": Story(seconds=90, users=30.0, open_loop=True, kind="local"),
    "no-instances": Story(seconds=90, users=30.0, headers=False, gauge="none", load=False, plan=False),
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """A report for each kind of run: normal, cold, saturated, failing, open loop, plain, tiny, broken, compared."""
    home = tmp_path_factory.mktemp("consistent")
    folders = {name: simulate(home / name, story, seed).path for seed, (name, story) in enumerate(STORIES.items())}
    five_seconds = {"scenario": plan((0.0, 1.0), (5.0, 1.0))}
    outcome = ["http_error"] * 80 + ["ok"] * 20
    tiny = {
        "seven": write_rows(home / "seven", latency_us=[9000] * 7, record=five_seconds),
        "one": write_rows(home / "one", latency_us=[5000]),
        "failing": write_rows(
            home / "failing", latency_us=[9000] * 100, outcome=outcome, status=[500] * 80 + [200] * 20
        ),
        "dead": write_rows(home / "dead", latency_us=[2_000_000] * 60, outcome=["timeout"] * 60),
    }
    folders |= {name: folder.path for name, folder in tiny.items()}
    made = {name: build_report([folder]) for name, folder in folders.items()}
    made["pair"] = build_report([folders["calm"], folders["scale-out"]])
    made["four"] = build_report([folders[name] for name in ("calm", "cold", "errors", "scale-out")])
    return made


def each(reports: dict[str, Report]) -> Iterator[tuple[str, Report, RunSummary]]:
    for name, report in reports.items():
        for run in report.runs:
            yield name, report, run


def card(report: Report, title: str) -> Card:
    cards = [card for block in blocks_of(outline(report)) if isinstance(block, Cards) for card in block.cards]
    return next(card for card in cards if card.title.startswith(title))


def table(report: Report, label: str) -> Table | None:
    return next(
        (block for block in blocks_of(outline(report)) if isinstance(block, Table) and block.label == label), None
    )


def test_once_steady_is_the_p95_of_the_steady_phase_everywhere(reports: dict[str, Report]) -> None:
    for name, report, run in each(reports):
        steady = sentences.phase_of(run, "steady")
        if steady is None or not steady.requests or len(report.runs) > 2:
            continue
        p95 = sentences.quantile_of(steady.latency, 0.95)
        headline = " ".join(sentences.headlines(report))
        if p95 and p95.value_ms is not None:
            assert f"p95 {f.ms(p95.value_ms)} once steady" in headline, name
        if len(report.runs) == 1 and p95:
            assert card(report, "Latency").value == f"p95 {f.ms(p95.value_ms)}", name


def test_the_warm_up_ends_when_p95_settled(reports: dict[str, Report]) -> None:
    """The warm-up phase ends when the warm-up table says that it does, or the run has no warm-up phase."""
    for name, _, run in each(reports):
        warm = sentences.phase_of(run, "warmup")
        if warm is None:
            continue
        assert run.warmup.settled_s is not None, name
        assert warm.end_s == pytest.approx(run.warmup.settled_s, abs=0.5), name


def test_spikes_are_counted_consistently(reports: dict[str, Report]) -> None:
    for name, report, _ in each(reports):
        count = sum(len(run.spikes) for run in report.runs)
        listed = table(report, "Spikes")
        assert (len(listed.rows) if listed else 0) == count, name
        if count:
            assert card(report, "p95 spikes").value == f.plural(count, "spike"), name
        else:
            assert "spike" not in card(report, "p95 spikes").value, name
            assert card(report, "p95 spikes").tone != "good", name


def test_failures_are_counted_consistently(reports: dict[str, Report]) -> None:
    """The totals, the list by message, the phase of the whole run and the verdict contain the same failures."""
    for name, report, run in each(reports):
        failed = sentences.failed_of(run)
        assert sum(failure.count for failure in run.failures) == failed, name
        assert sum(run.totals.failures.values()) == failed, name
        whole = sentences.phase_of(run, "all")
        assert whole is not None, name
        assert whole.failures == failed, name
        assert sum(endpoint.failures for endpoint in run.endpoints) == failed, name
        assert ("none failed" in " ".join(sentences.headlines(report))) <= (
            min(sentences.failed_of(run) for run in report.runs) == 0
        ), name


def test_no_positive_verdict_is_shown_for_failures_that_the_implied_objective_forbids(
    reports: dict[str, Report],
) -> None:
    for name, report, run in each(reports):
        if (run.totals.error_ratio or 0) >= 0.01:
            assert card(report, "Did it hold?").tone == "bad", name
            assert card(report, "Did it hold?").value != "Yes", name


def test_recommendations_do_not_contradict_what_the_run_shows(reports: dict[str, Report]) -> None:
    """No recommended maximum is below the instances in use, and a run without instances gets no recommended
    concurrency.
    """
    for name, _, run in each(reports):
        for suggestion in run.advice:
            if suggestion.option == "--max-instances" and run.instances:
                used = max(value or 0 for value in run.series.columns.get("instances_answering", [0]))
                assert int(suggestion.value) >= used, name


def test_a_report_without_spikes_states_the_limits_of_the_search(reports: dict[str, Report]) -> None:
    for name, report in reports.items():
        if any(run.spikes for run in report.runs) or not any(run.totals.ok for run in report.runs):
            continue
        text = plain(render_text(report))
        assert "do not count" in text, name
        if not any(sentences.too_little(run) for run in report.runs):
            assert "The worst single second: p95" in text, name
        else:
            assert card(report, "p95 spikes").value == "Not known", name


def test_the_text_uses_singular_and_plural_correctly(reports: dict[str, Report]) -> None:
    wrong = re.compile(
        r"(?<![\d.,])\b1 (requests|spikes|instances|users|failures|errors|times)\b|\(s\)|\b0 request\b|request-s"
    )
    for name, report in reports.items():
        for render in (render_text, render_markdown, render_html):
            found = wrong.search(plain(render(report).partition("<script")[0]))  # type: ignore[operator] # all take a report
            assert not found, f"{name}: {found}"


def test_no_interval_ends_in_an_absurd_factor(reports: dict[str, Report]) -> None:
    """If one end of an interval is far beyond the other, only the near end is printed, as in "at least 28 times"."""
    for name, report in reports.items():
        assert not re.search(r"… × \d{3}", plain(render_text(report))), name


def test_every_format_renders_every_run(reports: dict[str, Report]) -> None:
    for name, report in reports.items():
        assert len(render_text(report, brief=True)) > 100, name
        assert render_html(report).startswith("<!doctype html>"), name
        assert render_markdown(report).startswith("# "), name


def test_a_run_folder_path_is_never_printed(reports: dict[str, Report], tmp_path: Path) -> None:
    for report in reports.values():
        assert str(tmp_path.parent) not in render_text(report)
