"""The verb `report`: render one run, or compare several."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options as words
from .runs import RunsOption

if TYPE_CHECKING:  # what it renders is imported where it is needed: pandas-sized packages do not delay --help
    from reports.model import Report

    from ..recording.folder import RunFolder

EXIT_CODES = {"held": 0, "unjudged": 0, "missed": 1, "undecided": 3}
"""What the objectives of the reported runs come to, as this verb's exit code."""


class Format(StrEnum):
    """What a report can be rendered as."""

    HTML = "html"
    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    JUNIT = "junit"


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

    from ..core.price_overrides import overrides
    from .terminal import out, talk

    priced = overrides(prices, free_tier=free_tier)
    folders, notes = _chosen(runs, run or [])
    for note in notes:
        talk.print(note, markup=False)
    made = build_report([folder.path for folder in folders], notes=notes, prices=priced)
    if format is Format.HTML:
        path = write_page(made, folders, out_file)
        out.print(str(path), markup=False)
        if open_it:
            typer.launch(path.resolve().as_uri())
    elif out_file is not None:
        _write(out_file, _rendered(made, format))
        out.print(str(out_file), markup=False)
    else:
        typer.echo(_rendered(made, format), nl=False)
    return exit_code(made)


def exit_code(made: Report, *, allow_degraded: bool = False) -> int:
    """Return what the reported runs came to; a degraded run is undecided unless it is allowed."""
    from reports.verdict import of_runs

    return EXIT_CODES[of_runs(made.runs, allow_degraded=allow_degraded).kind]


def _chosen(runs: Path, names: list[str]) -> tuple[list[RunFolder], list[str]]:
    """Return the runs that are meant, and what to say about the choice."""
    from ..recording.catalogue import find_run
    from ..recording.choice import newest_pair

    if not names:
        return newest_pair(runs)
    found = [find_run(runs, name) for name in names]
    return list({folder.path.resolve(): folder for folder in found}.values()), []


def _rendered(made: Report, format: Format) -> str:
    if format is Format.TEXT:
        from reports.render.text import render_text

        return render_text(made)
    if format is Format.MARKDOWN:
        from reports.render.markdown import render_markdown

        return render_markdown(made)
    if format is Format.JUNIT:
        from reports.render.junit import render_junit

        return render_junit(made)
    return made.model_dump_json(indent=2) + "\n"


def write_page(made: Report, folders: list[RunFolder], out_file: Path | None = None) -> Path:
    """Write the page, and what derives from it: a single run's summary.json, and the index of all runs."""
    from reports.render.html import render_html
    from reports.render.index import write_index
    from reports.summary.build import write_report

    if out_file is not None:
        _write(out_file, render_html(made))
        return out_file
    path = write_report([folder.path for folder in folders], made)
    write_index(path.parent if len(folders) > 1 else folders[0].path.parent)
    return path


def _write(path: Path, text: str) -> None:
    from ..core.errors import UnusableError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnusableError(f"`--out {path}` cannot be written: {error.strerror}.") from error
