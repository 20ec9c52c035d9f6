"""Spread the starts of users evenly over a second.

Once a second, Locust starts as many users as the spawn rate says, and all of them at the same time. A thousand
connections opened at once overflow the listen backlog of most servers (128 to 511). The kernel tries the rejected
connections again after 1 s, so the service seems to take 1 s although it is not slow.
"""

from __future__ import annotations

AT_ONCE = 50
"""Up to this many users of a process start together, as in Locust."""

SPREAD_S = 1.0
"""Locust starts users once a second."""


class Batch:
    """The users that are created before any of them runs."""

    def __init__(self) -> None:
        self.users = 0

    def pause_s(self, number: int) -> float:
        """Return how long the user with this number (0, 1, …) waits before it starts.

        Call this when the batch is complete.
        """
        return number * SPREAD_S / self.users if self.users > AT_ONCE else 0.0


class Starts:
    """The batches of one process."""

    def __init__(self) -> None:
        self._forming: Batch | None = None

    def join(self) -> tuple[Batch, int]:
        """Return the batch of a newly created user, and its number in the batch."""
        if self._forming is None:
            self._forming = Batch()
        batch = self._forming
        batch.users += 1
        return batch, batch.users - 1

    def close(self) -> None:
        """Record that the users of a batch run. Users that are created from now on belong to another batch."""
        self._forming = None


STARTS = Starts()
"""The starts of this process."""
