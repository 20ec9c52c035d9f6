"""Compare the CPU utilisation of the instances in a spike with that outside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from loadtest.core import cloud_metrics
from reports.data import rules
from reports.spikes.view import SpikeView


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU utilisation of the instances around a spike, 0…1; None without samples.

    Attributes:
        inside: the mean of the samples that lie in the spike.
        outside: the mean of the samples outside it, without the first minute.
        least: the lowest sample that overlaps with the spike.
    """

    inside: float | None = None
    outside: float | None = None
    least: float | None = None

    @property
    def ratio(self) -> float | None:
        """The utilisation in the spike divided by that outside."""
        return None if self.inside is None or self.outside is None else self.inside / max(self.outside, 1e-6)

    @property
    def full(self) -> bool:
        """Whether the instances had hardly any free CPU, in the spike and outside it."""
        return min(self.least or 0.0, self.outside or 0.0) >= rules.CPU_FULL


def cpu_of(view: SpikeView) -> Cpu:
    """Return the CPU utilisation around a spike. A sample lies in the spike if at least four fifths of its time do."""
    inside: list[float] = []
    outside: list[float] = []
    touching: list[float] = []
    for begin_s, end_s, value in _samples(view):
        overlap_s = min(end_s, view.spike.end_s) - max(begin_s, view.spike.onset_s)
        if overlap_s >= 0.8 * (end_s - begin_s):
            inside.append(value)
        if overlap_s > 0:
            touching.append(value)
        elif begin_s >= 60:
            outside.append(value)
    return Cpu(_mean(inside), _mean(outside), min(touching, default=None))


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _samples(view: SpikeView) -> Iterator[tuple[float, float, float]]:
    """Yield the begin, the end and the value of each sample. A sample without a length covers the minute before it."""
    for metric in view.data.cloud or ():
        if metric.metric != cloud_metrics.CPU:
            continue
        for begin_s, end_s, value in zip(
            metric.start_s.tolist(), metric.end_s.tolist(), metric.value.tolist(), strict=True
        ):
            if not np.isnan(value):
                yield (min(begin_s, end_s - 60) if end_s - begin_s < 1 else begin_s), end_s, value
