"""Describe the state of a run in progress in sentences."""

from __future__ import annotations

from loadtest.core.objectives import Unit
from reports.data import formats
from reports.live.tally import Event, FailingEndpoint, SoFar
from reports.render.bodies import gist_of


def describe(event: Event) -> str:
    """Return an event with its time, as a sentence."""
    return f"{formats.elapsed(event.at_s)}: {event.text}."


def failing_text(found: FailingEndpoint, body: str) -> str:
    """Return a sentence on an endpoint that has only failed. `body` is the body of its first failed answer."""
    how = f"HTTP {found.status}" if found.status >= 400 else "a failed check" if found.status else "no answer"
    said = f", {gist_of(body)}" if body else ""
    first = formats.plural(found.requests, "request")
    return f"the first {first} of {found.method} {found.name} all failed: {how}{said}"


def objective_text(found: SoFar) -> str:
    """Return an objective with its value so far, and whether it holds."""
    mark = "?" if found.held is None else "✓" if found.held else "✗"
    return f"{mark} {found.objective.text}: {_value(found)}"


def _value(found: SoFar) -> str:
    if found.value is None:
        return "known after the run"
    if found.objective.unit is Unit.RATIO:
        return f"{formats.percent(found.value)} so far"
    return f"{formats.ms(found.value)} so far" if found.objective.unit is Unit.MS else f"{found.value:.1f}/s so far"
