"""Run scenarios, read recorded runs and render reports from Python, as the verbs of `lt` do."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .core.errors import UnusableError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from reports.model import Report, RunSummary

    from .recording.folder import RunFolder
    from .recording.paths import RunPaths
    from .recording.run import Run
    from .runs.options import RunOptions
    from .runs.watch import RunConsole


class Format(StrEnum):
    """The formats in which a report can be rendered."""

    HTML = "html"
    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    JUNIT = "junit"
    GITHUB = "github"


class RecordedRun:
    """A sealed run. The rows, summary, load, failures and metrics are read when they are first used.

    Attributes:
        path: its folder.
        record: the content of its `run.json`. `record.outcome` is complete, interrupted or degraded; `record.reasons`
            says why.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.path = folder.path
        self.record: Run = folder.ensure_sealed()
        self._folder = folder

    def __repr__(self) -> str:
        return f"<RecordedRun {self.record.id}: {self.record.outcome.value}>"

    @cached_property
    def rows(self) -> pd.DataFrame:
        """One row per request (docs/run-folder.md lists the columns). A row takes about 100 bytes of memory."""
        return self._folder.read_rows()

    @cached_property
    def load(self) -> pd.DataFrame:
        """Users, requests in flight and the load generator's health, per second and worker; empty if not recorded."""
        return self._folder.read_load()

    @cached_property
    def failures(self) -> pd.DataFrame:
        """Failures by kind, status and message, with first time, last time and count; empty when nothing failed."""
        import pandas as pd

        from .recording.failures import FAILURE_COLUMNS

        try:
            return pd.read_csv(self._folder.failures, parse_dates=["first", "last"])
        except FileNotFoundError:
            return pd.DataFrame(columns=list(FAILURE_COLUMNS))
        except (OSError, ValueError) as error:
            raise UnusableError(f"{self._folder.failures} cannot be read: {error}.") from error

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """The platform's series in long form (metric, labels, start, end, value or distribution); it may be empty.

        A run against two targets has the series of both sides, with a column `side`.
        """
        import pandas as pd

        from .recording.rows import METRICS_SCHEMA
        from .recording.sides import sides_of

        sides = sides_of(self._folder, self.record)
        found = [table for folder, _ in sides if (table := folder.read_metrics()) is not None]
        return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=METRICS_SCHEMA.names)

    @cached_property
    def summary(self) -> RunSummary:
        """All results of the report for this run; docs/report.md documents each field."""
        return _built([self._folder]).runs[0]


def run(scenario: str | Path | RunOptions, *, console: RunConsole | None = None, **options: Any) -> RecordedRun:
    """Run a scenario against a target, record every request, and return the recorded run.

    The load generators are separate processes, so this function works in a notebook, a test or a thread. Ctrl-C (a
    notebook's interrupt) ends the run early, and the outcome is then `interrupted`.

    Args:
        scenario: a bundled scenario's name, a locustfile's path, or options from `parse_options`.
        console: prints messages and asks questions. Without a console, messages go to the `loadtest` logger, and a run
            that would send load to another machine is rejected unless `yes=True`.
        options: the options of `lt run` by name, such as `target="emulator"`, `users=50`, `duration="2m"`,
            `slo=["p95 < 300ms"]`, `runs="runs"`.

    Raises:
        UsageError: an option is wrong, or the user did not agree to send load to the target.
        UnusableError: the target, the load generators or the run's folder could not be used.
    """
    from .runs.options import RunOptions, parse_options
    from .runs.run import run as record

    if not isinstance(scenario, RunOptions):
        scenario = parse_options(scenario=str(scenario), **options)
    elif options:
        raise UsageError(f"`{next(iter(options))}`: pass it to `parse_options`, together with the other options.")
    return RecordedRun(record(scenario, console).folder)


def open_run(name: str | Path = "latest", *, runs: str | Path = "runs") -> RecordedRun:
    """Return a recorded run.

    Args:
        name: the run's folder, id or label, a unique prefix of the id, or `latest`.
        runs: the folder that contains the runs; it is not used if `name` is a path.

    Raises:
        UnknownRunError: there is no such run.
        RunFolderError: the run is still in progress, or its folder cannot be read.
    """
    from .recording.catalogue import find_run

    return RecordedRun(find_run(Path(runs), str(name)))


def report(
    *names: str | Path | RecordedRun,
    runs: str | Path = "runs",
    format: Format | str = Format.HTML,
    out: str | Path | None = None,
) -> Path | str:
    """Render a report of one run, or a comparison of several runs with the first; return its path or its text.

    Args:
        names: recorded runs, or names that `open_run` accepts.
        runs: the folder that contains the runs; it is not used for names that are paths.
        format: html is written to a file (in the run's folder, or beside the folders of several runs) and its path is
            returned; the other formats are returned as text.
        out: write the report to this path instead, and return the path.

    Raises:
        UnknownRunError: there is no such run.
        RunFolderError: a run is still running, or cannot be read.
        UnusableError: the page cannot be written.
    """
    format = _format(format)
    if not names:
        raise UsageError("Name at least one run to report.")
    opened = [name if isinstance(name, RecordedRun) else open_run(name, runs=runs) for name in names]
    folders = [run._folder for run in opened]
    sources = page_sources(folders)
    made = _built(folders)
    if out is not None:
        return write(Path(out), rendered(made, format))
    return write_page(made, folders, sources=sources) if format is Format.HTML else rendered(made, format)


def rendered(made: Report, format: Format) -> str:
    """Return a report as text in one of its formats."""
    if format is Format.HTML:
        from reports.render.html import render_html as render
    elif format is Format.TEXT:
        from reports.render.text import render_text as render
    elif format is Format.MARKDOWN:
        from reports.render.markdown import render_markdown as render
    elif format is Format.JUNIT:
        from reports.render.junit import render_junit as render
    elif format is Format.GITHUB:
        from reports.render.github import render_github as render
    else:
        return made.model_dump_json(indent=2) + "\n"
    return render(made)


def page_sources(folders: Sequence[RunPaths], notes: Sequence[str] = ()) -> str:
    """Return the digest of everything that determines the page of a single run; call this before the report is built.

    The digest is "" for several runs, because their page is always made again.
    """
    from reports.render.stamp import run_sources

    return run_sources(folders[0].path, notes) if len(folders) == 1 else ""


def write_page(made: Report, folders: Sequence[RunPaths], *, sources: str = "") -> Path:
    """Write the page, a single run's summary.json and the index of all runs; return the page's path.

    Args:
        made: the report.
        folders: the reported runs.
        sources: the digest of `page_sources`, with which `verdict_of_page` checks that the page is up to date; "" for a
            page that is always made again.
    """
    from reports.render.files import write_report

    path = write_report([folder.path for folder in folders], made, sources=sources)
    _renew_index(path.parent if len(folders) > 1 else folders[0].path.parent)
    return path


def verdict_of_page(folder: RunPaths, sources: str) -> str | None:
    """If the page of a run is up to date, return the verdict on it; otherwise return None.

    Also update the index of all runs.
    """
    from reports.render.stamp import word_of

    verdict = word_of(folder.report, sources, folder.summary)
    if verdict is not None:
        _renew_index(folder.path.parent)
    return verdict


def refresh_index(runs: Path) -> None:
    """Rewrite the index of all runs, if there is one, after a run was deleted or relabelled.

    Raises:
        RunFolderError: the index cannot be written.
    """
    from reports.render.stamp import INDEX

    if (runs / INDEX).exists():
        _renew_index(runs)


def _renew_index(runs: Path) -> None:
    """Write the index of all runs unless it is up to date."""
    from reports.render.stamp import INDEX, index_sources, word_of

    if word_of(runs / INDEX, index_sources(runs)) is None:
        from reports.render.index import write_index

        write_index(runs)


def write(path: Path, text: str) -> Path:
    """Write a file to a path that the user gave, and return the path.

    Raises:
        UnusableError: the file cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnusableError(f"`{path}` cannot be written: {error.strerror or error}.") from error
    except ValueError as error:
        raise UnusableError(f"`{path}` cannot be written: {error}.") from error
    return path


def append(path: Path, text: str) -> None:
    """Append text to a file that other programs write to as well.

    Raises:
        UnusableError: the file cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UnusableError(f"`{path}` cannot be written: {error.strerror or error}.") from error


def _format(name: str) -> Format:
    try:
        return Format(name)
    except ValueError:
        raise UsageError(f"There is no format `{name}`; there are {', '.join(Format)}.") from None


def _built(folders: list[RunFolder]) -> Report:
    from reports.summary.build import build_report

    return build_report([folder.path for folder in folders])
