"""Find where throughput stopped growing with load, or say that the run did not get there."""

from __future__ import annotations

from dataclasses import dataclass

from reports.cloud import InstanceGauge
from reports.load import Load
from reports.series import Series


@dataclass(frozen=True, slots=True)
class CapacityPoint:
    """One window: requests in flight (mean), successful answers per second, and their p95; per instance or not."""

    at_s: int
    in_flight: float
    throughput_per_s: float
    p95_ms: float | None


@dataclass(frozen=True, slots=True)
class Capacity:
    """The knee, or why there is none.

    Attributes:
        reached: whether the run went past its knee; if not, the two numbers are None.
        in_flight_at_knee: requests in flight where the light-load line meets the plateau.
        throughput_max_per_s: highest sustained throughput.
        per_instance: whether all numbers are per serving instance.
        text: one sentence that says it.
        points: what it was read from.
    """

    reached: bool
    in_flight_at_knee: float | None
    throughput_max_per_s: float | None
    per_instance: bool
    text: str
    points: tuple[CapacityPoint, ...]


def capacity(series: Series, load: Load, gauge: InstanceGauge | None) -> Capacity:
    """Return what the run says about capacity."""
    del series, load, gauge
    return Capacity(False, None, None, False, "not looked at", ())
