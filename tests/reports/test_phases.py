"""A run is divided by its plan, or by its data if no plan is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reports.analysis.analysis import Analysis, analyse
from reports.analysis.phases import PhaseName
from tests.queueing import Queue, simulate_queue
from tests.reports.folders import plan, write_rows


def windows(analysis: Analysis) -> dict[str, tuple[int, int]]:
    return {phase.name.value: (phase.window.start_s, phase.window.end_s) for phase in analysis.phases}


def flat(path: Path, seconds: int, **record: object) -> Analysis:
    start = np.arange(0, seconds, 0.1)
    folder = write_rows(path, start_s=start.tolist(), latency_us=[10_000] * len(start), record=record)
    return analyse(folder, folder.read_run())


def test_a_planned_ramp_is_ramp_until_95_percent_and_drain_after_the_plan_falls(tmp_path: Path) -> None:
    found = flat(tmp_path, 200, scenario=plan((0, 0), (100, 100), (180, 100), (181, 0)))
    assert windows(found) == {"all": (0, 200), "ramp": (0, 95), "steady": (95, 181), "drain": (181, 200)}


def test_without_plan_or_users_the_request_rate_decides(tmp_path: Path) -> None:
    assert windows(flat(tmp_path, 100)) == {"all": (0, 100), "steady": (0, 100)}


def test_a_plan_that_never_levels_has_no_steady_phase(tmp_path: Path) -> None:
    found = flat(tmp_path, 60, scenario=plan((0, 0), (59, 600)))
    assert PhaseName.STEADY.value not in windows(found)


def test_a_cold_start_is_a_warm_up_phase(tmp_path: Path) -> None:
    folder = simulate_queue(tmp_path / "run", Queue(40, 1, 180, [4.0, 4.0], service_ms=15), seed=1)
    found = analyse(folder, folder.read_run())
    begin, end = windows(found)["warmup"]
    assert begin == 0
    assert 4 <= end <= 20
    assert windows(found)["ramp"][0] == end
    assert found.warmup.first_answer_s == pytest.approx(4.0, abs=0.1)
    assert found.warmup.settled_s is not None
    assert found.warmup.extra_waiting_request_s is not None
    # Users 1, 2, 3, 4 came at 0, 1, 2, 3 s and waited 4, 3, 2, 1 s: 10 request-seconds, and a little service time.
    assert found.warmup.extra_waiting_request_s == pytest.approx(10, rel=0.1)


def test_a_warm_run_settled_at_once(tmp_path: Path) -> None:
    folder = simulate_queue(tmp_path / "run", Queue(40, 1, 180, [-60.0, -60.0], service_ms=15), seed=1)
    found = analyse(folder, folder.read_run())
    assert found.warmup.settled_s == 0.0
    assert "warmup" not in windows(found)
    assert found.warmup.young_requests == 0
