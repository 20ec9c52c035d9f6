"""A failing run is never shown as passed: one function decides, and every format and the exit code agree with it."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from loadtest.cli.report import exit_code
from reports.model import Report
from reports.render.html import render_html
from reports.render.junit import render_junit
from reports.render.markdown import render_markdown
from reports.render.text import render_text
from reports.summary.build import build_report
from reports.verdict import of_report, of_runs
from tests.reports import sample
from tests.reports.folders import write_rows

OUTCOMES = ("complete", "degraded", "interrupted")
FAILED_SHARES = (0.0, 0.005, 0.05, 1.0)
OBJECTIVES = ([], ["p95 < 1s"], ["error_rate < 20%"], ["p95 < 1ms"], ["p95(drain) < 1s"])
REQUESTS = 200


def expected(outcome: str, share: float, objectives: list[str]) -> str:
    """The verdict that the rules require: missed has priority, and an incomplete run is never held."""
    limit = 0.2 if "error_rate < 20%" in objectives else 0.01
    nothing_answered = share == 1 and any(text.startswith("p95") for text in objectives)
    if share >= limit or ("p95 < 1ms" in objectives and not nothing_answered):
        return "missed"
    return "held" if outcome == "complete" and "p95(drain) < 1s" not in objectives else "undecided"


def report(path: Path, outcome: str, share: float, objectives: list[str], **record: object) -> Report:
    failed = round(share * REQUESTS)
    folder = write_rows(
        path,
        latency_us=[100_000] * REQUESTS,
        outcome=["http_error"] * failed + ["ok"] * (REQUESTS - failed),
        record={"objectives": objectives, "outcome": outcome, **record},
    )
    return build_report([folder.path])


@pytest.mark.parametrize(("outcome", "share"), list(itertools.product(OUTCOMES, FAILED_SHARES)))
def test_every_format_and_the_exit_code_say_the_same(outcome: str, share: float, tmp_path: Path) -> None:
    for at, objectives in enumerate(OBJECTIVES):
        made = report(tmp_path / str(at), outcome, share, list(objectives))
        verdict = of_runs(made.runs).kind
        assert verdict == expected(outcome, share, list(objectives)), (outcome, share, objectives)
        assert made.runs[0].verdict is not None
        assert made.runs[0].verdict.kind == verdict
        assert exit_code(made) == {"held": 0, "missed": 1, "undecided": 3}[verdict]
        value = {"held": "Yes", "missed": "No", "undecided": "Undecided"}[verdict]
        text, markdown, html = render_text(made), render_markdown(made), render_html(made)
        assert of_report(made).kind == verdict
        assert f"Did it hold? {value}" in text
        assert value in markdown
        assert ("card good" in html.partition("Did it hold?")[0].rpartition("<div")[2]) == (verdict == "held")
        suite = ET.fromstring(render_junit(made))[0]
        wrong = int(suite.get("failures") or 0) + int(suite.get("errors") or 0)
        assert (wrong == 0) == (verdict == "held")
        assert ("? Yes" in text) == (verdict == "held")


def test_the_implied_objective_is_shown_as_such_and_may_be_turned_off(tmp_path: Path) -> None:
    made = report(tmp_path / "on", "complete", 0.5, [])
    assert [(objective.text, objective.implied, objective.verdict) for objective in made.runs[0].objectives] == [
        ("error_rate < 1%", True, "missed")
    ]
    assert "error_rate < 1% (implied)" in render_text(made)
    assert "error_rate &lt; 1% (implied)" in render_junit(made)
    off = report(tmp_path / "off", "complete", 0.5, [], options={"default_objective": False})
    assert (off.runs[0].objectives, of_runs(off.runs).kind) == ([], "unjudged")
    assert "? Yes" not in render_text(off)


def test_errors_of_the_scenarios_own_code_count_against_it(tmp_path: Path) -> None:
    """Fifty requests succeed, and fifty KeyErrors follow: half of the intended requests failed."""
    error = {"where": "task", "exception": "KeyError", "message": "'token'", "user_class": "Shopper", "task": "buy"}
    trace = (
        "Traceback (most recent call last):\n  File \"/home/me/locustfile.py\", line 12, in buy\nKeyError: 'token'\n"
    )
    errors = [error | {"count": REQUESTS, "traceback": trace, "worker": "w1"}]
    made = report(tmp_path, "complete", 0.0, [], task_errors=errors)
    assert exit_code(made) == 1
    assert made.runs[0].objectives[0].value == pytest.approx(0.5)
    said = " ".join(render_text(made, brief=True).split())
    assert "none failed, 200 errors in the scenario's own code" in said
    assert "raised KeyError 200 times in Shopper.buy" in said
    assert 'locustfile.py", line 12' in said


@pytest.mark.parametrize("outcome", ["unanswered", "wrong_answer", "timeout", "connection", "check_failed"])
def test_every_way_to_fail_fails(outcome: str, tmp_path: Path) -> None:
    outcomes = ["ok"] * 95 + [outcome] * 5
    folder = write_rows(tmp_path, latency_us=[1000] * 100, outcome=outcomes, record={"objectives": ["p50 < 1s"]})
    made = build_report([folder.path])
    assert exit_code(made) == 1
    assert made.runs[0].totals.failed == 5
    assert made.runs[0].totals.error_ratio == pytest.approx(0.05)


@pytest.mark.parametrize(("unsent", "verdict"), [(1, "held"), (30, "undecided"), (200, "undecided")])
def test_requests_that_the_generator_could_not_send_degrade_a_run_if_they_are_many(
    unsent: int, verdict: str, tmp_path: Path
) -> None:
    """One unsent request of 200 does not matter.

    With 30 unsent requests of 200, or with all 200, the verdict is undecided, not failed.
    """
    outcomes = ["generator"] * unsent + ["ok"] * (REQUESTS - unsent)
    folder = write_rows(tmp_path, latency_us=[1000] * REQUESTS, outcome=outcomes)
    made = build_report([folder.path])
    assert (made.runs[0].totals.failed, made.runs[0].totals.generator) == (0, unsent)
    assert of_runs(made.runs).kind == verdict


def test_of_several_runs_the_worst_counts() -> None:
    held, missed = sample.run(), sample.run()
    held["objectives"] = held["objectives"][:1]
    for runs, verdict in (([held, missed], "missed"), ([held, held | {"outcome": "interrupted"}], "undecided")):
        assert of_runs(sample.report(*runs).runs).kind == verdict
    assert of_runs(sample.report(held, held).runs).kind == "held"
    degraded = sample.report(held | {"outcome": "degraded"}).runs
    assert (of_runs(degraded).kind, of_runs(degraded, allow_degraded=True).kind) == ("undecided", "held")
    interrupted = sample.report(held | {"outcome": "interrupted"}).runs
    assert of_runs(interrupted, allow_degraded=True).kind == "undecided"
