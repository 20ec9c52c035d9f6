"""Tell whether two sides of runs differ, with intervals that know requests are correlated in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from reports.analysis import Analysis


class Verdict(StrEnum):
    """What an interval says against ± rules.MARGIN."""

    SLOWER = "slower"
    FASTER = "faster"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which two sides are not alike, and whether that makes the comparison unfair."""

    what: str
    a: str
    b: str
    matters: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """One quantile of one phase or endpoint on two sides.

    Attributes:
        scope: a phase's name (`all` among them), or `METHOD name` of an endpoint in its steady phase.
        p: the quantile, 0…1.
        a_ms, b_ms: on each side; None when a side has no successful request there.
        difference_ratio: b / a − 1.
        low_ratio, high_ratio: its 95 % interval; None when there is too little to make one.
        verdict: against ± rules.MARGIN.
        needed_s: length of run per side at which this spread would decide; only when inconclusive and computable.
        why: one sentence when there is no interval, else "".
    """

    scope: str
    p: float
    a_ms: float | None
    b_ms: float | None
    difference_ratio: float | None
    low_ratio: float | None
    high_ratio: float | None
    verdict: Verdict
    needed_s: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides of one or more runs; the second is measured against the first."""

    comparable: bool
    differences: tuple[Difference, ...]
    lines: tuple[Compared, ...]
    notes: tuple[str, ...]


def compare(a: Sequence[Analysis], b: Sequence[Analysis], *, seed: int = 0) -> Comparison:
    """Return whether side `b` is slower or faster than side `a`, phase by phase and endpoint by endpoint."""
    del a, b, seed
    return Comparison(True, (), (), ())
