"""A condition ends a run only after it has held for its whole window, measured by the times of the requests."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from loadtest.core.errors import UsageError
from loadtest.core.objectives import parse_objective
from loadtest.fleet.progress import ProgressSnapshot, Recent
from loadtest.fleet.stop_conditions import StopOn

NOW = ProgressSnapshot(0, 0, 0.0, None, None, None, 1, 0.0, ())


def second(at_s: float, *, latency_ms: float = 10, failed: int = 0, of: int = 10) -> tuple[Recent, ...]:
    """Return a frame of `of` requests whose ends are evenly spread over the second that begins at `at_s`.

    The first `failed` requests failed.
    """
    return (
        Recent(
            read_s=at_s,
            latency_us=np.full(of, int(latency_ms * 1000), np.int64),
            outcome=np.array([1] * failed + [0] * (of - failed), np.uint8),
            end_ns=np.array([int((at_s + row / max(of, 1)) * 1e9) for row in range(of)], np.int64),
            server_us=np.full(of, -1, np.int64),
            side=np.zeros(of, np.uint8),
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
    """All requests fail from the start. `for 3s` fires when 3 s lie between the first request and the newest one."""
    found = first_stop("error_rate > 50% for 3s", [second(at, failed=10) for at in range(6)])
    assert found == (3, "`--stop-on error_rate > 50% for 3s`: the value was 100.0%")


def test_only_the_window_counts() -> None:
    """Twenty seconds of success do not hide three seconds of failure."""
    frames = [second(at, failed=10 if at >= 20 else 0) for at in range(30)]
    found = first_stop("error_rate > 90% for 3s", frames)
    assert found is not None
    assert found[0] == 22  # the 3 s before 22.9 s contain the last success of second 19: 30 of 31 requests failed


def test_a_percentile_looks_at_successful_requests_alone() -> None:
    """Failures that took 5 s do not form a p95. Without any success nothing is decided."""
    slow = [second(at, latency_ms=5000, failed=10) for at in range(20)]
    assert first_stop("p95 > 1s for 3s", slow) is None
    found = first_stop("p95 > 1s for 3s", [second(at, latency_ms=5000) for at in range(20)])
    assert found is not None
    assert "the value was 5000.0 ms" in found[1]


def test_throughput_is_successful_requests_per_second_of_the_window() -> None:
    """10 requests/s, of which 4 fail, are 6/s, which is below 7/s. The window is full after 3 s."""
    found = first_stop("throughput < 7/s for 3s", [second(at, failed=4) for at in range(9)])
    assert found is not None
    assert found[0] == 3
    assert "/s" in found[1]
    assert first_stop("throughput < 5/s for 3s", [second(at, failed=4) for at in range(9)]) is None


def test_no_requests_stop_nothing() -> None:
    """Missing data does not end a run, neither before the first request nor between two requests."""
    assert first_stop("error_rate > 0% for 1s", [(), second(0, of=0), ()]) is None


def test_without_a_window_ten_seconds_are_looked_at() -> None:
    """One slow answer does not end a run."""
    found = first_stop("error_rate > 50%", [second(at, failed=10) for at in range(15)])
    assert found is not None
    assert found[0] == 10


RAMP_THEN_HOLD = ((0.0, 0.0), (10.0, 100.0), (20.0, 100.0))
"""According to this plan, the steady phase lasts from 9.5 s, when 95 of 100 users run, to 20 s."""


def stopped_at(condition: str, frames: list[tuple[Recent, ...]]) -> int | None:
    """Return the second in which a condition ended a run that began at 0 ns and had the plan RAMP_THEN_HOLD."""
    stop = StopOn(parse_objective(condition, live=True), RAMP_THEN_HOLD)
    at = dataclasses.replace(NOW, load_start_ns=0)
    return next((second for second, frame in enumerate(frames) if stop(at, frame)), None)


def test_a_condition_on_a_phase_looks_at_requests_that_began_in_it() -> None:
    """Everything fails. For the whole run, `for 5s` fires at 5 s; for the steady phase, 5 s after 9.5 s."""
    failing = [second(at, failed=10) for at in range(30)]
    assert stopped_at("error_rate > 5% for 5s", failing) == 5
    assert stopped_at("error_rate(ramp) > 5% for 5s", failing) == 5
    assert stopped_at("error_rate(steady) > 5% for 5s", failing) == 14
    assert stopped_at("error_rate(drain) > 5% for 5s", failing) == 25


def test_failures_in_another_phase_end_nothing() -> None:
    """Failures in a ramp do not count for the steady phase. Failures in the steady phase do not count for the ramp."""
    ramp = [second(at, failed=10 if at < 9 else 0) for at in range(30)]
    assert stopped_at("error_rate(steady) > 5% for 5s", ramp) is None
    assert stopped_at("error_rate(ramp) > 5% for 5s", ramp) == 5
    hold = [second(at, failed=10 if at > 10 else 0) for at in range(30)]
    assert stopped_at("error_rate(ramp) > 5% for 5s", hold) is None


@pytest.mark.parametrize(
    ("condition", "points", "sentence"),
    [
        ("p95(warmup) > 1s", RAMP_THEN_HOLD, "the warm-up is known only after a run"),
        ("p95(steady) > 1s", (), "the plan of the scenario and its phases are not known before"),
        ("p95(POST /x) > 1s", RAMP_THEN_HOLD, "use --slo, which"),
    ],
)
def test_what_a_run_cannot_know_of_itself_is_refused(
    condition: str, points: tuple[tuple[float, float], ...], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        StopOn(parse_objective(condition, live=True), points)
