"""Compute the tails of the binomial, Poisson and normal distributions, and the ranks that enclose a quantile.

This is our own code, because scipy would be the largest and slowest import of a report, and only these three are needed
(docs/decisions/). A test compares the results with scipy's.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from reports.data.histogram import Floats, Ints
from reports.data.rules import CONFIDENCE

DEVIATIONS = 12
"""Terms that are this many standard deviations away from the most probable one are below 1e-30 of the sum."""


def rank_intervals(requests: Ints, p: float, confidence: float = CONFIDENCE) -> tuple[Ints, Ints]:
    """Return the ranks (1 = the fastest) that enclose the quantile `p`, for windows with these numbers of requests.

    The number of requests below a quantile is binomial, whatever the distribution (David & Nagaraja, Order Statistics,
    2003, section 7.1). If the upper rank is above the number of requests, the interval has no upper end.
    """
    tail = (1 - confidence) / 2
    sizes, place = np.unique(np.maximum(requests, 1), return_inverse=True)
    ranks = np.array([_ranks(int(n), p, tail) for n in sizes], dtype=np.int64).reshape(-1, 2)[place]
    return np.maximum(1, ranks[:, 0]), ranks[:, 1] + 1


def _ranks(n: int, p: float, tail: float) -> tuple[int, int]:
    """Return the smallest k with P(binomial(n, p) ≤ k) ≥ tail, and the smallest k for which it is ≥ 1 − tail."""
    mode = min(n, int((n + 1) * p))
    reach = int(DEVIATIONS * math.sqrt(n * p * (1 - p))) + 50
    low, high = max(0, mode - reach), min(n, mode + reach)
    k = np.arange(low, high)
    first, below = low, _below(np.log((n - k) / (k + 1.0)) + math.log(p / (1 - p)))
    return first + int(np.searchsorted(below, tail)), first + int(np.searchsorted(below, 1 - tail))


def poisson_tail(counts: npt.ArrayLike, mean: float) -> Floats:
    """Return, for each of `counts`, the probability of more events than this count if `mean` events are expected."""
    counts = np.asarray(counts, dtype=np.int64)
    if mean <= 0:
        return np.where(counts < 0, 1.0, 0.0)
    mode = int(mean)
    reach = int(DEVIATIONS * math.sqrt(mean)) + 50
    low, high = max(0, mode - reach), max(mode + reach, int(counts.max(initial=0)) + 50)
    weights = _weights(math.log(mean) - np.log(np.arange(low, high) + 1.0))
    above = np.append(np.cumsum(weights[::-1])[::-1][1:], 0.0)  # summed from the far end, where the terms are smallest
    return np.where(counts < low, 1.0, above[np.clip(counts - low, 0, len(above) - 1)])


def normal_below(z: Floats) -> Floats:
    """Return the probability that a standard normal variable is below each `z`."""
    return np.array([math.erfc(-value / math.sqrt(2)) / 2 for value in z.ravel()]).reshape(z.shape)


def _weights(log_ratios: Floats) -> Floats:
    """Return probabilities that sum to 1, given the logarithm of the ratio of each probability to the one before it."""
    logs = np.concatenate(([0.0], np.cumsum(log_ratios)))
    weights: Floats = np.exp(logs - logs.max())
    weights /= weights.sum()
    return weights


def _below(log_ratios: Floats) -> Floats:
    return np.cumsum(_weights(log_ratios))
