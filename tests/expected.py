"""Tell the real rises of a simulated run from those by chance."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from tests.kinds import Drawn
from tests.world import Floats, run_repeatedly

NEAR_S = 15
"""An event can have effects for this long after its end."""

REPETITIONS = 20
"""Number of repetitions of a run. The standard deviation of the p95 of half a minute in them is about 5 %."""


def rises(latency_s: Floats, level_s: float, runs: int = 1) -> bool:
    """Whether the latencies, which come from this many runs, are a material rise above a normal p95.

    p95 must be at least 1.6 × normal with ten slow requests in a run, or 5 × normal with four.
    """
    high, slow = float(np.percentile(latency_s, 95)), int((latency_s > 1.6 * level_s).sum()) / runs
    return (high >= 1.6 * level_s and slow >= 10) or (high >= 5 * level_s and slow >= 4)


class Expected:
    """The latencies that a run has on average if only chance is different.

    A run can have real rises besides the events that were drawn: a queue after a scale-in, users who send in step after
    they all waited for the same instance, or instances that are full while the service time is a few percent longer. A
    rise in the run's own latencies may be one of these, or only a few long requests that met by chance. So the run is
    repeated with the same arrivals, instances, faults and drift of the service time, but other service times. A real
    rise is in the repetitions too; one by chance is not.

    Normal is the lower quartile of the expected p95 in ten seconds outside the events. It is not the median, because
    a real rise can last until the end of the run.
    """

    def __init__(self, drawn: Drawn, seed: int, *, repetitions: int = REPETITIONS) -> None:
        self.drawn, self.seed, self.repetitions = drawn, seed, repetitions

    @cached_property
    def requests(self) -> tuple[Floats, Floats]:
        """The starts and latencies of the successful requests of all repetitions."""
        runs = run_repeatedly(self.drawn.world, self.seed, self.repetitions)
        ok = [run.outcome == 0 for run in runs]
        return (
            np.concatenate([run.start_s[kept] for run, kept in zip(runs, ok, strict=True)]),
            np.concatenate([run.latency_s[kept] for run, kept in zip(runs, ok, strict=True)]),
        )

    @cached_property
    def level_s(self) -> float | None:
        """The normal p95; None if events leave no time outside them."""
        levels = [
            float(np.percentile(found, 95))
            for at_s in range(0, self.drawn.world.seconds - 9, 10)
            if not any(event.at_s - 5 < at_s + 10 and at_s < event.end_s + NEAR_S for event in self.drawn.happenings)
            and len(found := self._between(at_s, at_s + 10)) >= 10 * self.repetitions
        ]
        return float(np.percentile(levels, 25)) if levels else None

    def _between(self, begin_s: float, end_s: float) -> Floats:
        start_s, latency_s = self.requests
        return np.asarray(latency_s[(start_s >= begin_s) & (start_s < end_s)])

    def material(self, onset_s: float, end_s: float) -> bool:
        """Whether p95 of this time is expected to be a material rise; True if there is no normal time to compare."""
        inside = self._between(onset_s, end_s)
        return bool(len(inside)) and (self.level_s is None or rises(inside, self.level_s, self.repetitions))
