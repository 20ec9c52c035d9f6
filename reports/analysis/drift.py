"""Estimate how far slow drift moves the difference between two sides of runs, from the drift that the runs show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from reports.data.distributions import normal_below
from reports.data.histogram import BIN_VARIANCE, Floats

TIMES = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.3)
"""The correlation times of the drift that are weighed, as shares of a run's length: from one cell to a little more than
the run. Longer times cannot be distinguished within a run, and would only widen every interval. If the drift lasts for
half of a run and 1.3 is the longest time, 95 % of the intervals contain the true difference. With 2.6 as the longest
time, intervals are a quarter wider."""

DRIFT = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""The variances of the drift that are weighed, relative to the variance of one cell's own scatter. That scatter falls
with the number of requests, so the largest variances are needed at high rates and for p50. If 10 were the largest,
intervals would contain the true difference too rarely: in 54 % of the pairs at 400 requests/s with a drift that lasts
for half of a run."""

BETWEEN = (0.0, 0.2, 1.0, 5.0, 25.0, 125.0, 600.0)
"""The variances between the runs of one side that are weighed, relative to the same scatter. Such a variance can be
seen only if a side has several runs."""

CELLS = 60
"""A run is cut into about this many cells, enough to see drift that lasts for a twentieth of the run."""

NEGLIGIBLE = 25.0
"""Combinations whose likelihood is e^25 times smaller than that of the best one are ignored, because they would not
move the ends of the interval."""

STILL = 1 / 3
"""Prior probability that the difference of two sides that share every second has no drift. Drift of the environment
moves both sides and cancels, so only the drift of a single side remains."""


@dataclass(frozen=True, slots=True)
class Offset:
    """How far the true difference may be from the observed one (logarithms): the middle and ends of the interval."""

    middle: float
    low: float
    high: float


def offset(a: Sequence[Floats], b: Sequence[Floats], *, confidence: float) -> Offset:
    """Return the interval of the difference of the two sides' means, given each run's deviations by cell.

    The model of each run is its side's mean + its own offset + drift (Ornstein–Uhlenbeck, correlated over an unknown
    time) + independent scatter. The unknown variances and the correlation time are not estimated. Instead, each
    combination of their values is weighed by its restricted likelihood over all runs of both sides (Harville 1974),
    with the variances' scale and the two means integrated out. The result is the interval of the mixture. If the runs
    are too short to rule out a drift, that drift keeps its weight and widens the interval. With one run on each side,
    the offset of a run cannot be seen, and is assumed to be zero.

    Args:
        a: for each run, the deviations of equally long cells, in time order, as logarithms of the compared value.
        b: the same for the other side.
        confidence: the confidence level of the interval, 0…1.
    """
    log, middle, scale = _weighed((a, b), several=len(a) > 1 or len(b) > 1)
    return _of_mixture(log, middle, scale, confidence)


def half_width(differences: Floats, *, confidence: float) -> float:
    """Return how far the mean of a series may be from the true mean. Drift of the series is weighed as in `offset`.

    Args:
        differences: the differences of equally long cells, in time order, between two sides that share them.
        confidence: the confidence level of the interval, 0…1.
    """
    log, middle, scale = _weighed(([differences],), several=False)
    drifts = np.tile(np.array(DRIFT) > 0, len(TIMES))
    prior = np.where(drifts, (1 - STILL) / drifts.sum(), STILL / (~drifts).sum())
    found = _of_mixture(log + np.log(prior), middle, scale, confidence)
    return (found.high - found.low) / 2


def _of_mixture(log: Floats, middle: Floats, scale: Floats, confidence: float) -> Offset:
    """Return the middle and interval of a mixture of normal distributions, given the logarithms of their weights."""
    likely = log > log.max() - NEGLIGIBLE
    log, middle, scale = log[likely], middle[likely], scale[likely]
    weight = np.exp(log - log.max())
    weight /= weight.sum()

    def at_probability(probability: float) -> float:
        low, high = float((middle - 9 * scale).min()), float((middle + 9 * scale).max())
        for _ in range(40):
            half = (low + high) / 2
            below = float((weight * normal_below((half - middle) / scale)).sum())
            low, high = (half, high) if below < probability else (low, half)
        return (low + high) / 2

    tail = (1 - confidence) / 2
    return Offset(at_probability(0.5), at_probability(tail), at_probability(1 - tail))


def _weighed(sides: Sequence[Sequence[Floats]], *, several: bool) -> tuple[Floats, Floats, Floats]:
    """Return each combination's restricted log likelihood, and the difference it implies with its standard deviation.

    With only one side, the result is the mean instead of the difference.

    A run's offset adds the same variance to all pairs of its cells. The inverse of the covariance is therefore computed
    from the inverse without the offset (Sherman and Morrison 1950).
    """
    between = np.array(BETWEEN if several else BETWEEN[:1])[:, None]
    log, total = np.zeros(1), np.zeros(1)
    cells, means, variances = 0, [], []
    for side in sides:
        precision, weighted = np.zeros(1), np.zeros(1)
        for run in side:
            inverse, determinant, sums = _inverses(len(run))
            row = inverse @ run
            square, projected, shared = row @ run, row.sum(axis=1), 1 + between * sums
            log = log - (determinant + np.log(shared)) / 2
            total = total + square - between * projected**2 / shared
            precision = precision + sums / shared
            weighted = weighted + projected / shared
            cells += len(run)
        log = log - np.log(precision) / 2
        total = total - weighted**2 / precision
        means.append(weighted / precision)
        variances.append(1 / precision)
    freedom = cells - len(sides)
    total = np.maximum(total, freedom * BIN_VARIANCE)
    log = log - freedom / 2 * np.log(total)
    difference = means[-1] - means[0] if len(means) > 1 else means[0]
    scale = np.sqrt(total / freedom * np.sum(variances, axis=0))
    return log.ravel(), difference.ravel(), scale.ravel()


@lru_cache(maxsize=32)
def _inverses(cells: int) -> tuple[Floats, Floats, Floats]:
    """Return the inverse of a run's covariance for each drift, with the log determinant and the inverse's sum.

    The log determinant is the one of the covariance, not of the inverse. The unit of the covariance is the variance of
    one cell's scatter.
    """
    apart = np.abs(np.subtract.outer(np.arange(cells), np.arange(cells)))
    covariance = np.stack(
        [np.eye(cells) + drift * np.exp(-apart / (time * cells)) for time in TIMES for drift in DRIFT]
    )
    inverse = np.linalg.inv(covariance)
    determinant = np.asarray(np.linalg.slogdet(covariance)[1], dtype=np.float64)
    return np.asarray(inverse, dtype=np.float64), determinant, inverse.sum(axis=(1, 2))
