"""Find where the level of a short series of positive numbers changes, without marking noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reports.data.histogram import Floats

SEGMENT_AT_LEAST = 3
"""Smallest number of runs on either side of a change, because one or two runs may be slow for other reasons."""

PENALTY = 5.2
"""A change must explain at least this factor × the variance of the noise × log n. It was calibrated on series that
contain only noise, with seeds that the benchmark does not use. It gives one false change in about 400 runs."""

NOISE_AT_LEAST = 0.01
"""Smallest assumed noise of a value. If a few runs agree within 1 % by chance, a later difference of 2 % must not count
as a change."""

CHANGE_AT_LEAST = 0.03
"""A smaller change is not marked even if it is certain, because no one would look for its reason."""

OUTLIER = 4.0
"""Limit in robust deviations from the median of the neighbours. A single run beyond this limit is left out of the
levels."""

GAUSSIAN = 1.4826
"""Factor from the median absolute deviation to the standard deviation of a normal distribution."""

NEIGHBOURS = 2


def change_points(values: Sequence[float]) -> list[int]:
    """Return the index of the first value of every new level, in order.

    The result is the segmentation of the logarithms with the lowest cost: squared deviations from each level's mean,
    plus a penalty for every change (optimal partitioning: Jackson et al. 2005, whose pruned form is PELT, Killick et
    al. 2012). The noise is estimated from the differences of neighbours, because a change of level affects only one of
    these. Changes that are small compared with the scatter of the levels on both sides are removed again. A series of
    hundreds of values is short enough for a quadratic search. A change in the last run is not marked before other runs
    follow.

    Args:
        values: the values, above 0, in order of time.
    """
    n = len(values)
    if n < 2 * SEGMENT_AT_LEAST:
        return []
    logs = _without_outliers(np.log(np.asarray(values, dtype=np.float64)))
    noise = max(NOISE_AT_LEAST, _noise(logs))
    found = _partition(logs, PENALTY * noise**2 * math.log(n))
    while found:
        weakest, size = min(((at, _strength(logs, found, at, noise)) for at in found), key=lambda pair: pair[1])
        if size >= 1.0:
            break
        found.remove(weakest)
    return found


def _noise(logs: Floats) -> float:
    """Return the standard deviation of a value around its level."""
    differences = np.diff(logs)
    return float(np.median(np.abs(differences - np.median(differences)))) * GAUSSIAN / math.sqrt(2)


def _without_outliers(logs: Floats) -> Floats:
    """Return the values with single outliers replaced by the median of their neighbourhood (Hampel's filter)."""
    limit = OUTLIER * max(NOISE_AT_LEAST, _noise(logs))
    kept = logs.copy()
    for at in range(len(logs)):
        near = logs[max(0, at - NEIGHBOURS) : at + NEIGHBOURS + 1]
        middle = float(np.median(near))
        if abs(logs[at] - middle) > limit:
            kept[at] = middle
    return kept


def _partition(logs: Floats, penalty: float) -> list[int]:
    """Return where each level except the first begins, in the partition with the lowest cost."""
    n = len(logs)
    sums, squares = np.r_[0.0, np.cumsum(logs)], np.r_[0.0, np.cumsum(logs**2)]
    best = np.full(n + 1, np.inf)
    best[0] = -penalty
    begin_of = np.zeros(n + 1, dtype=np.int64)
    for end in range(SEGMENT_AT_LEAST, n + 1):
        begins = np.arange(end - SEGMENT_AT_LEAST + 1)
        total = sums[end] - sums[begins]
        cost = best[begins] + squares[end] - squares[begins] - total**2 / (end - begins) + penalty
        begin_of[end] = at = int(np.argmin(cost))
        best[end] = cost[at]
    found, end = [], n
    while end > 0:
        end = int(begin_of[end])
        if end > 0:
            found.append(end)
    return found[::-1]


def _strength(logs: Floats, changes: list[int], at: int, noise: float) -> float:
    """Return the size of a change, divided by the size of the smallest change that is marked."""
    edges = [0, *changes, len(logs)]
    place = edges.index(at)
    before, after = logs[edges[place - 1] : at], logs[at : edges[place + 1]]
    size = abs(float(after.mean() - before.mean()))
    freedom = len(before) + len(after) - 2
    squares = float(((before - before.mean()) ** 2).sum() + ((after - after.mean()) ** 2).sum())
    scatter = math.sqrt((squares + 4 * noise**2) / (freedom + 4))  # four further values, with the noise of the series
    deviation = scatter * math.sqrt(1 / len(before) + 1 / len(after))
    return min(size / math.log1p(CHANGE_AT_LEAST), size / (SURE * deviation))


SURE = 3.2
"""Standard deviations required between two levels. The number is high, because the search chooses the best of many
positions."""
