"""The verb `report`: render one run, or compare several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..api import Format
from . import options as words
from .runs import RunsOption

if TYPE_CHECKING:  # what it renders is imported where it is needed: pandas-sized packages do not delay --help
    from reports.model import Report

    from ..recording.folder import RunFolder


def report(
    run: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Runs by id, beginning of an id, label, `latest` or path; the first is what the others are measured "
            "against. Default: the newest local run and the newest cloud or emulator run of the same scenario.",
        ),
    ] = None,
    *,
    runs: RunsOption = Path("runs"),
    format: Annotated[
        Format, typer.Option("--format", help="How to render it; all but html go to stdout.")
    ] = Format.HTML,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it here instead; prints the path.")
    ] = None,
    prices: words.Prices = None,
    free_tier: words.FreeTier = False,
) -> int:
    """Render one run, or compare several: did it hold, where did p95 spike, why, and how do the runs differ.

    A single run's page is written into its folder, a comparison beside the runs; the path is printed. The exit code
    says what the objectives came to: 0 held, 1 one was missed, 3 one had no data or a run is degraded.

    Examples:
        python lt.py report

        python lt.py report latest --format text

        python lt.py report 20260817T101500Z-ramp300-local 20260817T103000Z-ramp300-cloud --open
    """
    from reports.summary.build import build_report

    from ..api import rendered, write, write_page
    from ..core.price_overrides import overrides
    from .terminal import out, talk, write_data

    priced = overrides(prices, free_tier=free_tier)
    folders, notes = _chosen(runs, run or [])
    for note in notes:
        talk.print(note, markup=False)
    made = build_report([folder.path for folder in folders], notes=notes, prices=priced)
    if out_file is not None or format is Format.HTML:
        path = write_page(made, folders) if out_file is None else write(out_file, rendered(made, format))
        out.print(str(path), markup=False)
        if open_it and format is Format.HTML:
            typer.launch(path.resolve().as_uri())
    else:
        write_data(rendered(made, format))
    return exit_code(made)


def exit_code(made: Report, *, allow_degraded: bool = False) -> int:
    """Return what the reported runs came to; a degraded run is undecided unless it is allowed."""
    from reports.verdict import of_runs

    from ..core.exit_codes import of_verdict

    return of_verdict(of_runs(made.runs, allow_degraded=allow_degraded).kind)


def _chosen(runs: Path, names: list[str]) -> tuple[list[RunFolder], list[str]]:
    """Return the runs that are meant, and what to say about the choice."""
    from ..recording.catalogue import find_run
    from ..recording.choice import newest_pair

    if not names:
        return newest_pair(runs)
    found = [find_run(runs, name) for name in names]
    return list({folder.path.resolve(): folder for folder in found}.values()), []
