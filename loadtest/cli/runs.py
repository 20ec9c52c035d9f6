"""The verb `runs`: list what is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # imported by the verb itself: `lt --help` must not pay for it
    from ..recording.folder import RunFolder
    from ..recording.run import Run

RunsOption = Annotated[Path, typer.Option("--runs", metavar="DIR", help="The folder that holds the recorded runs.")]
"""The option every verb has that reads or writes runs."""

STYLES = {"running": "cyan", "complete": "green", "interrupted": "yellow", "degraded": "yellow"}


def list_recorded(runs: RunsOption = Path("runs")) -> int:
    """List the recorded runs, oldest first: when (UTC), how long, how many requests, how each ended, and its label.

    A dash stands for what is not known: the requests of a run that was not sealed yet are counted by its first report.

    Examples:
        python lt.py runs

        python lt.py runs --runs /mnt/shared/runs
    """
    from rich.measure import Measurement
    from rich.table import Table

    from ..recording.catalogue import list_runs
    from .terminal import out, talk

    found = list_runs(runs)
    if not found:
        talk.print(f"No run is recorded in {runs}/ yet: `python lt.py run --scenario ramp300` records one.")
        return 0
    table = Table(box=None, pad_edge=False)
    for name in ("started (UTC)", "length", "requests", "outcome", "id", "label"):
        table.add_column(name, no_wrap=True, justify="right" if name in ("length", "requests") else "left")
    for folder, run, _ in found:
        table.add_row(
            *(_cells(folder, run) if run else ("–", "–", "–", "[red]unreadable[/]", _plain(folder.path.name)))
        )
    # As wide as it is: an id cut to the terminal's width, or to 80 columns in a pipe, names no run.
    width = Measurement.get(out, out.options.update(max_width=10_000), table).maximum
    out.width = max(out.width, width)
    out.print(table, crop=False)
    for _, _, why in found:
        if why:
            talk.print(why, markup=False)
    return 0


def _cells(folder: RunFolder, run: Run) -> tuple[str, ...]:
    outcome = run.outcome.value
    return (
        f"{run.start:%Y-%m-%d %H:%M}",
        _length(run),
        _requests(folder),
        f"[{STYLES[outcome]}]{outcome}[/]",
        _plain(folder.path.name),
        _plain(run.label or "–"),
    )


def _length(run: Run) -> str:
    """Return the time under load as minutes and seconds."""
    if run.end is None:
        return "–"
    minutes, seconds = divmod(round((run.end - (run.load_start or run.start)).total_seconds()), 60)
    return f"{minutes}:{seconds:02d}"


def _requests(folder: RunFolder) -> str:
    from ..core.errors import RunFolderError

    try:
        rows = folder.sealed_rows()
    except RunFolderError:
        return "damaged"
    return "–" if rows is None else f"{rows:,}"


def _plain(text: str) -> str:
    """Return text of a user's own for rich, which would take `[…]` for markup."""
    from rich.markup import escape

    return escape(text)
