"""Print the list of recorded runs. This module needs neither typer nor rich."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..recording.listing import Listed, listed
from .columns import coloured, padded
from .terminal import write_data, write_lines

COLOURS = {"running": "cyan", "complete": "green", "interrupted": "yellow", "degraded": "yellow", "unreadable": "red"}

HEADS = ("started (UTC)", "length", "requests", "outcome", "id", "label")

RECORD_FIELDS = (
    "id",
    "label",
    "scenario",
    "target",
    "url",
    "start",
    "length_s",
    "requests",
    "outcome",
    "git_commit",
    "path",
)
"""The fields that `lt runs --format json|csv` writes for each run."""


def print_runs(runs: Path, output: str = "text") -> int:
    """List the runs on stdout as text, json or csv. If a run cannot be read, print the reason on stderr."""
    found = listed(runs)
    if output != "text":
        _write_records(found, output)
    elif found:
        _print_table(found)
    whys = [run.why for run in found if run.why]
    if not found and output == "text":
        whys = [f"No run is recorded in {runs}/ yet: `python lt.py run --scenario ramp300` records one."]
    if whys:
        from .terminal import talk

        for why in whys:
            talk.print(why, markup=False)
    return 0


def _write_records(found: Sequence[Listed], output: str) -> None:
    """Write one JSON document, or CSV with a heading, to stdout."""
    import csv
    import io
    import json

    records = [_record(run) for run in found]
    if output == "json":
        write_data(json.dumps(records, indent=2) + "\n")
        return
    file = io.StringIO()
    writer = csv.DictWriter(file, RECORD_FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    write_data(file.getvalue())


def _record(run: Listed) -> dict[str, object]:
    known = {name: getattr(run, name) for name in RECORD_FIELDS if name != "id"}
    start = None if run.start is None else run.start.isoformat()
    return {"id": run.path.name, **known, "start": start, "path": str(run.path)}


def _print_table(found: Sequence[Listed]) -> None:
    """Print one line per run.

    Lines are not cut to the terminal's width, because the user may copy an id, and an id that was cut off would not be
    found.
    """
    head, *rows = padded([HEADS, *map(_cells, found)], right=(1, 2))
    lines = ["  ".join(head)]
    for run, cells in zip(found, rows, strict=True):
        cells[3] = coloured(cells[3], COLOURS[run.outcome])
        lines.append("  ".join(cells))
    write_lines(line.rstrip() for line in lines)


def _cells(run: Listed) -> tuple[str, ...]:
    if run.start is None:
        return "–", "–", "–", run.outcome, run.path.name, ""
    requests = "damaged" if run.damaged else "–" if run.requests is None else f"{run.requests:,}"
    return (
        f"{run.start:%Y-%m-%d %H:%M}",
        _length(run.length_s),
        requests,
        run.outcome,
        run.path.name,
        run.label or "–",
    )


def _length(length_s: float | None) -> str:
    """Return the duration of the load as minutes and seconds."""
    if length_s is None:
        return "–"
    minutes, seconds = divmod(round(length_s), 60)
    return f"{minutes}:{seconds:02d}"
