"""List the ways in which two sides of runs are not alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.analysis import Analysis


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which two sides are not alike, and whether that makes the comparison unfair."""

    what: str
    a: str
    b: str
    matters: bool


MATTERS = {
    "scenario": True,
    "scenario file": True,
    "load model": True,
    "peak users": True,
    "payload": True,
    "format": True,
    "endpoints": True,
    "length": True,
    "outcome": True,
    "workers": False,
    "target": False,
    "limits": False,
    "locust": False,
}
"""What is looked at, and whether a difference in it makes a comparison unfair. Targets are meant to differ."""


def differences(a: Sequence[Analysis], b: Sequence[Analysis]) -> tuple[Difference, ...]:
    """Return what is not alike, what matters first; what is not recorded on a side is not compared."""
    ours, theirs = (_described(side) for side in (a, b))
    found = [
        Difference(what, ours[what], theirs[what], matters)
        for what, matters in MATTERS.items()
        if ours[what] != theirs[what] and "" not in (ours[what], theirs[what])
    ]
    return tuple(sorted(found, key=lambda difference: not difference.matters))


def _described(side: Sequence[Analysis]) -> dict[str, str]:
    return {what: _joined(_one(each)[what] for each in side) for what in MATTERS}


def _joined(words: object) -> str:
    return ", ".join(sorted({word for word in words if word}))  # type: ignore[attr-defined] # an iterable of str


def _one(analysis: Analysis) -> dict[str, str]:
    run = analysis.run
    users = analysis.load.demand
    limits = run.target.limits.model_dump(exclude_none=True)
    return {
        "scenario": run.scenario.name,
        "scenario file": run.scenario.sha256[:12],
        "load model": run.scenario.load_model.value,
        "peak users": "" if np.isnan(users).all() else f"{np.nanmax(users):.0f}",
        "payload": str(run.options.get("payload") or ""),
        "format": str(run.format),
        "endpoints": "; ".join(sorted(f"{one.method} {one.name}" for one in analysis.series.endpoints)),
        "length": _length(analysis.series.seconds),
        "outcome": run.outcome.value,
        "workers": str(len(run.workers) or ""),
        "target": run.target.kind,
        "limits": ", ".join(f"{key} {value}" for key, value in sorted(limits.items())),
        "locust": run.versions.get("locust", ""),
    }


def _length(seconds: int) -> str:
    """Return the length in steps of about a fifth: two runs of one plan end within seconds of each other."""
    step = 10 ** (len(str(seconds)) - 1)
    steps = max(1, round(seconds / step * 2))
    return f"about {steps * step / 2 / 60:.1f} min"
