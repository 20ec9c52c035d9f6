"""Spread the starts of users over the second in which Locust starts them all at once.

Locust starts as many users a second as the spawn rate says, and all of a second in one moment. A thousand connections
opened at once overflow the listen backlog of most servers (128 to 511): the kernel tries those again after 1 s, and the
service is seen to take 1 s for what it never refused.
"""

from __future__ import annotations

AT_ONCE = 50
"""So many users of a process start together, as Locust starts them."""

SPREAD_S = 1.0
"""Locust starts users once a second."""


class Batch:
    """The users that are made before any of them runs."""

    def __init__(self) -> None:
        self.users = 0

    def pause_s(self, number: int) -> float:
        """Return how long the user of this number (0, 1, …) waits before it starts, once the batch is whole."""
        return number * SPREAD_S / self.users if self.users > AT_ONCE else 0.0


class Starts:
    """The batches of one process."""

    def __init__(self) -> None:
        self._forming: Batch | None = None

    def join(self) -> tuple[Batch, int]:
        """Return the batch of a user that was just made, and its number in it."""
        if self._forming is None:
            self._forming = Batch()
        batch = self._forming
        batch.users += 1
        return batch, batch.users - 1

    def close(self) -> None:
        """Note that users run: those that are made from now on are another batch."""
        self._forming = None


STARTS = Starts()
"""Of this process."""
