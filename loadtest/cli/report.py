"""The verb `report`: render one run, or compare several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..api import Format
from .options import FreeTier, Prices
from .runs import RunsOption

if TYPE_CHECKING:  # large packages are imported only where they are needed, so that --help stays fast
    from reports.model import Report

    from ..recording.folder import RunFolder


def report(  # the function is long because of its options and examples
    run: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Runs by id, prefix of an id, label, `latest` or path; the others are compared with the first. "
            "Default: the newest local run and the newest cloud or emulator run of the same scenario.",
        ),
    ] = None,
    *,
    runs: RunsOption = Path("runs"),
    format: Annotated[Format, typer.Option("--format", help="Output format; all but html go to stdout.")] = Format.HTML,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write to this file instead, and print its path.")
    ] = None,
    fail_on_regression: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on-regression",
            metavar="[p95=5%]",
            help="Exit with 1 if a run is slower than the baseline by more than this, and with 3 if that cannot be "
            'decided. Also p50, p99, and "p95(POST /predict)=10%"; repeatable.',
            show_default=False,
            rich_help_panel="Gates",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="LABEL",
            help="Compare with the newest run that has this label, and with the other runs that have it from the same "
            "commit.",
            show_default=False,
            rich_help_panel="Gates",
        ),
    ] = None,
    prices: Prices = None,
    free_tier: FreeTier = False,
) -> int:
    """Render one run, or compare several: whether the objectives held, where p95 spiked and why, how the runs differ.

    A single run's page is written into its folder, and the page of a comparison beside the runs; the path is printed.
    The exit code is the verdict on the objectives: 0 if they held, 1 if an objective was missed, 3 if an objective had
    no data or a run is degraded. With --fail-on-regression, the objectives of the baseline run itself do not count.

    Examples:
        python lt.py report

        python lt.py report latest --format text

        python lt.py report 20260817T101500Z-ramp300-local 20260817T103000Z-ramp300-cloud --open

        python lt.py report latest --baseline main --fail-on-regression p95=5% --format github
    """
    from ..api import page_sources, rendered, verdict_of_page, write, write_page
    from ..core.exit_codes import of_verdict
    from ..core.margins import parse_margin
    from ..core.price_overrides import overrides
    from .plain import spare_start
    from .terminal import talk, write_data

    priced = overrides(prices, free_tier=free_tier)
    margins = [parse_margin(text) for text in fail_on_regression or []]
    before, folders, notes = _sides(runs, run or [], baseline, gated=bool(margins))
    for note in notes:
        talk.print(note, markup=False)
    folders = [*before, *folders]
    sources = "" if priced or margins or before else page_sources(folders, notes)
    if format is Format.HTML and out_file is None and (verdict := verdict_of_page(folders[0], sources)) is not None:
        _show(folders[0].report, open_it=open_it)
        return of_verdict(verdict)

    spare_start()
    from reports.summary.build import build_report

    paths = [folder.path for folder in folders]
    made = build_report(paths, notes=notes, prices=priced, baseline=len(before), margins=margins)
    if format is Format.GITHUB:
        _to_github(made, out_file)
    elif out_file is not None or format is Format.HTML:
        path = (
            write_page(made, folders, sources=sources) if out_file is None else write(out_file, rendered(made, format))
        )
        _show(path, open_it=open_it and format is Format.HTML)
    else:
        write_data(rendered(made, format))
    return exit_code(made)


def exit_code(made: Report, *, allow_degraded: bool = False) -> int:
    """Return the exit code of the reported runs. A degraded run is undecided unless it is allowed."""
    from reports.verdict import of_report

    from ..core.exit_codes import of_verdict

    return of_verdict(of_report(made, allow_degraded=allow_degraded).kind)


def with_default_margin(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the default margin after every `--fail-on-regression` that has no value.

    The default is inserted here because the parser has no optional values: it would take the next argument, such as the
    name of a run, as the value.
    """
    from ..core.margins import DEFAULT_MARGIN, MARGIN_START

    found: list[str] = []
    for at, argument in enumerate(arguments):
        found.append(argument)
        if argument == "--fail-on-regression" and not MARGIN_START.match("".join(arguments[at + 1 : at + 2])):
            found.append(DEFAULT_MARGIN)
    return found


def _show(path: Path, *, open_it: bool) -> None:
    """Print the page's path, and open it in the browser."""
    from .terminal import out

    out.print(str(path), markup=False)
    if open_it:
        typer.launch(path.resolve().as_uri())


def _to_github(made: Report, out_file: Path | None) -> None:
    """Print annotations to stdout, and write the Markdown to FILE and the step's summary.

    If there is neither a FILE nor a summary, print the Markdown after the annotations.
    """
    from reports.render.github import annotation_lines, quoted
    from reports.render.markdown import render_markdown

    from ..api import append, write
    from .terminal import out, write_data

    write_data(annotation_lines(made))
    body = render_markdown(made)
    summary = os.environ.get("GITHUB_STEP_SUMMARY", "")
    if out_file is not None:
        out.print(str(write(out_file, body)), markup=False)
    if summary:
        append(Path(summary), body)
    elif out_file is None:
        write_data(quoted(body))


def _sides(
    runs: Path, names: list[str], baseline: str | None, *, gated: bool
) -> tuple[list[RunFolder], list[RunFolder], list[str]]:
    """Return the runs of the labelled baseline, the other runs, and notes on how they were chosen.

    Raises:
        UsageError: a margin is given, but there are not two sides to compare.
        UnknownRunError: a named run does not exist, or no run has the label.
    """
    from ..core.errors import UsageError
    from ..recording.catalogue import find_run
    from ..recording.choice import runs_of_label

    if baseline is None:
        folders, notes = ([], []) if gated and not names else _chosen(runs, names)
        if gated and len(folders) < 2:
            raise UsageError(
                "`--fail-on-regression`: name the baseline and the new run (`lt report BASE NEW`), or the baseline's "
                "label (`--baseline main`)."
            )
        return [], folders, notes
    new = _chosen(runs, names)[0] if names else [find_run(runs, "latest")]
    before = runs_of_label(runs, baseline, without=new)
    return before, new, []


def _chosen(runs: Path, names: list[str]) -> tuple[list[RunFolder], list[str]]:
    """Return the chosen runs, and notes on how they were chosen."""
    from ..recording.catalogue import find_run
    from ..recording.choice import newest_pair

    if not names:
        return newest_pair(runs)
    found = [find_run(runs, name) for name in names]
    return list({folder.path.resolve(): folder for folder in found}.values()), []
