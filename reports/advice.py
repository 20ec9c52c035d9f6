"""Suggest settings from what a run showed, with the arithmetic and what each costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recording.prices import Prices
from recording.run import Run
from reports.causes import Cause
from reports.phases import Phase
from reports.series import Series


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One setting.

    Attributes:
        option: as the deploy command has it, e.g. `--min-instances`.
        value: to give it.
        why: one sentence.
        arithmetic: with the run's own numbers in it.
        assumptions: what must hold for it to be right.
        cost: what choosing it costs (or saves); None when it costs nothing that is known.
    """

    option: str
    value: str
    why: str
    arithmetic: str
    assumptions: tuple[str, ...]
    cost: str | None


def suggest(
    run: Run, series: Series, parts: Sequence[Phase], causes: Sequence[Cause], prices: Prices
) -> tuple[Suggestion, ...]:
    """Return what the run suggests to set; empty when it says nothing about settings."""
    del run, series, parts, causes, prices
    return ()
