"""A condition to stop on fires when it held over its whole window, and never for want of data."""

from __future__ import annotations

import pytest

from recording.frames import OUTCOMES
from recording.live import SETTLE_S, LiveJudge
from recording.objectives import parse_objective

OK, TIMEOUT = OUTCOMES.index("ok"), OUTCOMES.index("timeout")
HTTP_ERROR = OUTCOMES.index("http_error")


def feed(
    judge: LiveJudge, second: int, *, ok: int = 0, failed: int = 0, ms: int = 10, as_what: int = HTTP_ERROR
) -> None:
    count = ok + failed
    judge.add([second * 10**9] * count, [ms * 1000] * count, [OK] * ok + [as_what] * failed)


def test_an_error_rate_fires_only_after_its_whole_window() -> None:
    judge = LiveJudge(parse_objective("error_rate > 50% for 10s"))
    fired = []
    for second in range(100, 140):
        feed(judge, second, ok=10, failed=0 if second < 115 else 30)
        if judge.fires(second + 1):
            fired.append(second)
    # From 115 on 30 of 40 a second fail. With b such seconds in a window of ten, 30 b / (100 + 30 b) passes a half
    # from b = 4 on: the window 109 … 118, judged SETTLE_S later.
    assert fired[0] == 118 + SETTLE_S
    assert fired[-1] == 139


def test_no_data_never_fires() -> None:
    judge = LiveJudge(parse_objective("throughput < 1/s for 5s"))
    assert not judge.fires(1000.0)
    feed(judge, 1000, ok=1)
    assert judge.value(1004.0) is None  # the window began before the run did
    assert LiveJudge(parse_objective("error_rate > 1% for 2s")).value(50.0) is None


def test_throughput_that_stops_is_zero_and_not_missing() -> None:
    judge = LiveJudge(parse_objective("throughput < 5/s for 5s"))
    for second in range(10, 20):
        feed(judge, second, ok=10)
    assert judge.value(20.0) == pytest.approx(10)
    assert judge.value(30.0) == 0.0
    assert judge.fires(30.0)


def test_a_percentile_counts_time_outs_as_slowest() -> None:
    judge = LiveJudge(parse_objective("p95 > 1s for 2s"))
    for second in range(10, 20):
        feed(judge, second, ok=18, failed=2, as_what=TIMEOUT)
    assert judge.fires(20.0)
    calm = LiveJudge(parse_objective("p50 > 1s for 2s"))
    for second in range(10, 20):
        feed(calm, second, ok=18, failed=2, as_what=TIMEOUT)
    assert calm.value(20.0) == pytest.approx(10, rel=0.01)


def test_memory_is_bounded_by_the_window() -> None:
    judge = LiveJudge(parse_objective("p95 > 1s for 5s"))
    for second in range(1000):
        feed(judge, second, ok=1)
        judge.value(second)
    assert len(judge._bins) <= 5 + SETTLE_S + 1
