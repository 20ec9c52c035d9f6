"""The verb `runs`: list, label, export and delete recorded runs."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # each verb imports these itself, so that `lt --help` stays fast
    from ..recording.folder import RunFolder

RunsOption = Annotated[Path, typer.Option("--runs", metavar="DIR", help="The folder that contains the recorded runs.")]
"""The option of every verb that reads or writes runs."""


class ListFormat(StrEnum):
    """The output formats of `lt runs`."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


def list_recorded(
    runs: RunsOption = Path("runs"),
    output: Annotated[
        ListFormat, typer.Option("--format", help="A table, or one line per run for other programs.")
    ] = ListFormat.TEXT,
    trend: Annotated[
        str | None,
        typer.Option(
            metavar="SCENARIO",
            help="Show instead how p95 of this scenario's complete runs changed over time, per target: at which runs "
            "the level changed, and which commit, version or setting changed at that run.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """List the recorded runs, oldest first: start (UTC), duration, number of requests, outcome and label of each.

    A dash means "not known". If a run is not sealed yet, its requests are counted when its first report is made.

    Examples:
        python lt.py runs

        python lt.py runs --format csv --runs /mnt/shared/runs

        python lt.py runs --trend ramp300
    """
    if trend is not None:
        return _print_trend(runs, trend, output)
    from .run_list import print_runs

    return print_runs(runs, output.value)


def remove(
    names: Annotated[list[str], typer.Argument(metavar="RUN", help="Ids, prefixes, labels or paths.")],
    runs: RunsOption = Path("runs"),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Delete recorded runs, after asking.

    Only run folders are deleted, and in them only the files that belong to a run.

    Examples:
        python lt.py runs rm 20261126T101500

        python lt.py runs rm before after --yes
    """
    from ..recording.catalogue import find_run

    return _delete([find_run(runs, name) for name in names], yes=yes)


def prune(
    runs: RunsOption = Path("runs"),
    keep: Annotated[int | None, typer.Option(help="Number of newest runs to keep.", min=0, show_default=False)] = None,
    older_than: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="Keep runs younger than this: 36h, 720h.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Delete the oldest runs by number (--keep), age (--older-than) or both, after asking, except labelled runs.

    Examples:
        python lt.py runs prune --keep 50

        python lt.py runs prune --older-than 720h --yes
    """
    from ..core.durations import parse_duration_s
    from ..core.errors import UsageError
    from ..recording.catalogue import list_runs
    from ..recording.housekeeping import expired
    from .terminal import talk

    if keep is None and older_than is None:
        raise UsageError("`runs prune`: give --keep N, --older-than DURATION or both.")
    try:
        older_than_s = None if older_than is None else parse_duration_s(older_than)
    except ValueError as error:
        raise UsageError(f"`--older-than {older_than}`: {error}.") from None
    gone = expired(list_runs(runs), now=datetime.now(UTC), keep=keep, older_than_s=older_than_s)
    if not gone:
        talk.print("There is no run to delete.")
        return 0
    return _delete(gone, yes=yes)


def label(
    name: Annotated[str, typer.Argument(metavar="RUN", help="An id, a prefix, a label or a path.")],
    text: Annotated[str, typer.Argument(metavar="LABEL", help='The label; "" removes it.')],
    runs: RunsOption = Path("runs"),
) -> int:
    """Give a recorded run a label, by which every verb finds it.

    Examples:
        python lt.py runs label latest main
    """
    from ..api import refresh_index
    from ..recording.catalogue import find_run
    from ..recording.housekeeping import label_run
    from .terminal import talk

    folder = find_run(runs, name)
    label_run(folder, text or None)
    refresh_index(folder.path.parent)
    talk.print(f"{folder.path.name}: label {text or 'removed'}", markup=False)
    return 0


def export(
    name: Annotated[str, typer.Argument(metavar="RUN", help="An id, a prefix, a label or a path.")],
    out_file: Annotated[Path, typer.Option("--out", help="The CSV file to write.")],
    runs: RunsOption = Path("runs"),
) -> int:
    """Write a run's rows, one per request, as CSV; the columns are those of requests.parquet (docs/run-folder.md).

    Examples:
        python lt.py runs export latest --out rows.csv
    """
    from ..recording.catalogue import find_run
    from ..recording.housekeeping import export_rows
    from .terminal import talk

    count = export_rows(find_run(runs, name), out_file)
    talk.print(f"{out_file}: {count:,} rows", markup=False)
    return 0


def _delete(folders: list[RunFolder], *, yes: bool) -> int:
    from ..api import refresh_index
    from ..core.errors import UsageError
    from ..recording.housekeeping import delete_run
    from .console import TerminalConsole
    from .terminal import talk

    for folder in folders:
        talk.print(f"  {folder.path}", markup=False, highlight=False)
    if not yes:
        answer = TerminalConsole().confirm(
            f"Delete {'this run' if len(folders) == 1 else f'these {len(folders)} runs'}?"
        )
        if answer is None:
            raise UsageError("There is no terminal to ask: add --yes to delete. Nothing was deleted.")
        if not answer:
            raise UsageError("Nothing was deleted.")
    for folder in folders:
        if kept := delete_run(folder):
            talk.print(
                f"{folder.path} was kept, because it contains files that do not belong to a run: "
                f"{', '.join(kept[:10])}",
                markup=False,
            )
    for home in {folder.path.parent for folder in folders}:
        refresh_index(home)
    return 0


def _print_trend(runs: Path, scenario: str, output: ListFormat) -> int:
    """Print each series of a scenario with its changes of level, as text, or with all values as JSON."""
    import json

    from reports.data.formats import ms
    from reports.data.history import histories
    from reports.render.index import entry, measured
    from reports.render.sentences import change_sentence
    from reports.render.sparkline import spark

    from ..core.errors import UsageError
    from ..recording.catalogue import list_runs
    from .terminal import out, talk

    if output is ListFormat.CSV:
        raise UsageError("`--format csv`: a trend is text or json.")
    found = list_runs(runs)
    of_scenario = [item for item in found if item[1] is not None and item[1].scenario.name == scenario]
    if not of_scenario:
        known = sorted({run.scenario.name for _, run, _ in found if run is not None})
        raise UsageError(
            f"`--trend {scenario}`: no run of this scenario is recorded; runs exist of "
            f"{', '.join(known) or 'no scenario'}."
        )
    series = histories(measured([entry(*item) for item in of_scenario]))
    if output is ListFormat.JSON:
        records = [
            {
                "scenario": entry.scenario,
                "target": entry.target,
                "label": entry.label,
                "runs": [{"id": run.id, "start": run.day, "p95_ms": run.p95_ms} for run in entry.runs],
                "changes": [
                    {"run": entry.runs[change.at].id, "before_ms": change.before_ms, "after_ms": change.after_ms,
                     "ratio": change.ratio, "changed_first": list(change.what)}
                    for change in entry.changes
                ],
            }
            for entry in series
        ]  # fmt: skip
        out.print(json.dumps(records, indent=2), markup=False, highlight=False, soft_wrap=True)
        return 0
    counted = sum(len(entry.runs) for entry in series)
    if counted < len(of_scenario):
        talk.print(
            f"{len(of_scenario) - counted} of {len(of_scenario)} runs are left out, because they are not complete, "
            f"have no report, or are the only run on their target."
        )
    for history in series:
        name = f"{history.scenario} on {history.target}" + (f", {history.label}" if history.label else "")
        values = [run.p95_ms for run in history.runs]
        drawn = f"{spark(values)}  {ms(min(values))} to {ms(max(values))}"
        out.print(f"{name}: p95 of {len(values)} runs  {drawn}", markup=False, highlight=False, soft_wrap=True)
        for change in history.changes:
            out.print(f"  {change_sentence(history, change)}", markup=False, highlight=False, soft_wrap=True)
        if not history.changes:
            out.print("  no change of level found", markup=False, highlight=False)
    return 0
