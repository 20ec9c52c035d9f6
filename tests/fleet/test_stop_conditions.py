"""Ending a run on a condition: only once its whole window has been so, in the requests' own time."""

from __future__ import annotations

import numpy as np

from loadtest.core.objectives import parse_objective
from loadtest.fleet.progress import ProgressSnapshot, Recent
from loadtest.fleet.stop_conditions import StopOn

NOW = ProgressSnapshot(0, 0, 0.0, None, None, None, 1, 0.0, ())


def second(at_s: float, *, latency_ms: float = 10, failed: int = 0, of: int = 10) -> tuple[Recent, ...]:
    """Return a frame of `of` requests that ended evenly over the second from `at_s`; the first `failed` failed."""
    return (
        Recent(
            read_s=at_s,
            latency_us=np.full(of, int(latency_ms * 1000), np.int64),
            outcome=np.array([1] * failed + [0] * (of - failed), np.uint8),
            end_ns=np.array([int((at_s + row / max(of, 1)) * 1e9) for row in range(of)], np.int64),
            server_us=np.full(of, -1, np.int64),
        ),
    )


def first_stop(condition: str, frames: list[tuple[Recent, ...]]) -> tuple[int, str] | None:
    """Return at which look the condition ended the run, and its sentence."""
    stop = StopOn(parse_objective(condition))
    for number, frame in enumerate(frames):
        why = stop(NOW, frame)
        if why is not None:
            return number, why
    return None


def test_a_condition_holds_for_its_whole_window_before_it_ends_a_run() -> None:
    """All requests fail from the start: `for 3s` fires when 3 s lie between the first request and the newest."""
    found = first_stop("error_rate > 50% for 3s", [second(at, failed=10) for at in range(6)])
    assert found == (3, "`--stop-on error_rate > 50% for 3s`: it was 100.0%")


def test_only_the_window_counts() -> None:
    """Twenty seconds of success do not hide three of failure."""
    frames = [second(at, failed=10 if at >= 20 else 0) for at in range(30)]
    found = first_stop("error_rate > 90% for 3s", frames)
    assert found is not None
    assert found[0] == 22  # the 3 s before 22.9 hold the last success of second 19: 30 of 31 failed


def test_a_percentile_looks_at_successful_requests_alone() -> None:
    """Failures that took 5 s do not make a p95; without any success nothing is decided."""
    slow = [second(at, latency_ms=5000, failed=10) for at in range(20)]
    assert first_stop("p95 > 1s for 3s", slow) is None
    found = first_stop("p95 > 1s for 3s", [second(at, latency_ms=5000) for at in range(20)])
    assert found is not None
    assert "it was 5000.0 ms" in found[1]


def test_throughput_is_successful_requests_per_second_of_the_window() -> None:
    """10 requests/s of which 4 fail are 6/s: below 7/s, and the window is full after 3 s."""
    found = first_stop("throughput < 7/s for 3s", [second(at, failed=4) for at in range(9)])
    assert found is not None
    assert found[0] == 3
    assert "/s" in found[1]
    assert first_stop("throughput < 5/s for 3s", [second(at, failed=4) for at in range(9)]) is None


def test_no_requests_stop_nothing() -> None:
    """No data is no reason, before the first request and between two."""
    assert first_stop("error_rate > 0% for 1s", [(), second(0, of=0), ()]) is None


def test_without_a_window_ten_seconds_are_looked_at() -> None:
    """One slow answer does not end a run."""
    found = first_stop("error_rate > 50%", [second(at, failed=10) for at in range(15)])
    assert found is not None
    assert found[0] == 10
