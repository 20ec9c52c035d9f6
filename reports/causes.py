"""Name the cause of a spike, with the evidence for it and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from recording.run import Run
from reports.cloud import InstanceGauge
from reports.load import Load
from reports.series import Series
from reports.spikes import Spike


class Cause(StrEnum):
    """Why p95 rose. The words are the report's own; docs/terms.md explains each."""

    ERRORS = "errors"
    COLD_START = "cold start from zero"
    ADDED_INSTANCE = "cold start of an added instance"
    SCALE_OUT = "saturation, then scale-out"
    SATURATION = "saturation without scale-out"
    SATURATION_UNSEEN = "saturation, scaling not known"
    GENERATOR = "load generator"
    UNEXPLAINED = "unexplained"


class Confidence(StrEnum):
    """How much the evidence leaves open."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A cause, how sure it is, and the sentences with numbers that it rests on (at least one)."""

    cause: Cause
    confidence: Confidence
    evidence: tuple[str, ...]


def explain(spike: Spike, series: Series, load: Load, gauge: InstanceGauge | None, run: Run) -> Explanation:
    """Return why a spike happened; `unexplained` is an answer."""
    del spike, series, load, gauge, run
    return Explanation(Cause.UNEXPLAINED, Confidence.LOW, ("not looked at",))
