"""Objectives are judged held, missed or undecided, with their numbers; missing data is never a pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.recording.run import AnswerCheckRecord, CheckedEndpointRecord
from reports.analysis.analysis import analyse
from reports.analysis.objectives import Judged
from reports.model import Objective
from tests.reports.folders import plan, write_rows


def judged(path: Path, text: str, **rows: object) -> Objective:
    record = {"objectives": [text], **rows.pop("record", {})}  # type: ignore[arg-type] # columns of the test
    folder = write_rows(path, record=record, **rows)  # type: ignore[arg-type] # columns of the test
    return analyse(folder, folder.read_run()).objectives[0]


FLAT = {"start_s": [at * 0.1 for at in range(600)], "latency_us": [100_000] * 600}
"""60 s at 10 requests/s of 100 ms."""


@pytest.mark.parametrize(
    ("text", "verdict", "value"),
    [
        ("p95 < 101ms", Judged.HELD, 100.0),
        ("p95 < 100ms", Judged.MISSED, 100.0),
        ("p95 <= 100ms", Judged.HELD, 100.0),
        ("p95 > 1s", Judged.MISSED, 100.0),
        ("error_rate < 1%", Judged.HELD, 0.0),
        ("throughput >= 9.9/s", Judged.HELD, 10.0),
        ("throughput >= 10.1/s", Judged.MISSED, 10.0),
        ("p99 < 1s for 10s", Judged.HELD, 100.0),
        ("throughput >= 9/s for 5s", Judged.HELD, 9.8),
        ("p95(drain) < 1s", Judged.UNDECIDED, None),
        ("p99 < 1s for 90s", Judged.UNDECIDED, None),
    ],
)
def test_a_flat_run(tmp_path: Path, text: str, verdict: Judged, value: float | None) -> None:
    found = judged(tmp_path, text, **FLAT)
    assert found.verdict == verdict
    assert found.value == (None if value is None else pytest.approx(value, rel=0.02))
    assert found.why


def test_a_windowed_objective_is_missed_by_its_worst_stretch_alone(tmp_path: Path) -> None:
    start = [at * 0.1 for at in range(600)]
    slow = {"start_s": start, "latency_us": [2_000_000 if 30 <= at < 40 else 100_000 for at in start]}
    assert judged(tmp_path / "a", "p50 < 1s", **slow).verdict == Judged.HELD
    worst = judged(tmp_path / "b", "p50 < 1s for 10s", **slow)
    assert worst.verdict == Judged.MISSED
    assert worst.value == pytest.approx(2000, rel=0.01)
    assert judged(tmp_path / "c", "p50 < 1s for 30s", **slow).verdict == Judged.HELD


def test_a_gap_in_a_windowed_objective_is_undecided(tmp_path: Path) -> None:
    start = [at * 0.1 for at in range(600) if not 20 <= at * 0.1 < 40]
    found = judged(tmp_path, "p95 < 1s for 5s", start_s=start, latency_us=[100_000] * len(start))
    assert found.verdict == Judged.UNDECIDED
    assert "no data" in found.why


def test_a_phase_is_judged_by_its_own_requests(tmp_path: Path) -> None:
    start = [at * 0.1 for at in range(600)]
    rows = {"start_s": start, "latency_us": [900_000 if at < 20 else 100_000 for at in start]}
    record = {"scenario": plan((0, 0), (20, 50), (60, 50))}
    assert judged(tmp_path / "a", "p95(steady) < 300ms", record=record, **rows).verdict == Judged.HELD
    assert judged(tmp_path / "b", "p95 < 300ms", record=record, **rows).verdict == Judged.MISSED


def test_a_run_without_a_success_decides_no_latency(tmp_path: Path) -> None:
    rows = {"latency_us": [1000] * 10, "outcome": ["connection"] * 10}
    assert judged(tmp_path / "a", "p95 < 1s", **rows).verdict == Judged.UNDECIDED
    assert judged(tmp_path / "b", "error_rate < 1%", **rows).verdict == Judged.MISSED
    assert judged(tmp_path / "c", "throughput >= 1/s", **rows).verdict == Judged.MISSED


def _checked(compared: int) -> dict[str, object]:
    endpoint = CheckedEndpointRecord(method="POST", name="/predict", references=5, checked=compared)
    return {"answer_check": AnswerCheckRecord(endpoints=[endpoint])}


def test_wrong_answers_are_judged_by_what_was_compared(tmp_path: Path) -> None:
    """One wrong answer in 600 misses the objective.

    If no answer was compared, or if none could be compared, the objective is undecided.
    """
    rows = {**FLAT, "outcome": ["wrong_answer" if at == 9 else "ok" for at in range(600)]}
    missed = judged(tmp_path / "a", "wrong_answers = 0", record=_checked(550), **rows)
    assert (missed.verdict, missed.value) == (Judged.MISSED, 1)
    assert "550 of 600 answers compared" in missed.why
    assert judged(tmp_path / "b", "wrong_answers <= 1", record=_checked(550), **rows).verdict == Judged.HELD
    assert judged(tmp_path / "c", "wrong_answers = 0", record=_checked(550), **FLAT).verdict == Judged.HELD
    assert judged(tmp_path / "d", "wrong_answers = 0", record=_checked(0), **FLAT).verdict == Judged.UNDECIDED
    assert judged(tmp_path / "e", "wrong_answers = 0", **FLAT).verdict == Judged.UNDECIDED


def test_a_run_whose_answers_were_compared_is_judged_by_them_unless_it_says_otherwise(tmp_path: Path) -> None:
    """The implied objective on answers is added to the one on errors.

    If the scenario has its own objective on answers, that one replaces the implied one.
    """
    folder = write_rows(tmp_path, record={"objectives": ["error_rate < 5%"], **_checked(5)}, **FLAT)
    run = folder.read_run()
    assert [judgement.text for judgement in analyse(folder, run).objectives] == [
        "error_rate < 5%",
        "wrong_answers = 0",
    ]
    own = run.model_copy(update={"objectives": ["error_rate < 5%", "wrong_answers <= 3"]})
    assert len(analyse(folder, own).objectives) == 2


def test_time_outs_never_help_a_percentile(tmp_path: Path) -> None:
    # One request in ten gave up after 1 s. The p95 of the successful requests is 100 ms, and the p95 of all requests is
    # at least 1 s.
    rows = {
        "latency_us": [1_000_000 if at % 10 == 0 else 100_000 for at in range(600)],
        "outcome": ["timeout" if at % 10 == 0 else "ok" for at in range(600)],
        "start_s": FLAT["start_s"],
    }
    missed = judged(tmp_path / "a", "p95 < 1s", **rows)
    assert missed.verdict == Judged.MISSED
    assert "≥ 1000 ms" in missed.why
    assert judged(tmp_path / "b", "p95 < 5s", **rows).verdict == Judged.UNDECIDED
    assert judged(tmp_path / "c", "p50 < 200ms", **rows).verdict == Judged.HELD
    assert judged(tmp_path / "d", "p95 < 1s for 10s", **rows).verdict == Judged.MISSED
