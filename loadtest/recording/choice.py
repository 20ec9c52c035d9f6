"""Choose the runs to report if the user named none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core.errors import UnknownRunError
from .catalogue import list_runs
from .folder import RunFolder
from .run import Outcome, Run


def newest_pair(runs: Path) -> tuple[list[RunFolder], list[str]]:
    """Return the newest local run, the newest cloud or emulator run of the same scenario, and a message.

    If one of these two runs is missing, return the newest run alone, with a sentence that says what is missing.

    Raises:
        UnknownRunError: no recorded run can be reported.
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


def runs_of_label(runs: Path, label: str, *, without: Sequence[RunFolder] = ()) -> list[RunFolder]:
    """Return the newest finished run with a label, and the label's other runs from the same commit, oldest first.

    Runs of older commits are left out, because they measured another version of the service.

    Args:
        runs: the folder that contains the runs.
        label: the label of the baseline.
        without: the runs that are compared with the baseline.

    Raises:
        UnknownRunError: there is no such run.
    """
    excluded = {folder.path.resolve() for folder in without}
    known = [(f, run) for f, run, _ in list_runs(runs) if run and run.outcome is not Outcome.RUNNING]
    found = [(f, run) for f, run in known if run.label == label and f.path.resolve() not in excluded]
    if not found:
        labels = ", ".join(sorted({run.label for _, run in known if run.label})) or "none"
        raise UnknownRunError(
            f"No other run in {runs}/ has the label `{label}` (labels there: {labels}): record one with "
            f"`lt run --label {label}`, or give this label to a recorded run with `lt runs label RUN {label}`."
        )
    return [folder for folder, run in found if run.git_commit == found[-1][1].git_commit]


def _missing(run: Run, target: str, absent: str) -> str:
    record = f"`python lt.py run --scenario {run.scenario.name} --target {target}`"
    return f"{absent} is recorded for a comparison, so only the newest run is shown. {record} records one."
