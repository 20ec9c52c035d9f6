"""Intervals contain the true difference for drift of any length, and show differences that can be detected."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reports.analysis.drift import offset
from reports.data.histogram import Floats


def run(
    rng: np.random.Generator, lasts_s: float, *, seconds: int = 600, differs: float = 0.0, scatter: float = 0.06
) -> Floats:
    """Return a run's cells: drift of 10 % correlated over `lasts_s`, and 6 % of scatter in a cell of 10 s."""
    rho = math.exp(-1 / lasts_s)
    level, noise = rng.normal(0, 0.1), rng.normal(0, 0.1 * math.sqrt(1 - rho**2), seconds)
    drift = np.empty(seconds)
    for at in range(seconds):
        level = rho * level + noise[at]
        drift[at] = level
    return np.asarray(drift.reshape(60, -1).mean(axis=1) + rng.normal(0, scatter, 60) + rng.normal(0, differs))


@pytest.mark.parametrize("lasts_s", [20, 120, 300])
@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("scatter", [0.006, 0.06])
def test_intervals_hold_the_truth_in_nine_of_ten_pairs_and_call_nothing(
    lasts_s: int, runs: int, scatter: float
) -> None:
    """The rule also holds if a cell has so many requests that its scatter is a sixteenth of the drift."""
    rng = np.random.default_rng(11)
    found = [
        offset(*([run(rng, lasts_s, scatter=scatter) for _ in range(runs)] for _ in range(2)), confidence=0.95)
        for _ in range(40)
    ]
    assert sum(item.low <= 0 <= item.high for item in found) >= 34  # 36 expected at 90 %, minus one standard deviation
    assert sum(item.low > math.log(1.05) or item.high < -math.log(1.05) for item in found) <= 2


def test_several_runs_a_side_use_their_seconds() -> None:
    # If runs of one side hardly differ, three runs are enough to detect a difference of 10 %. With Student's t at two
    # degrees of freedom (× 4.3), three would not be enough.
    rng = np.random.default_rng(5)
    told = 0
    for _ in range(20):
        sides = [[run(rng, 5) for _ in range(3)] for _ in range(2)]
        found = offset(*sides, confidence=0.95)
        told += found.low + math.log(1.15) > math.log(1.05)
    assert told >= 18


def test_runs_that_never_vary_differ_by_what_is_seen() -> None:
    still = [np.zeros(60)]
    found = offset(still, still, confidence=0.95)
    assert -0.01 < found.low < 0 < found.high < 0.01


def test_longer_drift_makes_wider_intervals() -> None:
    rng = np.random.default_rng(3)
    widths = []
    for lasts_s in (5, 300):
        pairs = [offset([run(rng, lasts_s)], [run(rng, lasts_s)], confidence=0.95) for _ in range(20)]
        widths.append(float(np.median([pair.high - pair.low for pair in pairs])))
    assert widths[1] > 2 * widths[0]
