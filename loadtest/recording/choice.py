"""Choose the runs to report when nobody named any."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import UnknownRunError
from .catalogue import list_runs
from .folder import RunFolder
from .run import Outcome, Run


def newest_pair(runs: Path) -> tuple[list[RunFolder], list[str]]:
    """Return the newest local run and the newest cloud or emulator run of its scenario, and what to say about it.

    When one of the two is missing: the newest run alone, with the sentence that says what is missing.

    Raises:
        UnknownRunError: no run is recorded that could be reported.
    """
    known = [(folder, run) for folder, run, _ in list_runs(runs) if run and run.outcome is not Outcome.RUNNING]
    if not known:
        raise UnknownRunError(f"No run is recorded in {runs}/: record one with `python lt.py run --scenario ramp300`.")
    local = next(((folder, run) for folder, run in reversed(known) if run.target.capabilities.single_process), None)
    if local is None:
        return [known[-1][0]], [_missing(known[-1][1], "local", "No local run")]
    scenario = local[1].scenario.name
    there = (f for f, run in reversed(known) if run.target.capabilities.scales and run.scenario.name == scenario)
    remote = next(there, None)
    if remote is None:
        folder, run = known[-1]
        of = local[1] if run.target.capabilities.single_process else run
        return [folder], [_missing(of, "emulator", f"No cloud or emulator run of {of.scenario.name}")]
    return [local[0], remote], []


def _missing(run: Run, target: str, absent: str) -> str:
    record = f"`python lt.py run --scenario {run.scenario.name} --target {target}`"
    return f"{absent} is recorded to compare with, so this is the newest run alone. {record} records one."
