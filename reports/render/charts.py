"""Prepare the charts of a page: their lines, colours and packed numbers.

Lines of the time charts share one grid of times. A number is stored as an integer (value × scale). Each column is
stored as differences from one point to the next, split into byte planes, and all columns are compressed as one gzip.
3,600 points of a smooth line take about 3 kB. The smallest 32-bit integer stands for "no value".
"""

from __future__ import annotations

import base64
import gzip
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reports.data import rules
from reports.data.timeline import CHARTS, Chart
from reports.model import Endpoint, Heatmap, Report, RunSummary, Spike, Timeline

NO_VALUE = np.iinfo(np.int32).min
HEIGHT_PX, MAIN_HEIGHT_PX, HEATMAP_HEIGHT_PX = 110, 240, 190
SHADES = 4
"""Number of shades of each run's colour and of the colour of failures."""

LOGARITHMIC_FROM = 30
"""If values differ by more than this factor, they are first drawn on a logarithmic axis."""

PAGE_LEVEL = 7
"""Level of gzip. Level 9 makes the lines of twelve endpoints 8 % smaller, but needs 0.24 s of CPU time, nine times as
much."""

DIGITS_KEPT = 5  # significant digits of a column's largest value; 0.001 % of the axis is less than a pixel
COLOURS = 6
"""Number of run colours. Further runs share these colours; dashes and names still distinguish them."""


def payload(report: Report, *, level: int = PAGE_LEVEL) -> dict[str, Any]:
    """Return all data for the page's script, ready for JSON. `level` is the level of gzip."""
    grid = _grid(report.runs)
    packer = _Packer(grid, level)
    specs = [spec for chart in CHARTS if (spec := _time_chart(chart, report, packer)) is not None]
    specs += [spec for spec in (_percentiles(report), *_capacity(report)) if spec is not None]
    return {
        "runs": [{"name": run.name, "load_start_ms": run.load_start.timestamp() * 1000} for run in report.runs],
        "time": {"from_s": grid.from_s, "step_s": grid.step_s, "length": grid.length, **packer.packed()},
        "charts": specs,
        "spikes": [
            {"from_s": spike.onset_s, "to_s": spike.end_s, "label": _label(number, run, spike, report)}
            for number, (run, spike) in enumerate(spikes(report), 1)
        ],
        "saturated": _saturated(report),
        "endpoints": charted_endpoints(report),
    }


def charted_endpoints(report: Report) -> list[str]:
    """Return the endpoints that can be shown separately, those with the most requests first."""
    each = [endpoint for run in report.runs for endpoint in run.endpoints if endpoint.series is not None]
    return list(
        dict.fromkeys(endpoint_name(endpoint) for endpoint in sorted(each, key=lambda endpoint: -endpoint.requests))
    )


def endpoint_name(endpoint: Endpoint) -> str:
    """Return the name of an endpoint on the page."""
    return f"{endpoint.method} {endpoint.name}".strip()


def spikes(report: Report) -> list[tuple[RunSummary, Spike]]:
    """Return all spikes of all runs, each with its run, in the order of the spike table."""
    return [(run, spike) for run in report.runs for spike in run.spikes]


def _label(number: int, run: RunSummary, spike: Spike, report: Report) -> str:
    return f"{number} {run.name}: {spike.cause}" if len(report.runs) > 1 else f"{number} {spike.cause}"


def _saturated(report: Report) -> list[dict[str, float]]:
    """Return when the generator of any run was saturated, as periods that do not overlap."""
    joined: list[dict[str, float]] = []
    for span in sorted((s for run in report.runs for s in run.measured.saturated), key=lambda span: span.from_s):
        if joined and span.from_s <= joined[-1]["to_s"]:
            joined[-1]["to_s"] = max(joined[-1]["to_s"], span.to_s)
        else:
            joined.append({"from_s": span.from_s, "to_s": span.to_s})
    return joined


@dataclass(frozen=True, slots=True)
class _Grid:
    """The times that all lines share: `length` points, `step_s` apart, beginning at `from_s`."""

    from_s: float
    step_s: float
    length: int

    def place(self, timeline: Timeline, column: str, factor: float = 1.0) -> npt.NDArray[np.float64]:
        """Return a column of a timeline at these times. A value is repeated until the timeline's next point."""
        values = np.array([math.nan if v is None else v for v in timeline.columns[column]], dtype=np.float64)
        times = self.from_s + self.step_s * np.arange(self.length)
        at = np.floor((times - timeline.from_s) / timeline.step_s + 1e-6).astype(np.int64)
        known = (at >= 0) & (at < len(values))
        placed = np.full(self.length, np.nan)
        placed[known] = values[at[known]] * factor
        return placed


def _grid(runs: Sequence[RunSummary]) -> _Grid:
    step_s = max(run.series.step_s for run in runs)
    from_s = min(run.series.from_s for run in runs)
    ends = [
        run.series.from_s + run.series.step_s * (max(map(len, run.series.columns.values()), default=0) - 1)
        for run in runs
    ]
    return _Grid(from_s, step_s, max(1, 1 + round((max(ends) - from_s) / step_s)))


class _Packer:
    """Collect columns, and pack them together."""

    def __init__(self, grid: _Grid, level: int) -> None:
        self.grid = grid
        self.level = level
        self._columns: list[npt.NDArray[np.float64]] = []

    def add(self, values: npt.NDArray[np.float64]) -> int:
        self._columns.append(values)
        return len(self._columns) - 1

    def packed(self) -> dict[str, object]:
        planes: list[bytes] = []
        scales: list[float] = []
        for values in self._columns:
            largest = float(np.nanmax(np.abs(values), initial=0.0))
            scale = 1.0 if largest == 0 else 10.0 ** (DIGITS_KEPT - 1 - math.floor(math.log10(largest)))
            there = np.isfinite(values)
            whole = np.full(len(values), NO_VALUE, dtype=np.int32)
            whole[there] = np.rint(values[there] * scale).astype(np.int32)
            deltas = np.diff(whole.view(np.uint32), prepend=np.uint32(0)).astype("<u4")  # the script also wraps around
            planes.append(deltas.view(np.uint8).reshape(-1, 4).T.tobytes())
            scales.append(scale)
        return {
            "packed": base64.b64encode(gzip.compress(b"".join(planes), self.level, mtime=0)).decode(),
            "scales": scales,
        }


def _time_chart(chart: Chart, report: Report, packer: _Packer) -> dict[str, object] | None:
    series = [line for number, run in enumerate(report.runs) for line in _lines(chart, number, run, report, packer)]
    heatmap = report.runs[0].heatmap if chart.heatmap and len(report.runs) == 1 else None
    if not series or (chart.heatmap and heatmap is None):
        return None
    return {
        "kind": "time",
        "id": chart.id,
        "title": chart.title,
        "explained": chart.explained.format_map(vars(rules)),
        "unit": chart.unit,
        "height": MAIN_HEIGHT_PX if chart.main else HEATMAP_HEIGHT_PX if chart.heatmap else HEIGHT_PX,
        "log": chart.main and _spans_decades(chart, report),
        "main": chart.main,
        "least": chart.least,
        "generator": chart.generator,
        "series": series,
        "endpoints": _lines_by_endpoint(chart, report, packer),
        "heat": None if heatmap is None else _heat(heatmap, packer.level),
        "limits": _limits(report) if chart.main else [],
        "born": [
            {"at_s": instance.first_seen_s, "colour": colour(number, 2)}
            for number, run in enumerate(report.runs)
            for instance in run.instances
        ]
        if chart.instances
        else [],
    }


def _lines(chart: Chart, number: int, run: RunSummary, report: Report, packer: _Packer) -> list[dict[str, object]]:
    """Return the lines of one run in a chart.

    A chart of a duration can also show a count, on the right axis. If several counts are known, only the first is
    included.
    """
    several = len(report.runs) > 1
    found: list[dict[str, object]] = []
    for at, line in enumerate(chart.lines):
        values = run.series.columns.get(line.column)
        if values is None or all(not v if chart.failures else v is None for v in values):
            continue
        if line.counted and any(mark["counted"] for mark in found):
            continue
        if line.column.startswith("status_per_s."):
            errors = run.series.columns.get("failed_per_s.http_error", [])
            if [value or 0 for value in values] == [value or 0 for value in errors]:
                continue  # this line would cover the line of all HTTP errors
        shade = 2 if len(chart.lines) == 1 else min(at + 1, SHADES)
        found.append(
            {
                "column": packer.add(packer.grid.place(run.series, line.column, line.factor)),
                "name": f"{line.name} · {run.name}" if several else line.name,
                "colour": _line_colour(chart, number, at, shade),
                "run": number,
                "step": line.step,
                "counted": line.counted,
                "strong": line.column == "p95_ms" or len(chart.lines) == 1,
                "hidden": chart.main and _hidden(line.column, runs=len(report.runs)),
            }
        )
    return found


def _line_colour(chart: Chart, number: int, at: int, shade: int) -> str:
    """Return a line's colour: a colour of failures, the colour of another run on a heatmap, or that of its run."""
    if chart.failures:
        return f"--bad-{min(at, SHADES - 1) + 1}"
    return colour(number + 1, 3 - at) if chart.heatmap else colour(number, shade)


_OF_ENDPOINTS = {"latency": ("p50_ms", "p95_ms", "p99_ms"), "throughput": ("ok_per_s",), "failed": ("failed_per_s",)}
"""The endpoint's lines that replace a chart's own lines, by the chart's id."""


def _lines_by_endpoint(chart: Chart, report: Report, packer: _Packer) -> dict[str, list[dict[str, object]]]:
    """Return the lines that replace a chart's own lines when an endpoint is shown separately."""
    found: dict[str, list[dict[str, object]]] = {}
    several = len(report.runs) > 1
    names = {line.column: line.name for line in chart.lines}
    for number, run in enumerate(report.runs):
        for endpoint in run.endpoints:
            for at, column in enumerate(_OF_ENDPOINTS.get(chart.id, ()) if endpoint.series else ()):
                assert endpoint.series is not None
                if column not in endpoint.series.columns:
                    continue
                name = names.get(column, "failed")
                line = {
                    "column": packer.add(packer.grid.place(endpoint.series, column)),
                    "name": f"{name} · {run.name}" if several else name,
                    "colour": "--bad-1" if chart.failures else colour(number, at + 1 if chart.main else 2),
                    "run": number,
                    "step": False,
                    "counted": False,
                    "strong": column not in ("p50_ms", "p99_ms"),
                    "hidden": chart.main and _hidden(column, runs=len(report.runs)),
                }
                found.setdefault(endpoint_name(endpoint), []).append(line)
    return found


def _heat(heatmap: Heatmap, level: int) -> dict[str, object]:
    """Return the counts of a heatmap, packed in the same way as the lines: a column per band of latency."""
    packer = _Packer(_Grid(heatmap.from_s, heatmap.step_s, len(heatmap.counts[0])), level)
    for counts in heatmap.counts:
        packer.add(np.asarray(counts, dtype=np.float64))
    return {
        "from_s": heatmap.from_s,
        "step_s": heatmap.step_s,
        "length": packer.grid.length,
        "edges": heatmap.edges_ms,
        "most": max(max(counts) for counts in heatmap.counts),
        **packer.packed(),
    }


def _hidden(column: str, *, runs: int) -> bool:
    """Whether the latency chart hides a line until the reader asks for it, because several runs would be unreadable."""
    return column != "p95_ms" if runs > 2 else column == "p99_ms" and runs == 2


def _spans_decades(chart: Chart, report: Report) -> bool:
    """Whether the values differ so much that a linear axis would hide most of them."""
    known = [
        value
        for run in report.runs
        for line in chart.lines
        if not line.counted
        for value in run.series.columns.get(line.column, [])
        if value
    ]
    return bool(known) and max(known) > LOGARITHMIC_FROM * min(known)


def _limits(report: Report) -> list[dict[str, object]]:
    limits = {(o.limit, o.text) for run in report.runs for o in run.objectives if o.unit == "ms"}
    return [{"y": limit, "label": text} for limit, text in sorted(limits)]


def _percentiles(report: Report) -> dict[str, object] | None:
    series = [
        {
            "name": run.name,
            "colour": colour(number, 2),
            "run": number,
            "x": [round(-math.log10(1 - point.q_ratio), 4) for point in run.curve if point.q_ratio < 1],
            "y": [point.value_ms for point in run.curve if point.q_ratio < 1],
        }
        for number, run in enumerate(report.runs)
        if run.curve
    ]
    if not series:
        return None
    title = "Latency at each percentile"
    return {
        "kind": "percentiles",
        "id": "curve",
        "title": title,
        "explained": "",
        "unit": "ms",
        "height": 280,
        "series": series,
    }


def _capacity(report: Report) -> Iterator[dict[str, object]]:
    each = any(run.capacity and run.capacity.per_instance for run in report.runs)
    per = " per instance" if each else ""
    for identity, title, unit in (("capacity-rate", "Throughput", "/s"), ("capacity-p95", "p95", "ms")):
        series = []
        for number, run in enumerate(report.runs):
            points = sorted(run.capacity.points, key=lambda point: point.in_flight) if run.capacity else []
            xy = [(p.in_flight, p.throughput_per_s if unit == "/s" else p.p95_ms) for p in points]
            xy = [(x, y) for x, y in xy if y is not None]
            if xy:
                line = {"name": run.name, "colour": colour(number, 2), "run": number}
                series.append({**line, "x": [round(x, 3) for x, _ in xy], "y": [round(y or 0, 3) for _, y in xy]})
        if series:
            yield {
                "kind": "plane",
                "id": identity,
                "title": f"{title} by requests in flight{per}",
                "explained": "a dot for each 10 s",
                "unit": unit,
                "x_unit": f"in flight{per}",
                "x_label": f"requests in flight{per}",
                "y_label": f"answered per s{per}" if unit == "/s" else "p95, ms",
                "height": 220,
                "series": series,
                "least": 1,
            }


def colour(run: int, shade: int) -> str:
    """Return the CSS variable of a run's colour; shade 1 is the faintest, and shade 2 is the run's normal colour."""
    return f"--run{run % COLOURS + 1}-{shade}"
