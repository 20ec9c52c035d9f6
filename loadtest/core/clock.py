"""Give each process a wall clock that never jumps, and detect steps of the machine's own clock."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

LEAST_STEP_S = 0.25
"""Smaller differences are ignored, because they come from slewing (at most 0.05 %) or from a reading that was
interrupted."""


@dataclass(frozen=True, slots=True)
class ClockStep:
    """A step of the machine's wall clock: its size, and the time of the step (UTC ns) on this process's clock."""

    at_ns: int
    by_s: float


class AnchoredClock:
    """A clock that reads UTC once, when it is created, and then follows the monotonic clock.

    Every timestamp of a process comes from such a clock. If the wall clock is set during a run (by hand, by NTP, when a
    virtual machine wakes up), the times of rows, rates and phases are not affected.

    Attributes:
        ahead_ns: UTC ns of this clock minus `monotonic_ns()`, which is constant.
    """

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        self._wall_ns, self._monotonic_ns = wall_ns, monotonic_ns
        self.ahead_ns = self._ahead_now_ns()
        self._stepped_ns = 0

    def now_ns(self) -> int:
        """Return the current time in UTC ns."""
        return self._monotonic_ns() + self.ahead_ns

    def now_s(self) -> float:
        """Return the current time in UTC seconds, as `time.time()` would if it never jumped."""
        return self.now_ns() / 1e9

    def from_wall_ns(self, wall_ns: int) -> int:
        """Convert `wall_ns` of the wall clock to this clock, assuming that the wall clock has not stepped since."""
        return wall_ns - self._ahead_now_ns() + self.ahead_ns

    def take_step(self) -> ClockStep | None:
        """Return the step of the machine's wall clock since the last call; None if there was none."""
        moved_ns = self._ahead_now_ns() - self.ahead_ns - self._stepped_ns
        if abs(moved_ns) < LEAST_STEP_S * 1e9:
            return None
        self._stepped_ns += moved_ns
        return ClockStep(self.now_ns(), moved_ns / 1e9)

    def _ahead_now_ns(self) -> int:
        """Return how far the wall clock is ahead of the monotonic clock. Of three readings, the fastest is used."""
        readings = []
        for _ in range(3):
            before_ns = self._monotonic_ns()
            wall_ns = self._wall_ns()
            after_ns = self._monotonic_ns()
            readings.append((after_ns - before_ns, wall_ns - (before_ns + after_ns) // 2))
        return min(readings)[1]


@functools.cache
def process_clock() -> AnchoredClock:
    """Return this process's clock, anchored at the first call."""
    return AnchoredClock()
