"""Hold the state that the connections of a process share: deadlines, parsed heads, addresses and counts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gevent.hub import get_hub

from .addresses import AddressBook
from .response_parser import BodyBudget, KnownHeads

if TYPE_CHECKING:
    from typing import Protocol

    import gevent

    class Waiting(Protocol):
        """An object that waits until a deadline."""

        waiting: gevent.Greenlet | None
        deadline_ns: int

        def expire(self) -> None:
            """End the wait."""


SWEEP_S = 0.05
"""Shortest interval between checks of the deadlines. A timeout is raised at most this much too late, and never too
early."""

LONGEST_SWEEP_S = 0.5


class Deadlines:
    """The timer that ends the waits of this thread's connections at their deadlines.

    The next check is due at the earliest known deadline, or after the shortest timeout of this process, whichever comes
    first. A wait that begins after this check was planned cannot have an earlier deadline. Usual timeouts last several
    seconds, so the timer checks every LONGEST_SWEEP_S and hardly wakes the process.

    Attributes:
        connections: the open connections.
        shortest_ns: the shortest timeout so far, at most LONGEST_SWEEP_S.
    """

    def __init__(self) -> None:
        self.connections: set[Waiting] = set()
        self.shortest_ns = round(LONGEST_SWEEP_S * 1e9)
        self._timer: Any = None
        self._due_ns = 0
        self._set(time.perf_counter_ns() + self.shortest_ns)

    def shorten(self, timeout_ns: int) -> None:
        """Check often enough for waits that are this short."""
        timeout_ns = max(timeout_ns, round(SWEEP_S * 1e9))
        if timeout_ns < self.shortest_ns:
            self.shortest_ns = timeout_ns
            self._set(min(self._due_ns, time.perf_counter_ns() + timeout_ns))

    def _set(self, due_ns: int) -> None:
        if self._timer is not None:
            self._timer.close()
        self._due_ns = due_ns
        self._timer = get_hub().loop.timer(max(0.0, (due_ns - time.perf_counter_ns()) / 1e9), ref=False)
        self._timer.start(self._sweep)

    def _sweep(self) -> None:
        now_ns = time.perf_counter_ns()
        self._set(now_ns + round(SWEEP_S * 1e9))  # a greenlet that is woken may raise an error here
        earliest_ns = now_ns + self.shortest_ns
        for connection in list(self.connections):
            if connection.deadline_ns >= now_ns:
                earliest_ns = min(earliest_ns, connection.deadline_ns + 1)
            elif connection.waiting is not None:
                connection.expire()
        # a greenlet that was woken may now wait for a shorter time
        earliest_ns = min(earliest_ns, now_ns + self.shortest_ns)
        self._set(max(earliest_ns, now_ns + round(SWEEP_S * 1e9)))


@dataclass(slots=True)
class Transport:
    """The state that the connections of one process share.

    Attributes:
        resent: number of requests that were sent again on a new connection, because the server had closed the first
            connection without reading the request.
    """

    deadlines: Deadlines = field(default_factory=Deadlines)
    heads: KnownHeads = field(default_factory=KnownHeads)
    addresses: AddressBook = field(default_factory=AddressBook)
    bodies: BodyBudget = field(default_factory=BodyBudget)
    resent: int = 0
