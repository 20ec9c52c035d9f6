"""Define a time window of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reports.data.histogram import Ints


@dataclass(frozen=True, slots=True)
class Window:
    """Whole seconds after t = 0, from `start_s` up to but excluding `end_s`."""

    start_s: int
    end_s: int

    @property
    def length_s(self) -> int:
        """The length of the window."""
        return max(0, self.end_s - self.start_s)

    def sum(self, per_second: Ints) -> int:
        """Return the sum of a per-second count over the window."""
        return int(np.sum(per_second[self.start_s : self.end_s]))

    def holds(self, at_s: float) -> bool:
        """Whether a time lies in the window."""
        return self.start_s <= at_s < self.end_s
