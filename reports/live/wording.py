"""Say what is known of a run in progress."""

from __future__ import annotations

from loadtest.core.objectives import Unit
from reports.data import formats
from reports.live.tally import Event, SoFar


def describe(event: Event) -> str:
    """Return an event with its moment, as a sentence."""
    return f"{formats.elapsed(event.at_s)}: {event.text}."


def objective_text(found: SoFar) -> str:
    """Return an objective with what was measured so far, and whether that holds."""
    mark = "?" if found.held is None else "✓" if found.held else "✗"
    return f"{mark} {found.objective.text}: {_value(found)}"


def _value(found: SoFar) -> str:
    if found.value is None:
        return "known after the run"
    if found.objective.unit is Unit.RATIO:
        return f"{formats.percent(found.value)} so far"
    return f"{formats.ms(found.value)} so far" if found.objective.unit is Unit.MS else f"{found.value:.1f}/s so far"
