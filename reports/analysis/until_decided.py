"""Decide during a run against two targets whether its margins are settled, so that the run can end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadtest.core.margins import Margin
from loadtest.recording.run import DecisionRecord
from reports.analysis.paired import Estimate, GrowingCounts, estimates
from reports.data import formats
from reports.data.histogram import bin_of

LOOK_RATIO, LOOK_EVERY_S = 1.04, 3.0
"""A look is made each time the run is 4 % longer, and at most every 3 s, because more looks show nothing new."""

FIRST_LOOK_S = 60.0
"""A decision needs at least this much data. A disturbance of a machine lasts for seconds, so it takes a minute to see
how much such disturbances move a difference."""

BEHIND_S = 2
"""The last seconds are left out of a look, because their requests may not have ended yet."""

AFTER_STEADY_S = 5
"""Time that is left out at the start of the steady phase, because users open their connections then."""


@dataclass(frozen=True, slots=True)
class Look:
    """The result of one look.

    Attributes:
        length_s: the length of the data that the look is based on.
        text: a short text about the state, for the live line.
        decided: the sentence that ends the run; "" while it must continue.
        slower: for each margin, True if it is exceeded, False if it holds, None while it is undecided.
        intervals: for each margin, the ends of its interval as logarithms; None while there is too little data.
        differences: for each margin, the difference between the sides as a logarithm.
        begin_s, end_s: the window of the look, in s since the load began.
    """

    length_s: float
    text: str
    decided: str
    slower: tuple[bool | None, ...]
    intervals: tuple[tuple[float, float] | None, ...]
    differences: tuple[float, ...]
    begin_s: int
    end_s: int

    def records(self, margins: Sequence[Margin]) -> list[DecisionRecord]:
        """Return the decision about each decided margin, as it is written into `run.json`."""
        return [
            DecisionRecord(
                margin=margin.text,
                slower=slower,
                difference_ratio=math.expm1(difference),
                low_ratio=math.expm1(ends[0]),
                high_ratio=math.expm1(ends[1]),
                from_s=self.begin_s,
                to_s=self.end_s,
            )
            for margin, slower, difference, ends in zip(
                margins, self.slower, self.differences, self.intervals, strict=True
            )
            if slower is not None and ends is not None
        ]


class UntilDecided:
    """Decide the margins from looks at the growing run.

    The run is decided if two looks in a row decide every margin, with the same results.

    The intervals hold at every look, but only if a minute is enough to show how much the machine is disturbed. The
    second look checks this assumption.

    Args:
        margins: how much slower the second side may be.
        begin_s: when the load reaches its maximum, in s since it began.
    """

    def __init__(self, margins: Sequence[Margin], *, begin_s: float) -> None:
        self._margins = tuple(margins)
        self._begin_s = math.ceil(begin_s) + AFTER_STEADY_S
        self._counts = GrowingCounts()
        self._next_s = self._begin_s + FIRST_LOOK_S + BEHIND_S
        self._before: tuple[bool | None, ...] = ()

    def add(
        self, side: npt.NDArray[np.uint8], start_s: npt.NDArray[np.float64], latency_us: npt.NDArray[np.int64]
    ) -> None:
        """Add successful requests: their side (1, 2), their start in s since the load began, and their latency."""
        for number in (1, 2):
            chosen = (side == number) & (start_s >= self._begin_s)
            if chosen.any():
                self._counts.add(number - 1, start_s[chosen].astype(np.int64), bin_of(latency_us[chosen]))

    def look(self, now_s: float) -> Look | None:
        """Return the result at `now_s`; None if it is too early for another look."""
        if now_s < self._next_s:
            return None
        end_s = int(now_s) - BEHIND_S
        length_s = float(end_s - self._begin_s)
        self._next_s = max(now_s + LOOK_EVERY_S, self._begin_s + BEHIND_S + length_s * LOOK_RATIO)
        a, b = self._counts.window(self._begin_s, end_s)
        wanted = tuple(dict.fromkeys(margin.statistic for margin in self._margins))
        found = {estimate.statistic: estimate for estimate in estimates(a, b, length_s=length_s, statistics=wanted)}
        judged = [_judged(margin, found[margin.statistic], length_s) for margin in self._margins]
        said = "; ".join(text for text, _, _ in judged)
        slower = tuple(is_slower for _, is_slower, _ in judged)
        sure = None not in slower and slower == self._before
        self._before = slower
        decided = f"decided after {formats.seconds(end_s)}: {said}" if sure else ""
        return Look(
            length_s,
            said,
            decided,
            slower,
            tuple(ends for _, _, ends in judged),
            tuple(found[margin.statistic].difference for margin in self._margins),
            self._begin_s,
            end_s,
        )


def _judged(margin: Margin, found: Estimate, length_s: float) -> tuple[str, bool | None, tuple[float, float] | None]:
    """Return a text about a margin, whether the margin is exceeded, and the interval of the difference."""
    if found.lacking:
        return f"B {margin.statistic}: {found.lacking}", None, None
    ends = found.interval(length_s, always_valid=True)
    low, high = (math.expm1(end) for end in ends)
    said = f"B {margin.statistic} {formats.change(math.expm1(found.difference))} ({formats.change_interval(low, high)})"
    if low > margin.ratio:
        return f"{said}, slower by more than {100 * margin.ratio:g} %", True, ends
    if high <= margin.ratio:
        return f"{said}, not slower by more than {100 * margin.ratio:g} %", False, ends
    gap = abs(found.difference - math.log1p(margin.ratio))
    needed_s = length_s * (found.multiplier(length_s).always * found.deviation / max(gap, 1e-9)) ** 2
    more = "too close to the margin to say when" if needed_s > 86_400 else f"about {formats.seconds(needed_s)} needed"
    return f"{said}, {more}", None, ends
