"""Estimate how far slow drift moves the difference between two sides of runs, from the drift that the runs show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from reports.data.distributions import normal_below
from reports.data.histogram import BIN_VARIANCE, Floats

TIMES = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.3, 2.6, 5.2)
"""Correlation times of the drift that are weighed, as shares of a run's length: from a cell to longer than the run."""

DRIFT = (0.0, 0.1, 0.3, 1.0, 3.0, 12.0)
"""Variances of the drift, against the variance of one cell's own scatter. With 10 as the largest, intervals of single
runs whose drift lasts half as long as they do held the truth in 91 % of 300 pairs, with 12 in 94 %."""

BETWEEN = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Variances of runs around their side, against the same; only where a side has several runs can they be seen."""

CELLS = 60
"""A run is cut into about so many cells: enough to see drift that lasts for a twentieth of it."""


@dataclass(frozen=True, slots=True)
class Offset:
    """What the true difference may be beyond the one seen (logarithms): its middle, and the ends of its interval."""

    middle: float
    low: float
    high: float


def offset(a: Sequence[Floats], b: Sequence[Floats], *, confidence: float) -> Offset:
    """Return the interval of the difference of the two sides' means, given each run's deviations by cell.

    Each run is its side's mean + an own offset + drift (Ornstein–Uhlenbeck, correlated over an unknown time) +
    independent scatter. The unknown variances and the time are not estimated but weighed: each combination by its
    restricted likelihood over all runs of both sides (Harville 1974), the variances' scale and the two means
    integrated out, and the interval is that of the mixture. Drift over times that the runs are too short to show keeps
    its weight, and makes the interval as wide as it may be. With one run a side the offset of a run cannot be seen,
    and counts as none.

    Args:
        a: per run, deviations of equally long cells, in time order, as logarithms of the compared value.
        b: the same of the other side.
        confidence: of the interval, 0…1.
    """
    several = len(a) > 1 or len(b) > 1
    weighed = np.array(
        [
            _weighed((a, b), at, between)
            for at in range(len(TIMES) * len(DRIFT))
            for between in (BETWEEN if several else BETWEEN[:1])
        ]
    )
    log, middle, scale = weighed.T
    weight = np.exp(log - log.max())
    weight /= weight.sum()

    def at_probability(probability: float) -> float:
        low, high = float((middle - 9 * scale).min()), float((middle + 9 * scale).max())
        for _ in range(60):
            half = (low + high) / 2
            below = float((weight * normal_below((half - middle) / scale)).sum())
            low, high = (half, high) if below < probability else (low, half)
        return (low + high) / 2

    tail = (1 - confidence) / 2
    return Offset(at_probability(0.5), at_probability(tail), at_probability(1 - tail))


def _weighed(sides: Sequence[Sequence[Floats]], at: int, between: float) -> tuple[float, float, float]:
    """Return the restricted log likelihood of one combination, and the difference it gives with its deviation."""
    log, total, cells, means, variances = 0.0, 0.0, 0, [], []
    for side in sides:
        precision, weighted = 0.0, 0.0
        for run in side:
            inverse, determinant = _inverse(len(run), at, between)
            row = inverse @ run
            log -= determinant / 2
            total += float(run @ row)
            precision += float(inverse.sum())
            weighted += float(row.sum())
            cells += len(run)
        log -= np.log(precision) / 2
        total -= weighted**2 / precision
        means.append(weighted / precision)
        variances.append(1 / precision)
    freedom = cells - len(sides)
    total = max(total, freedom * BIN_VARIANCE)
    log -= freedom / 2 * np.log(total)
    return log, means[1] - means[0], float(np.sqrt(total / freedom * sum(variances)))


@lru_cache(maxsize=4096)
def _inverse(cells: int, at: int, between: float) -> tuple[Floats, float]:
    """Return the inverse of a run's covariance, in units of a cell's scatter, and its log determinant."""
    time, drift = TIMES[at // len(DRIFT)] * cells, DRIFT[at % len(DRIFT)]
    apart = np.abs(np.subtract.outer(np.arange(cells), np.arange(cells)))
    covariance = np.eye(cells) + drift * np.exp(-apart / time) + between
    return np.asarray(np.linalg.inv(covariance), dtype=np.float64), float(np.linalg.slogdet(covariance)[1])
