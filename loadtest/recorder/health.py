"""Measure how the load generator itself is doing: CPU of a core and event-loop lag, second by second."""

from __future__ import annotations

import time
from dataclasses import dataclass

from gevent.hub import get_hub

PROBE_S = 0.02
"""How often the loop is asked to come back. A busy loop of 50 ms is seen with certainty, one of 20 ms mostly."""


@dataclass(frozen=True, slots=True)
class HealthSample:
    """One interval of one worker.

    Attributes:
        cpu_ratio: CPU of this process ÷ wall time, 1 = one core.
        loop_lag_ms: the worst time by which a timer came late in the interval.
    """

    cpu_ratio: float
    loop_lag_ms: float


class HealthProbe:
    """A timer of the event loop, every PROBE_S, that notes how late it is called.

    A bare timer: a greenlet that sleeps would be switched to, and its timer made anew, 50 times a second.
    """

    def __init__(self) -> None:
        self._worst_s = 0.0
        self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()
        self._last_s = 0.0
        self._timer = get_hub().loop.timer(PROBE_S, PROBE_S, ref=False)

    def startup(self) -> None:
        """Begin to measure, on the event loop of this thread."""
        self._last_s = time.perf_counter()
        self._timer.start(self._tick)

    def _tick(self) -> None:
        now_s = time.perf_counter()
        self._worst_s = max(self._worst_s, now_s - self._last_s - PROBE_S)
        self._last_s = now_s

    def take(self) -> HealthSample:
        """Return the sample since the last call, and begin the next."""
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        passed_s = max(wall_s - self._wall_s, 1e-3)
        sample = HealthSample(cpu_ratio=(cpu_s - self._cpu_s) / passed_s, loop_lag_ms=self._worst_s * 1000)
        self._wall_s, self._cpu_s, self._worst_s = wall_s, cpu_s, 0.0
        return sample
