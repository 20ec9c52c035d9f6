"""Choose the runs to report when nobody named any."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import UnknownRunError
from .catalogue import list_runs
from .folder import RunFolder
from .run import Outcome, Run

REMOTE = ("cloud", "emulator")
"""Targets that scale: what a local run is compared with."""


def newest_pair(runs: Path) -> tuple[list[RunFolder], list[str]]:
    """Return the newest local run and the newest cloud or emulator run of its scenario, and what to say about it.

    When one of the two is missing: the newest run alone, with the sentence that says what is missing.

    Raises:
        UnknownRunError: no run is recorded that could be reported.
    """
    known = [(folder, run) for folder, run, _ in list_runs(runs) if run and run.outcome is not Outcome.RUNNING]
    if not known:
        raise UnknownRunError(f"No run is recorded in {runs}/: record one with `python lt.py run --scenario ramp300`.")
    local = next(((folder, run) for folder, run in reversed(known) if run.target.kind == "local"), None)
    if local is None:
        return [known[-1][0]], [_missing(known[-1][1], "local")]
    scenario = local[1].scenario.name
    there = (f for f, run in reversed(known) if run.target.kind in REMOTE and run.scenario.name == scenario)
    remote = next(there, None)
    if remote is None:
        folder, run = known[-1]
        return [folder], [_missing(local[1] if run.target.kind == "local" else run, "emulator")]
    return [local[0], remote], []


def _missing(run: Run, kind: str) -> str:
    absent = "No local run is" if kind == "local" else f"No cloud or emulator run of {run.scenario.name} is"
    record = f"`python lt.py run --scenario {run.scenario.name} --target {kind}`"
    return f"{absent} recorded to compare with, so this is the newest run alone. {record} records one."
