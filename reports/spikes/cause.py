"""Define the vocabulary of causes, and the form of a rule for one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from reports.spikes.view import SpikeView


class Cause(StrEnum):
    """Why p95 rose. The report uses these names; docs/terms.md explains each.

    The rules are tried in this order, and the first rule that holds gives the cause. Causes in the measurement itself
    come first, because measurements of a saturated load generator say nothing about the service. A cause in one part of
    the service comes before one in the whole service.
    """

    GENERATOR = "load generator"
    MACHINE = "this machine was busy"
    REPLACED = "instance lost and replaced"
    REFUSED = "refused at max instances"
    REVISION = "new revision"
    COLD_START = "cold start from zero"
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
"""The causes in which there was too much load."""


class Confidence(StrEnum):
    """The confidence in a cause."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Finding:
    """The finding of a rule: a cause, its confidence, and one or more clauses with numbers as reasons."""

    cause: Cause
    confidence: Confidence
    clauses: tuple[str, ...]


Evidence = TypeVar("Evidence")


@dataclass(frozen=True, slots=True)
class Rule(Generic[Evidence]):
    """One cause: `look` collects its evidence from a spike (None if there is none), and `decide` judges it.

    Both are pure.

    Attributes:
        cause: the cause that the rule can find, or the first of several.
        fails_requests: whether the cause can also explain an outage.
    """

    cause: Cause
    look: Callable[[SpikeView], Evidence | None]
    decide: Callable[[Evidence], Finding | None]
    fails_requests: bool = False

    def apply(self, view: SpikeView) -> Finding | None:
        """Return the rule's finding for a spike; None if the rule does not hold."""
        evidence = self.look(view)
        return None if evidence is None else self.decide(evidence)
