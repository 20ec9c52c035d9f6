"""Compute how late a scheduled request was sent."""

from __future__ import annotations

import gevent

DUE = "lt_due_s"
"""The attribute of an arrival's greenlet that contains the arrival's due time (`time.perf_counter()`, in s)."""


def take_lateness_us(sent_s: float) -> int:
    """Return how late the current arrival's first request was sent, in µs; −1 for a request without a schedule.

    Later requests of the same arrival depend on the answer to the first request and have no schedule, so for them the
    result is also −1.
    """
    greenlet = gevent.getcurrent()
    due_s = getattr(greenlet, DUE, None)
    if due_s is None:
        return -1
    setattr(greenlet, DUE, None)
    late_us: int = max(0, round((sent_s - due_s) * 1e6))
    return late_us
