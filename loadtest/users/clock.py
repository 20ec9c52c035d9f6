"""Wake greenlets at the moment they are due: one timer of the process, exact to the kernel's own timers."""

from __future__ import annotations

import contextlib
import ctypes
import heapq
import itertools
import os
import sys
import time
from typing import Any

import gevent
from gevent.hub import get_hub

MIN_WAIT_S = 20e-6
"""A wait below this is over by the time a timer could be set: the greenlet goes on at once, letting others run."""

_CLOCK_MONOTONIC = 1  # what time.perf_counter reads on Linux
_TFD_NONBLOCK, _TFD_CLOEXEC, _TFD_TIMER_ABSTIME = 0o4000, 0o2000000, 1
_READABLE = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class TimerFd:
    """A file that becomes readable at a moment: timerfd_create(2) of Linux, which Python has from 3.13 on.

    Raises:
        OSError: this system has none.
    """

    def __init__(self) -> None:
        if not sys.platform.startswith("linux"):
            raise OSError("timerfd is Linux's")
        library = ctypes.CDLL(None, use_errno=True)
        try:
            self._settime = library.timerfd_settime
            self.fileno = library.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        except AttributeError as error:
            raise OSError("this C library has no timerfd") from error
        if self.fileno < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._spec = _TimerSpec()
        self._reference = ctypes.byref(self._spec)

    def set(self, at_s: float) -> None:
        """Become readable at `at_s` (`time.perf_counter()`) and not before; until then it is not."""
        seconds = int(at_s)
        self._spec.value.seconds = seconds
        self._spec.value.nanoseconds = int((at_s - seconds) * 1e9) or 1  # 0 would turn it off
        self._settime(self.fileno, _TFD_TIMER_ABSTIME, self._reference, None)

    def close(self) -> None:
        """Give the file back."""
        os.close(self.fileno)


class Clock:
    """The timer of one thread's event loop for all greenlets that wait for a moment.

    libev rounds its timers up to a millisecond, and every `gevent.sleep` has one of its own: a greenlet comes 0.6 ms
    late at the median. Here a timerfd wakes the loop at the moment itself, and one wake serves everybody who is due.
    Without timerfd it is one timer of the event loop, with its rounding.

    Attributes:
        exact: whether there is a timerfd.
    """

    def __init__(self, *, timerfd: bool = True) -> None:
        self._hub = get_hub()
        self._waiting: list[list[Any]] = []
        """A heap of [due_s, number, greenlet]; the greenlet is None once it waits no more."""
        self._numbers = itertools.count()
        self._set_for_s = float("inf")
        self._timer: TimerFd | None = None
        self._watcher: Any = None
        if timerfd:
            with contextlib.suppress(OSError):  # not Linux, a sandbox that forbids it, or no more files
                self._timer = TimerFd()
        self.exact = self._timer is not None
        if self._timer is not None:
            self._watcher = self._hub.loop.io(self._timer.fileno, _READABLE)
            self._watcher.start(self._wake)

    def wait_until(self, due_s: float) -> None:
        """Let others run until `due_s` (`time.perf_counter()`); at least once, also when that has passed."""
        if due_s - time.perf_counter() < MIN_WAIT_S:
            gevent.sleep(0)
            return
        entry = [due_s, next(self._numbers), gevent.getcurrent()]
        heapq.heappush(self._waiting, entry)
        if due_s < self._set_for_s:
            self._set(due_s)
        try:
            self._hub.switch()
        finally:
            entry[2] = None  # it was killed, or is awake

    def sleep(self, seconds: float) -> None:
        """Let others run for so many seconds."""
        self.wait_until(time.perf_counter() + seconds)

    def close(self) -> None:
        """Stop; nobody may be waiting."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
        if self._timer is not None:
            self._timer.close()

    def _set(self, due_s: float) -> None:
        self._set_for_s = due_s
        if self._timer is not None:
            self._timer.set(due_s)
            return
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
        self._watcher = self._hub.loop.timer(max(0.0, due_s - time.perf_counter()))
        self._watcher.start(self._wake)

    def _wake(self) -> None:
        """Switch to every greenlet that is due, in the order of their moments, and set the timer for the next."""
        waiting, now_s = self._waiting, time.perf_counter()  # who falls due meanwhile comes after the sockets' turn
        while waiting and (waiting[0][2] is None or waiting[0][0] <= now_s):
            greenlet = heapq.heappop(waiting)[2]
            if greenlet is not None:
                greenlet.switch()
        if waiting:
            self._set(waiting[0][0])
        else:
            self._set_for_s = float("inf")
            if self._timer is not None:
                self._timer.set(time.perf_counter() + 3600.0)  # no more readable, which reading it would cost as much


def clock() -> Clock:
    """Return the clock of this thread's event loop, made by the first who asks."""
    hub = get_hub()
    made: Clock | None = getattr(hub, "lt_clock", None)
    if made is None:
        made = hub.lt_clock = Clock()
    return made


def keep_waits_exact() -> None:
    """Have Locust's tasks wait on the clock, those of nested TaskSets and of its own users in this process too."""
    from locust import TaskSet

    TaskSet._sleep = _sleep  # type: ignore[method-assign]


def _sleep(self: Any, seconds: float) -> None:
    del self
    clock().sleep(seconds)
