"""Define the vocabulary of causes, and what a rule for one of them is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from reports.spikes.view import SpikeView


class Cause(StrEnum):
    """Why p95 rose. The report uses these names; docs/terms.md explains each."""

    GENERATOR = "load generator"
    MACHINE = "this machine was busy"
    REFUSED = "refused at max instances"
    REPLACED = "instance lost and replaced"
    COLD_START = "cold start from zero"
    REVISION = "new revision"
    LAZY = "first requests on a warm instance"
    THROTTLED = "CPU throttled between requests"
    ENDPOINT = "one endpoint slow"
    SLOW_INSTANCE = "one slow instance"
    PAUSES = "periodic pauses"
    ADDED_INSTANCE = "cold start of an added instance"
    SCALE_OUT = "saturation, then scale-out"
    SATURATION = "saturation without scale-out"
    SATURATION_UNSEEN = "saturation, scaling not known"
    OUTAGE = "outage"
    ERRORS = "errors"
    DEPENDENCY = "slow dependency"
    UNEXPLAINED = "unexplained"


SATURATIONS = frozenset({Cause.SCALE_OUT, Cause.SATURATION, Cause.SATURATION_UNSEEN, Cause.REFUSED})
"""The causes that load itself makes."""


class Confidence(StrEnum):
    """How much the evidence leaves open."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found: a cause, how sure it is, and clauses with numbers that it rests on (at least one)."""

    cause: Cause
    confidence: Confidence
    clauses: tuple[str, ...]


Evidence = TypeVar("Evidence")


@dataclass(frozen=True, slots=True)
class Rule(Generic[Evidence]):
    """One cause: `look` gathers its evidence from a spike (None: there is none), `decide` judges it; both are pure."""

    name: str
    look: Callable[[SpikeView], Evidence | None]
    decide: Callable[[Evidence], Finding | None]

    def apply(self, view: SpikeView) -> Finding | None:
        """Return what the rule finds in a spike; None where it does not hold."""
        evidence = self.look(view)
        return None if evidence is None else self.decide(evidence)
