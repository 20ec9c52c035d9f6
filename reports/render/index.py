"""List all runs on one page, with their headline numbers and the trend of p95 per scenario and target."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup
from pydantic import ValidationError

from loadtest.core.errors import ObjectiveError, RunFolderError
from loadtest.core.objectives import Objective, parse_objective
from loadtest.recording.catalogue import list_runs
from loadtest.recording.folder import RunFolder
from loadtest.recording.paths import open_file
from loadtest.recording.run import Run
from reports.data import formats
from reports.data.history import History, MeasuredRun, histories
from reports.model import Quantile, Report
from reports.render import sentences
from reports.render.html import content_security_policy, page_file, template
from reports.render.stamp import INDEX, TITLE_WITHIN_BYTES, index_sources, stamped
from reports.verdict import of_report

MAX_SUMMARY_BYTES = 64 << 20
"""Largest allowed summary. A usual summary has about 300 kB."""

TREND_WIDTH, TREND_HEIGHT, TREND_MARGIN = 320, 56, 8
"""Size of a trend's drawing in px, with a margin that keeps the outermost dots inside."""


LIMIT_NEAR = 4.0
"""If an objective is higher than the highest p95 by more than this factor, its line is not drawn, because it would
flatten the trend. Its text is shown."""

_TITLE = re.compile(r"<title>([^<]*)</title>")


@dataclass(frozen=True, slots=True)
class Entry:
    """One run of the list. Numbers are None until its report is made.

    Attributes:
        id: the folder's name.
        link: the link to its report, relative to the index; "" without one.
        day: when it began.
        requests, error_ratio: numbers of the whole run.
        p95: p95 of the steady phase, else of the whole run.
        spikes: the number of spikes.
        verdict: the verdict on its objectives; "" without a report.
        why: why the run cannot be read, else "".
        run: its record; None if it cannot be read.
    """

    id: str
    label: str
    link: str
    day: str
    scenario: str
    target: str
    outcome: str
    requests: int | None = None
    error_ratio: float | None = None
    p95: Quantile | None = None
    spikes: int | None = None
    verdict: str = ""
    why: str = ""
    run: Run | None = None


@dataclass(frozen=True, slots=True)
class Trend:
    """p95 of one scenario on one target, oldest run first, with the points of its line in px.

    Attributes:
        changes: the changes of its level, each as the x of the mark and a sentence.
        limit: the newest run's objective on this p95, as the y of its line and its text; None without one.
    """

    scenario: str
    target: str
    first_ms: float
    last_ms: float
    highest_ms: float
    points: tuple[tuple[float, float], ...]
    changes: tuple[tuple[float, str], ...]
    limit: tuple[float, str] | None = None

    @property
    def line(self) -> str:
        """The points in SVG's notation."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


@dataclass(frozen=True, slots=True)
class ComparisonPage:
    """A page that compares runs: its link, relative to the index, its title, and when it was made."""

    link: str
    title: str
    day: str


def write_index(runs: Path) -> Path:
    """Write `index.html` of a folder of runs and return its path. Runs without a report are listed without numbers.

    Raises:
        RunFolderError: it cannot be written.
    """
    path = runs / INDEX
    sources = index_sources(runs)
    entries = [entry(*found) for found in list_runs(runs)]
    RunFolder(runs).write_derived(path, stamped(render_index(entries, comparison_pages(runs)), sources, "all"))
    return path


def comparison_pages(runs: Path) -> list[ComparisonPage]:
    """Return the comparisons in a folder of runs, newest first."""
    found = []
    for path in runs.glob("compare-*.html"):
        try:
            with open_file(path) as file:
                head = file.read(TITLE_WITHIN_BYTES).decode("utf-8", errors="replace")
            made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except (OSError, RunFolderError):
            continue
        title = _TITLE.search(head)
        found.append(
            (made, ComparisonPage(quote(path.name), unescape(title[1]) if title else path.stem, formats.day(made)))
        )
    return [page for _, page in sorted(found, key=lambda dated: dated[0], reverse=True)]


def entry(folder: RunFolder, run: Run | None, why: str) -> Entry:
    """Return a run's line of the list, from its record and its `summary.json` (if it has one in this format)."""
    name = folder.path.name
    if run is None:
        return Entry(name, "", "", "", "", "", "", why=why)
    link = f"{quote(name)}/{folder.report.name}" if folder.report.exists() else ""
    common = (
        name,
        run.label or "",
        link,
        formats.day(run.start),
        run.scenario.name,
        run.target.kind,
        run.outcome.value,
    )
    try:
        with open_file(folder.summary, limit=MAX_SUMMARY_BYTES) as file:
            report = Report.model_validate_json(file.read())
    except (OSError, RunFolderError, ValidationError):
        return Entry(*common, run=run)
    summary = report.runs[0]
    return Entry(
        *common,
        requests=summary.totals.requests,
        error_ratio=summary.totals.error_ratio,
        p95=sentences.quantile_of(sentences.main_latency(summary), 0.95),
        spikes=len(summary.spikes),
        verdict=of_report(report).kind,
        run=run,
    )


def measured(entries: Sequence[Entry]) -> list[MeasuredRun]:
    """Return the readable runs, each with its p95."""
    return [MeasuredRun(entry.run, entry.p95.value_ms if entry.p95 else None) for entry in entries if entry.run]


def trends(entries: Sequence[Entry]) -> list[Trend]:
    """Return the trend of each series with at least two complete runs that have a p95."""
    objectives = {entry.id: entry.run.objectives for entry in entries if entry.run}
    return [_trend(history, objectives.get(history.runs[-1].id, [])) for history in histories(measured(entries))]


def limit_of(texts: Sequence[str]) -> Objective | None:
    """Return the strictest objective that limits p95 of all requests, in ms; None if there is no such objective.

    An objective on a period ("for 10s"), on an endpoint, or on the ramp alone limits another number.
    """
    found = []
    for text in texts:
        try:
            objective = parse_objective(text)
        except ObjectiveError:
            continue
        of_all = objective.endpoint is None and objective.window_s is None and objective.phase in ("all", "steady")
        if objective.metric == "p95" and objective.upper and of_all:
            found.append(objective)
    return min(found, key=lambda objective: objective.limit, default=None)


def _trend(history: History, objectives: Sequence[str]) -> Trend:
    p95_ms = [run.p95_ms for run in history.runs]
    limit = limit_of(objectives)
    near = limit is not None and limit.limit <= LIMIT_NEAR * max(p95_ms)
    top = max(*p95_ms, limit.limit if limit is not None and near else 0.0) or 1.0
    across = (TREND_WIDTH - 2 * TREND_MARGIN) / (len(p95_ms) - 1)
    up = TREND_HEIGHT - 2 * TREND_MARGIN
    points = tuple((TREND_MARGIN + at * across, TREND_MARGIN + up * (1 - ms / top)) for at, ms in enumerate(p95_ms))
    target = history.target if history.label is None else f"{history.target}, {history.label}"
    changes = tuple(
        (TREND_MARGIN + (change.at - 0.5) * across, sentences.change_sentence(history, change))
        for change in history.changes
    )
    line = None
    if limit is not None:
        line = (TREND_MARGIN + up * (1 - limit.limit / top) if near else -TREND_HEIGHT, limit.text)
    return Trend(history.scenario, target, p95_ms[0], p95_ms[-1], max(p95_ms), points, changes, line)


def render_index(entries: Sequence[Entry], compared: Sequence[ComparisonPage] = ()) -> str:
    """Return the page, newest run first."""
    style = page_file("report.css")
    return template("index.html.j2").render(
        entries=list(reversed(entries)),
        trends=trends(entries),
        compared=compared,
        width=TREND_WIDTH,
        height=TREND_HEIGHT,
        marks=sentences.MARKS,
        policy=content_security_policy([], style),
        style=Markup(style),
    )
