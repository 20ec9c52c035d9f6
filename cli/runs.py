"""The verb `runs`: list what is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunsOption = Annotated[Path, typer.Option("--runs", metavar="DIR", help="The folder that holds the recorded runs.")]
"""The option every verb has that reads or writes runs."""


def list_recorded(runs: RunsOption = Path("runs")) -> int:
    """List the recorded runs, oldest first."""
    from rich.table import Table

    from cli.terminal import out, talk
    from recording.folder import list_runs

    found = list_runs(runs)
    if not found:
        talk.print(f"No run is recorded in {runs}/ yet: `python lt.py run --scenario ramp300` records one.")
        return 0
    table = Table("id", "label", "scenario", "target", "outcome", box=None, pad_edge=False)
    for folder, run, why in found:
        if run is None:
            table.add_row(folder.path.name, "–", "–", "–", why)
        else:
            table.add_row(folder.path.name, run.label or "–", run.scenario.name, run.target.kind, run.outcome.value)
    out.print(table)
    return 0
