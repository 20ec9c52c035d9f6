"""Store numbers per point in time in bounded memory, for a run of any length."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from reports.data.histogram import BINS, MIDDLE_US, Bools, Floats, Ints, bin_of, ranked

MAX_POINTS = 1024
"""Highest number of points. If a run needs more, each pair of points is merged into one: a run of an hour then has
points of 4 s. A chart is at most about 1,200 pixels wide."""

PERCENTILES = (0.5, 0.95, 0.99)


class Points:
    """Sums, highest values and latency counts per step of time. The step doubles when the run exceeds MAX_POINTS.

    Attributes:
        step_s: the length of a point.
        length: the number of points since t = 0.
    """

    def __init__(self) -> None:
        self.step_s = 1
        self.length = 0
        self._sums: dict[str, Floats] = {}
        self._highest: dict[str, Floats] = {}
        self._latency = np.zeros((MAX_POINTS, BINS), dtype=np.uint32)
        self._percentiles = np.full((len(PERCENTILES), MAX_POINTS), np.nan)
        self._stale: Bools = np.zeros(MAX_POINTS, dtype=np.bool_)

    def reach(self, last_s: int) -> None:
        """Extend the points up to the second `last_s`."""
        while last_s // self.step_s >= MAX_POINTS:
            self._halve()
        self.length = max(self.length, last_s // self.step_s + 1)

    def add(self, name: str, second: Ints, weights: Floats | None = None) -> None:
        """Add 1, or the given weight, for each given second. Before this, call `reach` with the last second."""
        column = self._sums.setdefault(name, np.zeros(MAX_POINTS))
        column += np.bincount(second // self.step_s, weights=weights, minlength=MAX_POINTS)

    def highest(self, name: str, second: int, value: float) -> None:
        """Keep the highest value of each point."""
        column = self._highest.setdefault(name, np.full(MAX_POINTS, np.nan))
        at = second // self.step_s
        column[at] = np.fmax(column[at], value)

    def add_latency(self, second: Ints, us: Ints) -> None:
        """Count latencies by the seconds in which their requests began."""
        at = second // self.step_s
        np.add.at(self._latency, (at, bin_of(us)), 1)
        self._stale[at] = True

    def per_s(self, name: str) -> Floats:
        """Return the sums for a name per second; 0 if nothing was added."""
        return self._sums.get(name, np.zeros(MAX_POINTS))[: self.length] / self.step_s

    def sum_between(self, name: str, begin_s: float, end_s: float) -> float:
        """Return the sum over the points that begin in a period of time."""
        return float(self._sums.get(name, np.zeros(MAX_POINTS))[self._between(begin_s, end_s)].sum())

    def most(self, name: str) -> Floats:
        """Return the highest values for a name; NaN if no value was added."""
        return self._highest.get(name, np.full(MAX_POINTS, np.nan))[: self.length]

    def names(self) -> list[str]:
        """Return the names of all sums."""
        return list(self._sums)

    def percentile_ms(self, p: float) -> Floats:
        """Return one of PERCENTILES for each point, within 0.4 %; NaN if no request succeeded."""
        stale = np.flatnonzero(self._stale)
        if len(stale):
            counts = self._latency[stale]
            total = counts.sum(axis=1)
            for row, wanted in enumerate(PERCENTILES):
                self._percentiles[row, stale] = MIDDLE_US[ranked(counts, rank_of(wanted, total))] / 1000
            self._stale[:] = False
        return self._percentiles[PERCENTILES.index(p), : self.length]

    def latency_between(self, begin_s: float, end_s: float) -> Ints:
        """Return the number of successful requests of a period in each latency bin."""
        return np.asarray(self._latency[self._between(begin_s, end_s)].sum(axis=0), dtype=np.int64)

    def _between(self, begin_s: float, end_s: float) -> slice:
        begin = min(self.length, max(0, math.ceil(begin_s / self.step_s))) if begin_s > 0 else 0
        end = min(self.length, max(begin, math.ceil(end_s / self.step_s))) if end_s < math.inf else self.length
        return slice(begin, end)

    def _halve(self) -> None:
        """Merge each pair of points into one."""
        for columns, joined in ((self._sums, np.add), (self._highest, np.fmax)):
            for name, column in columns.items():
                columns[name] = _paired(column, joined, empty=0.0 if joined is np.add else np.nan)
        half = MAX_POINTS // 2
        self._latency[:half] = self._latency[::2] + self._latency[1::2]
        self._latency[half:] = 0
        self._percentiles[:] = np.nan
        self._stale = np.asarray(self._latency.any(axis=1), dtype=np.bool_)
        self.step_s *= 2
        self.length = -(-self.length // 2)


def rank_of(p: float, total: npt.NDArray[np.generic]) -> Ints:
    """Return the rank of a quantile among this number of requests (1 = the fastest): nearest rank, as in the report."""
    return np.maximum(1, np.ceil(p * np.asarray(total, dtype=np.float64) - 1e-9)).astype(np.int64)


def quantile_ms(counts: Ints, p: float) -> float | None:
    """Return a quantile of latency counts by bin, within 0.4 %; None without requests."""
    total = counts.sum()
    return float(MIDDLE_US[ranked(counts[None, :], rank_of(p, np.array([total])))][0]) / 1000 if total else None


def _paired(column: Floats, joined: Callable[[Floats, Floats], Floats], *, empty: float) -> Floats:
    found = np.full(MAX_POINTS, empty)
    found[: MAX_POINTS // 2] = joined(column[::2], column[1::2])
    return found
