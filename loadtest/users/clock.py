"""Wake greenlets when they are due, with one timer per process that is as precise as the kernel's timers."""

from __future__ import annotations

import contextlib
import ctypes
import heapq
import itertools
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

import gevent
from gevent.hub import get_hub

MIN_WAIT_S = 20e-6
"""A shorter wait would end before a timer could be set. In this case the greenlet lets others run once and
continues."""

CROWDED_PER_S, HOLD_S = 1_500.0, 0.3e-3
"""If CROWDED_PER_S or more greenlets become due per second, wakes are at least HOLD_S apart. A wake costs 10 to 17 µs,
more than the work of a greenlet between two waits. If 3,000 greenlets per second become due, one wake serves two
greenlets, one of which is up to 0.3 ms late."""

COUNTED = 64
"""After this many greenlets, the rate is computed again."""

AT_ONCE = 64
"""At most this many greenlets run before the sockets are served. Without this limit, a backlog of greenlets would delay
the reading of answers."""

_CLOCK_MONOTONIC = 1  # the clock that time.perf_counter reads on Linux
_TFD_NONBLOCK, _TFD_CLOEXEC, _TFD_TIMER_ABSTIME = 0o4000, 0o2000000, 1
_READABLE = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Timer(Protocol):
    """The interface of the timer that wakes a clock: a file that becomes readable at a set time.

    Attributes:
        fileno: the file's descriptor.
    """

    fileno: int

    def set(self, at_s: float) -> None:
        """Become readable at `at_s`, and not before."""

    def close(self) -> None:
        """Close the file."""


class TimerFd:
    """A file that becomes readable at a set time: Linux's timerfd_create(2), which Python offers since 3.13.

    Raises:
        OSError: this system has no timerfd.
    """

    def __init__(self) -> None:
        if not sys.platform.startswith("linux"):
            raise OSError("timerfd is Linux's")
        library = ctypes.CDLL(None, use_errno=True)
        try:
            self._settime = ctypes.PyDLL(
                None
            ).timerfd_settime  # the call never blocks, and releasing the GIL would take longer than the call
            self.fileno = library.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        except AttributeError as error:
            raise OSError("this C library has no timerfd") from error
        if self.fileno < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._spec = _TimerSpec()
        # the object is kept, because each access to the field would create another object
        self._value = self._spec.value
        self._reference = ctypes.byref(self._spec)

    def set(self, at_s: float) -> None:
        """Become readable at `at_s` (`time.perf_counter()`), and not before."""
        seconds = int(at_s)
        self._value.seconds = seconds
        self._value.nanoseconds = int((at_s - seconds) * 1e9) or 1  # because 0 would turn off the timer
        self._settime(self.fileno, _TFD_TIMER_ABSTIME, self._reference, None)

    def close(self) -> None:
        """Close the file."""
        os.close(self.fileno)


class Crowding:
    """Decide how far apart wakes are, from the number of greenlets woken recently.

    Attributes:
        hold_s: HOLD_S if the last COUNTED greenlets became due at a rate of CROWDED_PER_S or more, else 0.
    """

    __slots__ = ("_count", "_since_s", "hold_s")

    def __init__(self, now_s: float) -> None:
        self.hold_s = 0.0
        self._count, self._since_s = 0, now_s

    def woken(self, now_s: float, count: int) -> None:
        """Count the greenlets of one wake."""
        self._count += count
        if self._count >= COUNTED:
            self.hold_s = HOLD_S if self._count >= (now_s - self._since_s) * CROWDED_PER_S else 0.0
            self._count, self._since_s = 0, now_s


class Clock:
    """The timer of one thread's event loop for all greenlets that wait for a given time.

    libev rounds its timers up to a millisecond, and every `gevent.sleep` has its own timer: the median greenlet is 0.6
    ms late. This clock uses a timerfd, which wakes the loop exactly in time, and one wake serves all greenlets that are
    due. If many greenlets become due, there is a minimum time between two wakes (Crowding). On a system without
    timerfd, one timer of the event loop is used, with its rounding.

    Attributes:
        exact: whether there is a timerfd.
        on_wake: called at each wake with the time now and the time for which the timer was set (both
            `time.perf_counter()`).
    """

    def __init__(
        self,
        *,
        timerfd: bool = True,
        make_timer: Callable[[], Timer] = TimerFd,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._hub = get_hub()
        self._now = now
        self._waiting: list[list[Any]] = []
        """A heap of [due_s, number, greenlet]. The greenlet is None if it no longer waits."""
        self._numbers = itertools.count()
        self._set_for_s = float("inf")
        self._held_until_s = 0.0
        self._crowding = Crowding(now())
        self._timer: Timer | None = None
        self._watcher: Any = None
        if timerfd:
            # on other systems than Linux, in a sandbox that forbids it, or without a free file descriptor
            with contextlib.suppress(OSError):
                self._timer = make_timer()
        self.exact = self._timer is not None
        self.on_wake: Callable[[float, float], None] | None = None
        if self._timer is not None:
            self._watcher = self._hub.loop.io(self._timer.fileno, _READABLE)
            self._watcher.start(self._wake)

    def wait_until(self, due_s: float) -> None:
        """Let others run until `due_s` (`time.perf_counter()`), and at least once, even if `due_s` has passed."""
        if due_s - self._now() < MIN_WAIT_S:
            gevent.sleep(0)
            return
        entry = [due_s, next(self._numbers), gevent.getcurrent()]
        heapq.heappush(self._waiting, entry)
        if due_s < self._set_for_s and self._held_until_s < self._set_for_s:
            self._set(max(due_s, self._held_until_s))
        try:
            self._hub.switch()
        finally:
            entry[2] = None  # the greenlet was killed, or is already awake

    def sleep(self, seconds: float) -> None:
        """Let others run for this many seconds."""
        self.wait_until(self._now() + seconds)

    def close(self) -> None:
        """Stop the clock. No user may be waiting when this is called."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
        if self._timer is not None:
            self._timer.close()

    def _set(self, due_s: float) -> None:
        self._set_for_s = max(due_s, self._now())  # after a backlog, the rest is due now and not late once more
        if self._timer is not None:
            self._timer.set(due_s)
            return
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
        self._watcher = self._hub.loop.timer(max(0.0, due_s - self._now()))
        self._watcher.start(self._wake)

    def _wake(self) -> None:
        """Switch to the due greenlets, in the order of their due times, and set the timer for the next greenlet."""
        # greenlets that become due later run after the sockets have been served
        waiting, now_s = self._waiting, self._now()
        if self.on_wake is not None:
            self.on_wake(now_s, self._set_for_s)
        self._held_until_s = now_s + self._crowding.hold_s
        count = 0
        while waiting and (waiting[0][2] is None or waiting[0][0] <= now_s):
            if count == AT_ONCE:
                self._held_until_s = 0.0  # serve the sockets first, and then continue with the rest at once
                break
            greenlet = heapq.heappop(waiting)[2]
            if greenlet is not None:
                count += 1
                greenlet.switch()
        self._crowding.woken(now_s, count)
        if waiting:
            self._set(max(waiting[0][0], self._held_until_s))
        else:
            self._set_for_s = float("inf")
            if self._timer is not None:
                # this makes the file unreadable; reading the file would take as long
                self._timer.set(self._now() + 3600.0)


def clock() -> Clock:
    """Return the clock of this thread's event loop. The first call creates the clock."""
    hub = get_hub()
    made: Clock | None = getattr(hub, "lt_clock", None)
    if made is None:
        made = hub.lt_clock = Clock()
    return made


def keep_waits_exact() -> None:
    """Make Locust's tasks wait on the clock, also in nested TaskSets and in Locust's own users of this process."""
    from locust import TaskSet

    TaskSet._sleep = _sleep  # type: ignore[method-assign]


def _sleep(self: Any, seconds: float) -> None:
    del self
    clock().sleep(seconds)
