"""Turn a confidence into the ranks between which a quantile lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from reports.data.histogram import Ints
from reports.data.rules import CONFIDENCE


def rank_interval(requests: int, p: float, confidence: float = CONFIDENCE) -> tuple[int, int | None]:
    """Return the ranks (1 = the fastest) that enclose the quantile `p`; the upper is None when there is none.

    The number of requests below a quantile is binomial, whatever the distribution (David & Nagaraja, Order
    Statistics, 2003, section 7.1).
    """
    low, high = rank_intervals(np.array([requests]), p, confidence)
    return int(low[0]), int(high[0]) if high[0] <= requests else None


def rank_intervals(requests: Ints, p: float, confidence: float = CONFIDENCE) -> tuple[Ints, Ints]:
    """Return the same for many windows at once; an upper rank beyond `requests` does not exist."""
    tail = (1 - confidence) / 2
    low = np.maximum(1, _inverse(tail, requests, p))
    high = _inverse(1 - tail, requests, p) + 1
    return low, high


def _inverse(probability: float, requests: npt.NDArray[Any], p: float) -> Ints:
    """Return the smallest k with P(binomial(requests, p) ≤ k) ≥ probability."""
    from scipy.special import bdtr, bdtrik

    n = np.maximum(np.asarray(requests, dtype=np.float64), 1.0)
    k = np.ceil(bdtrik(probability, n, p))
    one_less = np.maximum(k - 1, 0)
    return np.asarray(np.where(bdtr(one_less, n.astype(np.int64), p) >= probability, one_less, k), dtype=np.int64)
