"""Watch an objective over the last seconds of a run that is still going."""

from __future__ import annotations

import math
from collections.abc import Iterable

from recording.frames import OUTCOMES
from recording.objectives import Objective, Unit

OK, TIMEOUT = OUTCOMES.index("ok"), OUTCOMES.index("timeout")

BIN_RATIO = 1.01
"""Latencies are kept in bins of 1 %: a condition to stop a run needs no more."""

SETTLE_S = 2
"""A second is judged this much later: rows come at the end of their requests, and frames once a second."""


class LiveJudge:
    """Says when an objective's condition held over a whole window of the run so far.

    For `--stop-on "error_rate > 50% for 10s"`: feed rows as they arrive, ask once a second. Memory is bounded by the
    window. Rows that come later than SETTLE_S after their second change nothing that was already judged. Percentiles
    are of successful requests and time-outs, these counted as slowest; an objective's phase is not looked at, as a
    running run has no phases yet.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self._window_s = objective.window_s or 1
        self._ended: dict[int, int] = {}
        self._ok: dict[int, int] = {}
        self._bins: dict[int, dict[int, int]] = {}
        self._first_s: int | None = None

    def add(self, start_ns: Iterable[int], latency_us: Iterable[int], outcome: Iterable[int]) -> None:
        """Count rows that ended: start in UTC ns, latency in µs, outcome as an index into frames.OUTCOMES."""
        for start, latency, what in zip(start_ns, latency_us, outcome, strict=True):
            second = (start + latency * 1000) // 1_000_000_000
            self._ended[second] = self._ended.get(second, 0) + 1
            if self._first_s is None or second < self._first_s:
                self._first_s = second
            if what == OK:
                self._ok[second] = self._ok.get(second, 0) + 1
            if what in {OK, TIMEOUT} and self.objective.unit is Unit.MS:
                bins = self._bins.setdefault(second, {})
                slot = int(math.log(max(latency, 1)) / math.log(BIN_RATIO)) if what == OK else 1 << 30
                bins[slot] = bins.get(slot, 0) + 1

    def value(self, now_s: float) -> float | None:
        """Return the objective's value over the last settled window, in its unit; None while there is none.

        Args:
            now_s: UTC now, in seconds.
        """
        end = int(now_s) - SETTLE_S
        begin = end - self._window_s
        for kept in (self._ended, self._ok, self._bins):
            for second in [second for second in kept if second < begin]:
                del kept[second]
        if self._first_s is None or self._first_s > begin:
            return None
        ended = sum(count for second, count in self._ended.items() if begin <= second < end)
        ok = sum(count for second, count in self._ok.items() if begin <= second < end)
        if self.objective.unit is Unit.PER_S:
            return ok / self._window_s
        if not ended:
            return None
        return (ended - ok) / ended if self.objective.unit is Unit.RATIO else self._percentile_ms(begin, end)

    def fires(self, now_s: float) -> bool:
        """Whether the condition held over the last settled window; never without data."""
        value = self.value(now_s)
        return value is not None and self.objective.met_by(value)

    def _percentile_ms(self, begin: int, end: int) -> float | None:
        merged: dict[int, int] = {}
        for second, bins in self._bins.items():
            if begin <= second < end:
                for slot, count in bins.items():
                    merged[slot] = merged.get(slot, 0) + count
        rank = math.ceil((self.objective.quantile or 0.0) * sum(merged.values()))
        for slot in sorted(merged):
            rank -= merged[slot]
            if rank <= 0:
                return math.inf if slot == 1 << 30 else BIN_RATIO ** (slot + 0.5) / 1000
        return None
