"""Judge a run against its objectives: held, missed or undecided, with the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from recording.objectives import Objective
from reports.exact import Distribution
from reports.phases import Phase
from reports.series import Series


class Judged(StrEnum):
    """What became of an objective. Missing data is undecided, never held."""

    HELD = "held"
    MISSED = "missed"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One objective, judged.

    Attributes:
        objective: what was asked.
        verdict: what became of it.
        value: what was measured, in the objective's unit; the worst window's for a windowed one; None without data.
        why: one sentence with the numbers.
    """

    objective: Objective
    verdict: Judged
    value: float | None
    why: str


def judge(objective: Objective, series: Series, parts: Sequence[Phase], by_phase: Sequence[Distribution]) -> Judgement:
    """Return whether the run held an objective.

    Args:
        objective: what was asked.
        series: the run.
        parts: its phases.
        by_phase: exact latencies of the successful, in the order of `parts`.
    """
    del series, parts, by_phase
    return Judgement(objective, Judged.UNDECIDED, None, "not looked at")
