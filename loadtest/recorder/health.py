"""Measure the load generator itself, every second: its CPU and its event-loop lag."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from gevent.hub import get_hub

from ..users.clock import clock

COMPUTING = "code that computed in the worker's own process"

PROBE_S = 0.02
"""Longest time between two measurements of the lag. A busy loop of 50 ms is always detected, and a busy loop of 20 ms
is usually detected."""


READINGS = 512
"""Number of readings of the CPU time that are kept, at most one every PROBE_S: ten seconds or more."""


@dataclass(frozen=True, slots=True)
class HealthSample:
    """The measurements of one worker in one interval.

    Attributes:
        cpu_ratio: CPU time of this process ÷ wall time; 1 means one core.
        loop_lag_ms: the longest delay of a timer in the interval.
        lag_cpu_ratio: CPU time of this process during that delay ÷ the delay. If this ratio is near 1, code in this
            process was computing. If the ratio is near 0, the process was stopped, got no CPU, or was blocked in a
            call.
    """

    cpu_ratio: float
    loop_lag_ms: float
    lag_cpu_ratio: float


@dataclass(frozen=True, slots=True)
class SlowListener:
    """The longest call of a scenario's listener in an interval: the event, the function's name, and the duration."""

    event: str = ""
    name: str = ""
    took_s: float = 0.0


def held_by(lag_s: float, lag_cpu_ratio: float, slowest: SlowListener) -> str:
    """Return what blocked the event loop; "" if nothing in this process blocked it.

    A listener of the scenario blocked the loop if a single call of the listener took at least half of the lag, even if
    the call used little CPU because the machine was busy. Otherwise, if this process used the CPU for at least half of
    the lag, other code blocked the loop: a task, a library, or Locust while it starts many users.
    """
    if slowest.took_s >= lag_s / 2 > 0:
        return f"the scenario's {slowest.event} listener {slowest.name}"
    return COMPUTING if lag_cpu_ratio >= 0.5 else ""


class HealthProbe:
    """Records how late the event loop is, each time the clock (or, if the clock is idle, a timer) wakes the loop.

    The clock's wakes are exact and happen anyway. The timer fires PROBE_S after the last measurement, so a worker that
    sends often is hardly ever woken only to be measured. A plain timer is used, because a sleeping greenlet would need
    a switch and a new timer each time.
    """

    def __init__(self) -> None:
        self._worst_s = self._worst_cpu_s = 0.0
        self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()
        self._last_s = self._wall_s
        self._readings = deque([(self._wall_s, self._cpu_s)], maxlen=READINGS)
        self._timer = get_hub().loop.timer(PROBE_S, PROBE_S, ref=False)

    def startup(self) -> None:
        """Begin to measure on the event loop of this thread."""
        self._last_s = time.perf_counter()
        self._readings.append((self._last_s, time.process_time()))
        self._timer.start(self._tick)
        clock().on_wake = self._woken

    def _tick(self) -> None:
        now_s = time.perf_counter()
        self._see(now_s, now_s - self._last_s - PROBE_S)

    def _woken(self, now_s: float, due_s: float) -> None:
        self._timer.again(self._tick)
        self._see(now_s, now_s - due_s)

    def _see(self, now_s: float, late_s: float) -> None:
        if late_s > self._worst_s:
            begin_s, begin_cpu_s = self._reading_before(now_s - late_s)
            busy_ratio = (time.process_time() - begin_cpu_s) / max(now_s - begin_s, 1e-6)
            self._worst_s, self._worst_cpu_s = late_s, busy_ratio * late_s
        self._last_s = now_s
        if now_s - self._readings[-1][0] >= PROBE_S:
            self._readings.append((now_s, time.process_time()))

    def _reading_before(self, at_s: float) -> tuple[float, float]:
        """Return the last reading of both clocks at or before a time; the oldest one if there is none.

        After a delay, the timer and the clock's wake are both late, and the first of them has already read the clocks.
        """
        return next((reading for reading in reversed(self._readings) if reading[0] <= at_s), self._readings[0])

    def take(self) -> HealthSample:
        """Return the sample since the last call, and begin the next sample."""
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        passed_s = max(wall_s - self._wall_s, 1e-3)
        sample = HealthSample(
            cpu_ratio=(cpu_s - self._cpu_s) / passed_s,
            loop_lag_ms=self._worst_s * 1000,
            lag_cpu_ratio=self._worst_cpu_s / max(self._worst_s, 1e-6),
        )
        self._wall_s, self._cpu_s, self._worst_s, self._worst_cpu_s = wall_s, cpu_s, 0.0, 0.0
        return sample
