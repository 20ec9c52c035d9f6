"""Differences between two targets of one run: which of them are reported, and when a growing run may end."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from loadtest.core.margins import parse_margin
from loadtest.recording.run import DecisionRecord
from reports.analysis.confidence import block_length, block_weights, multiplier, students_t
from reports.analysis.paired import BLOCKS, GrowingCounts, SideCounts, estimates
from reports.analysis.regression import judge_regression
from reports.analysis.until_decided import UntilDecided
from reports.data.histogram import bin_of
from reports.model import Comparison

Floats = npt.NDArray[np.float64]

TOO_SHORT = "2 s are too short to tell a difference from chance"


def side(
    rng: np.random.Generator, level: Floats, shift: float = 1.0, per_s: float = 40.0
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return the start (s) and latency (µs) of requests whose log latency in each second follows `level`."""
    start_s = np.sort(rng.random(rng.poisson(per_s * len(level))) * len(level))
    latency = 80_000 * shift * np.exp(level[start_s.astype(int)] + rng.normal(0, 0.3, len(start_s)))
    return start_s, latency.astype(np.int64)


def both(seed: int, seconds: int, shift: float, drift: float = 0.3) -> GrowingCounts:
    """Return both sides of a run. The latency varies by ± 35 % in one cycle over the length of the run."""
    rng = np.random.default_rng(seed)
    level = drift * np.sin(2 * np.pi * np.arange(seconds) / seconds)
    counts = GrowingCounts()
    for at, factor in enumerate((1.0, shift)):
        start_s, latency_us = side(rng, level, factor)
        counts.add(at, start_s.astype(np.int64), bin_of(latency_us))
    return counts


@pytest.mark.parametrize("shift", [0.9, 1.0, 1.1])
def test_a_difference_is_seen_through_drift_that_both_share(shift: float) -> None:
    """The latency varies by a third. The interval of the p95 ratio is a twentieth as wide, and contains the truth."""
    a, b = both(3, 300, shift).window(0, 300)
    found = {estimate.statistic: estimate for estimate in estimates(a, b, length_s=300)}
    for name in ("p50", "p95", "mean"):
        low, high = found[name].interval(300, always_valid=False)
        assert low <= math.log(shift) <= high, name
        assert high - low < 0.10
    assert found["p95"].b / found["p95"].a == pytest.approx(shift, abs=0.06)
    assert "error rate" not in found, "the counts do not say how many failed"


def test_intervals_of_equal_sides_hold_zero_as_often_as_they_say() -> None:
    """The intervals of 95 % of 60 runs of 2 min should contain 0. Fewer than 51 would happen in 1 of 1,000 series."""
    held = 0
    for seed in range(60):
        a, b = both(seed, 120, 1.0).window(0, 120)
        (p95,) = estimates(a, b, length_s=120, statistics=("p95",))
        low, high = p95.interval(120, always_valid=False)
        held += low <= 0 <= high
    assert held >= 51


def test_intervals_hold_the_truth_where_each_side_drifts_by_itself() -> None:
    """The drift is 2 % over 120 s on each side, in 24 runs of 10 min.

    At 95 %, 22.8 of the intervals should contain the true difference; with resampling alone, only 13 do.
    """
    held = {"p50": 0, "p95": 0, "mean": 0}
    for seed in range(24):
        rng, counts = np.random.default_rng(seed), GrowingCounts()
        for at in (0, 1):
            steps = rng.normal(0, 0.02 * math.sqrt(1 - math.exp(-2 / 120)), 600)
            level = np.empty(600)
            level[0] = rng.normal(0, 0.02)
            for second in range(1, 600):
                level[second] = math.exp(-1 / 120) * level[second - 1] + steps[second]
            start_s, latency_us = side(rng, level)
            counts.add(at, start_s.astype(np.int64), bin_of(latency_us))
        for found in estimates(*counts.window(0, 600), length_s=600, statistics=tuple(held)):
            low, high = found.interval(600, always_valid=False)
            held[found.statistic] += low <= 0 <= high
    assert min(held.values()) >= 20, held


def test_no_failure_on_either_side_is_still_an_interval_and_a_difference_in_failures_is_called() -> None:
    a, b = both(1, 60, 1.0).window(0, 60)
    sent = np.full(60, 40.0)
    quiet = SideCounts(a.latency, sent, np.zeros(60))
    failing = SideCounts(b.latency, sent, np.full(60, 2.0))
    (none,) = estimates(quiet, SideCounts(b.latency, sent, np.zeros(60)), length_s=60, statistics=("error rate",))
    low, high = none.interval(60, always_valid=False)
    assert low < 0 < high
    assert high == pytest.approx(2 * math.sqrt(2 * 0.5 / 4801 / 2400), rel=0.25)
    (more,) = estimates(quiet, failing, length_s=60, statistics=("error rate",))
    assert more.difference == pytest.approx(0.05)
    assert more.interval(60, always_valid=False)[0] > 0.03


def test_too_short_too_few_or_none_at_all_gets_no_interval_and_a_reason() -> None:
    a, b = both(1, 60, 1.0).window(0, 10)
    (p95,) = estimates(a, b, length_s=10, statistics=("p95",))
    assert "too short" in p95.lacking
    few = [SideCounts(item.latency[:, :] * (np.arange(60) < 2)[:, None]) for item in both(1, 60, 1.0).window(0, 60)]
    (p99,) = estimates(*few, length_s=60, statistics=("p99",))
    assert "too few for p99" in p99.lacking
    nothing = SideCounts(np.zeros_like(a.latency))
    (none,) = estimates(nothing, b, length_s=60, statistics=("mean",))
    assert none.lacking == "no request succeeded"


@pytest.mark.parametrize(("latency_us", "seconds"), [((0, 0), 60), ((0, 5000), 60), ((5000, 0), 60), ((0, 0), 2)])
def test_sides_that_report_latencies_of_0_have_no_ratio_of_means(latency_us: tuple[int, int], seconds: int) -> None:
    """A client of another protocol may report any latency, such as 0 for a cached answer."""
    counts = GrowingCounts()
    start_s = np.repeat(np.arange(seconds), 40)
    for at, us in enumerate(latency_us):
        counts.add(at, start_s, bin_of(np.full(len(start_s), us)))
    a, b = counts.window(0, seconds)
    found = {estimate.statistic: estimate for estimate in estimates(a, b, length_s=seconds)}
    assert found["mean"].lacking == ("all latencies of one side are 0" if seconds == 60 else TOO_SHORT)
    assert found["throughput"].difference == 0


def test_a_difference_that_rests_on_one_stall_gets_no_verdict() -> None:
    """For four seconds, one side does not answer and the other side does.

    This makes the p99 of the first side ten times as high.

    Such a difference only counts one event.
    """
    rng = np.random.default_rng(5)
    counts = GrowingCounts()
    for at in (0, 1):
        start_s, latency_us = side(rng, np.zeros(300))
        stalled = (start_s > 100) & (start_s < 104) & (at == 1)
        counts.add(at, start_s.astype(np.int64), bin_of(np.where(stalled, latency_us + 4_000_000, latency_us)))
    (p99,) = estimates(*counts.window(0, 300), length_s=300, statistics=("p99",))
    assert "moments of the run" in p99.lacking


@pytest.mark.parametrize("per_s", [5, 40])
@pytest.mark.parametrize("stalls", [0, 2, 4])
def test_two_services_that_hardly_vary_are_distinguished_and_equal_ones_are_equal(per_s: int, stalls: int) -> None:
    """Nearly every request is in one bin. A few requests that stall on one side do not decide about the others."""
    rng = np.random.default_rng(7)
    for factor in (1.0, 1.2, 5.0):
        counts = GrowingCounts()
        for at in (0, 1):
            start_s = np.sort(rng.random(per_s * 120) * 120)
            latency_us = 100_000 * (factor if at else 1.0) * (1 + 0.001 * rng.random(len(start_s)))
            stalled = np.isin(start_s.astype(int), 17 + 25 * np.arange(stalls)) & (at == 1)
            counts.add(at, start_s.astype(np.int64), bin_of(np.where(stalled, 1.5 * latency_us, latency_us)))
        (p50,) = estimates(*counts.window(0, 120), length_s=120, statistics=("p50",))
        low, high = p50.interval(120, always_valid=False)
        assert p50.lacking == ""
        assert low - 0.008 <= math.log(factor) <= high + 0.008
        assert high - low < 0.02


def test_values_that_stay_correlated_for_longer_are_resampled_in_longer_blocks() -> None:
    rng = np.random.default_rng(1)
    lengths = []
    for rho in (0.0, 0.6, 0.9):
        values = np.zeros(600)
        for at in range(1, 600):
            values[at] = rho * values[at - 1] + rng.normal()
        lengths.append(block_length(values))
    assert lengths[0] <= 3 < lengths[1] < lengths[2] <= 100
    assert block_length(np.zeros(50)) == 1


def test_every_resample_draws_as_many_cells_as_there_are_in_whole_blocks() -> None:
    weights = block_weights(30, 10, resamples=50)
    assert (weights.sum(axis=1) == 30).all()
    starts = np.diff(np.c_[weights, weights[:, :1]], axis=1)
    assert (np.abs(starts).sum(axis=1) <= 6).all(), "three blocks have three beginnings and three ends"


def test_the_bound_for_every_look_is_wider_than_that_for_one_and_hardly_grows() -> None:
    """By hand: Robbins' mixture at α = 5 %, tuned for 2 min, gives 3.04 deviations at 2 min and 3.3 at ten times that
    length.
    """
    at_two_minutes, at_twenty = (multiplier(length_s, 1e9, confidence=0.95).always for length_s in (120, 1200))
    assert at_two_minutes == pytest.approx(3.04, abs=0.02)
    assert at_twenty == pytest.approx(3.26, abs=0.02)
    assert multiplier(120, 1e9, confidence=0.95).once == pytest.approx(1.96, abs=0.01)
    assert multiplier(120, BLOCKS, confidence=0.95).once == pytest.approx(2.145, abs=0.01), "t of 14"


def growing(seed: int, shift: float, seconds: int = 400) -> tuple[float, str] | None:
    """Return when a run ended by itself, and why."""
    rng = np.random.default_rng(seed)
    level = 0.2 * np.sin(2 * np.pi * np.arange(seconds) / 100)
    rule = UntilDecided([parse_margin("p95=5%")], begin_s=10)
    sides = [side(rng, level, factor) for factor in (1.0, shift)]
    for now_s in range(1, seconds):
        for number, (start_s, latency_us) in enumerate(sides, 1):
            inside = (start_s >= now_s - 1) & (start_s < now_s)
            rule.add(np.full(int(inside.sum()), number, np.uint8), start_s[inside], latency_us[inside])
        look = rule.look(float(now_s))
        if look is not None and look.decided:
            return float(now_s), look.decided
    return None


@pytest.mark.parametrize(("shift", "said"), [(1.25, "slower by more than 5 %"), (0.95, "not slower by more than 5 %")])
def test_a_run_that_may_stop_does_so_when_the_margin_is_decided(shift: float, said: str) -> None:
    ended = growing(2, shift)
    assert ended is not None
    at_s, why = ended
    assert 10 + 5 + 60 < at_s < 350, "after a minute of steady load at the earliest, and before the end of the run"
    assert said in why


def test_a_difference_on_the_margin_itself_is_not_decided_but_is_reported() -> None:
    rule = UntilDecided([parse_margin("p95=5%")], begin_s=0)
    rng = np.random.default_rng(1)
    for number, shift in ((1, 1.0), (2, 1.05)):
        start_s, latency_us = side(rng, np.zeros(80), shift)
        rule.add(np.full(len(start_s), number, np.uint8), start_s, latency_us)
    assert rule.look(60.0) is None, "a minute after the first 5 s has not passed"
    look = rule.look(70.0)
    assert look is not None
    assert (look.decided, look.slower) == ("", (None,))
    assert look.text.startswith("B p95 +")
    assert rule.look(71.0) is None, "a look is not repeated at once"


def test_the_decision_that_ended_a_run_is_its_verdict_despite_later_rows() -> None:
    """The last rows came after the decision. The report contains the decision with its window and its interval."""
    decision = DecisionRecord(
        margin="p95=5%", slower=True, difference_ratio=0.12, low_ratio=0.06, high_ratio=0.18, from_s=6, to_s=114
    )
    comparison = Comparison(
        a=["A"], b=["B"], a_name="A", b_name="B", comparable=True, differences=[], lines=[], notes=[], interleaved=True
    )
    found = judge_regression(parse_margin("p95=5%"), comparison, [], decision)
    assert found.verdict == "missed"
    assert "from 0:06 to 1:54, which ended the run: slower by more than 5 %" in found.why
    held = judge_regression(parse_margin("p95=5%"), comparison, [], decision.model_copy(update={"slower": False}))
    assert held.verdict == "held"


@pytest.mark.parametrize("freedom", [4, 5, 8, 14, 60])
def test_students_t_is_that_of_scipy(freedom: int) -> None:
    """The report does not need scipy, but the tests use it as the reference."""
    found = students_t(float(stats.norm.ppf(0.975)), freedom)
    assert found == pytest.approx(float(stats.t.ppf(0.975, freedom)), rel=1e-3)
