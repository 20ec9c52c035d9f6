"""Measure how the load generator itself is doing: CPU of a core and event-loop lag, second by second."""

from __future__ import annotations

import time
from dataclasses import dataclass

from gevent.hub import get_hub

COMPUTING = "code that computed in the worker's own process"

PROBE_S = 0.02
"""How often the loop is asked to come back. A busy loop of 50 ms is seen with certainty, one of 20 ms mostly."""


@dataclass(frozen=True, slots=True)
class HealthSample:
    """One interval of one worker.

    Attributes:
        cpu_ratio: CPU of this process ÷ wall time, 1 = one core.
        loop_lag_ms: the worst time by which a timer came late in the interval.
        lag_cpu_ratio: CPU of this process during that time ÷ that time. Near 1 code in this process computed; near
            0 the process was stopped, got no CPU, or waited in a call that lets nothing else run.
    """

    cpu_ratio: float
    loop_lag_ms: float
    lag_cpu_ratio: float


@dataclass(frozen=True, slots=True)
class SlowListener:
    """The longest call of a scenario's listener in an interval: the event, the function's name, and how long."""

    event: str = ""
    name: str = ""
    took_s: float = 0.0


def held_by(lag_s: float, lag_cpu_ratio: float, slowest: SlowListener) -> str:
    """Return what kept the event loop for so long; "" where nobody in this process knows.

    A listener of the scenario's that took half of the time or more, however little CPU a busy machine gave it. Else
    what used the CPU for half of it or more, which may be a task, a library, or Locust as it starts many users.
    """
    if slowest.took_s >= lag_s / 2 > 0:
        return f"the scenario's {slowest.event} listener {slowest.name}"
    return COMPUTING if lag_cpu_ratio >= 0.5 else ""


class HealthProbe:
    """A timer of the event loop, every PROBE_S, that notes how late it is called.

    A bare timer: a greenlet that sleeps would be switched to, and its timer made anew, 50 times a second.
    """

    def __init__(self) -> None:
        self._worst_s = self._worst_cpu_s = 0.0
        self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()
        self._last_s = self._last_cpu_s = 0.0
        self._timer = get_hub().loop.timer(PROBE_S, PROBE_S, ref=False)

    def startup(self) -> None:
        """Begin to measure, on the event loop of this thread."""
        self._last_s, self._last_cpu_s = time.perf_counter(), time.process_time()
        self._timer.start(self._tick)

    def _tick(self) -> None:
        now_s, cpu_s = time.perf_counter(), time.process_time()
        late_s = now_s - self._last_s - PROBE_S
        if late_s > self._worst_s:
            self._worst_s, self._worst_cpu_s = late_s, cpu_s - self._last_cpu_s
        self._last_s, self._last_cpu_s = now_s, cpu_s

    def take(self) -> HealthSample:
        """Return the sample since the last call, and begin the next."""
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        passed_s = max(wall_s - self._wall_s, 1e-3)
        sample = HealthSample(
            cpu_ratio=(cpu_s - self._cpu_s) / passed_s,
            loop_lag_ms=self._worst_s * 1000,
            lag_cpu_ratio=self._worst_cpu_s / max(self._worst_s, 1e-6),
        )
        self._wall_s, self._cpu_s, self._worst_s, self._worst_cpu_s = wall_s, cpu_s, 0.0, 0.0
        return sample
