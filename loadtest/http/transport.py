"""Hold the state that the connections of a process share: deadlines, parsed heads, addresses and counts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
"""Interval between checks of the deadlines. A timeout comes at most this much late, and never early."""


class Deadlines:
    """The timer that ends the waits of this thread's connections at their deadlines."""

    def __init__(self) -> None:
        self.connections: set[Waiting] = set()
        self._timer = get_hub().loop.timer(SWEEP_S, SWEEP_S, ref=False)
        self._timer.start(self._sweep)

    def _sweep(self) -> None:
        now_ns = time.perf_counter_ns()
        for connection in list(self.connections):
            if connection.waiting is not None and connection.deadline_ns < now_ns:
                connection.expire()


@dataclass(slots=True)
class Transport:
    """The state that the connections of one process share.

    Attributes:
        resent: number of requests that were sent again on a new connection, because the first connection had been
            closed unread.
    """

    deadlines: Deadlines = field(default_factory=Deadlines)
    heads: KnownHeads = field(default_factory=KnownHeads)
    addresses: AddressBook = field(default_factory=AddressBook)
    bodies: BodyBudget = field(default_factory=BodyBudget)
    resent: int = 0
