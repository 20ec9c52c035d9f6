"""Declare the charts over time, with the meaning of each line and how it is computed.

To add a chart, add an entry with the functions of its lines to CHARTS. The page, its tables and summary.json then
contain the new chart.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from loadtest.core import cloud_metrics
from loadtest.recording.frames import OUTCOMES
from reports.data import formats
from reports.data.cloud import InstanceGauge, MetricSeries
from reports.data.histogram import Floats
from reports.data.load import Load
from reports.data.numbers import status_per_s
from reports.data.series import Series
from reports.model import Timeline

MAX_POINTS = 4000
"""Largest number of points of a line. A chart is at most about 1,200 pixels wide, so an hour with a point per second
can still be zoomed threefold without loss."""

MAX_ENDPOINT_POINTS = 600
"""The highest number of points in an endpoint's line, so that twelve endpoints do not take more space than the run's
own lines."""

STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600)

PERCENTILES = (0.5, 0.95, 0.99)

HOLD_S = 90
"""A gauge is sampled once a minute. A sample is drawn as constant until the next sample, but for at most this long.
After that there is a gap."""

THROTTLING = (429, 503)
"""HTTP statuses with which the platform or the service refuses requests because of too much load."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The data from which lines are computed."""

    series: Series
    load: Load
    cloud: tuple[MetricSeries, ...] | None
    gauge: InstanceGauge | None
    _latencies: dict[int, list[Floats]] = field(default_factory=dict)

    def latency_ms(self, p: float, step_s: int) -> Floats:
        """Return one of PERCENTILES for each step. All of them are found in one pass."""
        if step_s not in self._latencies:
            self._latencies[step_s] = self.series.cells.quantiles(PERCENTILES, self.series.seconds, width_s=step_s)
        return self._latencies[step_s][PERCENTILES.index(p)] / 1000


Values = Callable[[Observed, int], Floats | None]
"""A function of the data and of the length of a step in s. It returns a value for each step from t = 0 (NaN if a step
has no value), or None if nothing is known."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart.

    Attributes:
        column: its key in summary.json.
        name: its name in the legend.
        values: the function that computes it.
        step: whether each value is drawn as holding until the next one.
        factor: converts a value to the chart's unit.
        counted: whether it uses the right axis, for a count next to a duration.
    """

    column: str
    name: str
    values: Values
    step: bool = False
    factor: float = 1.0
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart over time.

    Attributes:
        id: its name on the page.
        title: the heading.
        explained: the text after the title; names of rules in braces stand for their values.
        unit: the unit of its axis.
        lines: the lines, from the faintest to the darkest.
        main: whether it is on the first screen, tall, with labels, objectives and new instances.
        failures: whether its lines are failures, which are drawn in the colour of failures and left out if nothing
            failed.
        instances: whether it marks when each instance was first seen.
        generator: whether it is about the load generator itself.
        least: the axis reaches at least this value.
        heatmap: whether its lines are drawn over the heatmap of latencies, on a logarithmic axis (single runs only).
    """

    id: str
    title: str
    explained: str
    unit: str
    lines: tuple[Line, ...]
    main: bool = False
    failures: bool = False
    instances: bool = False
    generator: bool = False
    least: float = 0.0
    heatmap: bool = False


# ---- functions that compute lines


def _without_the_cut_end(values: Floats) -> Floats:
    """Return a rate or a count without its last step, which is incomplete and would look like a fall."""
    if len(values) > 1:
        values[-1] = np.nan
    return values


def _windows(values: Floats, step_s: int) -> Floats:
    padded = np.full(-(-len(values) // step_s) * step_s, np.nan)
    padded[: len(values)] = values
    return padded.reshape(-1, step_s)


def _mean(values: Floats, step_s: int) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a window without any value is a gap, not an error
        return np.asarray(np.nanmean(_windows(values, step_s), axis=1), dtype=np.float64)


def _highest(values: Floats, step_s: int) -> Floats:
    return np.asarray(np.fmax.reduce(_windows(values, step_s), axis=1), dtype=np.float64)


def _quantile_ms(p: float) -> Values:
    return lambda seen, step_s: seen.latency_ms(p, step_s)


def _rate(counts: Callable[[Series], object | None]) -> Values:
    def values(seen: Observed, step_s: int) -> Floats | None:
        found = counts(seen.series)
        if found is None:
            return None
        per_s = _mean(np.asarray(found, dtype=np.float64), step_s)
        return _without_the_cut_end(per_s)

    return values


def _outcome(kind: str) -> Values:
    return _rate(lambda series: series.by_outcome[kind] if series.by_outcome[kind].any() else None)


def _status(status: int) -> Values:
    def values(seen: Observed, step_s: int) -> Floats | None:
        return status_per_s(seen.series, status, step_s=step_s) if status in seen.series.by_status else None

    return values


def _load(column: Callable[[Load], Floats], *, highest: bool = False) -> Values:
    reduce = _highest if highest else _mean
    return lambda seen, step_s: reduce(column(seen.load), step_s)


def _in_flight(seen: Observed, step_s: int) -> Floats:
    """Return the workers' counts; for seconds without one, the count from the rows."""
    counted = np.asarray(seen.series.in_flight, dtype=np.float64)
    return _mean(np.where(np.isnan(seen.load.in_flight), counted, seen.load.in_flight), step_s)


def _answering(seen: Observed, step_s: int) -> Floats | None:
    """Return how many instances were between their first and their last answer."""
    if not seen.series.instances:
        return None
    moments = np.arange(0, seen.series.seconds, step_s, dtype=np.float64)
    alive = [(i.first_seen_s < moments + step_s) & (i.last_seen_s >= moments) for i in seen.series.instances]
    return _without_the_cut_end(np.asarray(np.sum(alive, axis=0), dtype=np.float64))


def _gauge(column: Callable[[InstanceGauge], Floats]) -> Values:
    """Return the platform's own count. Each sample is used for at most HOLD_S."""

    def values(seen: Observed, step_s: int) -> Floats | None:
        if seen.gauge is None:
            return None
        moments = np.arange(0, seen.series.seconds, step_s, dtype=np.float64)
        index = np.searchsorted(seen.gauge.at_s, moments, side="right") - 1
        known = index >= 0
        known[known] = moments[known] - seen.gauge.at_s[index[known]] <= HOLD_S
        return np.asarray(np.where(known, column(seen.gauge)[np.maximum(index, 0)], np.nan), dtype=np.float64)

    return values


def _sampled(metric: str) -> Values:
    """Return a metric of the platform as separate points. If revisions overlap, the highest value counts."""

    def values(seen: Observed, step_s: int) -> Floats | None:
        column = np.full(-(-seen.series.seconds // step_s), np.nan)
        for points in seen.cloud or ():
            if points.metric == metric:
                at = np.floor(points.end_s / step_s).astype(np.int64)
                inside = (at >= 0) & (at < len(column))
                np.fmax.at(column, at[inside], points.value[inside])
        return column

    return values


# ---- the charts, in the order of the page

CHARTS = (
    Chart(
        id="latency",
        title="Latency",
        explained="of successful requests, by due or sending time; a triangle is a new instance's first answer",
        unit="ms",
        lines=(
            Line("p50_ms", "p50", _quantile_ms(0.5)),
            Line("p95_ms", "p95", _quantile_ms(0.95)),
            Line("p99_ms", "p99", _quantile_ms(0.99)),
            Line("instances_answering", "instances", _answering, step=True, counted=True),
            Line("instances_active", "instances", _gauge(lambda gauge: gauge.active), step=True, counted=True),
        ),
        main=True,
        instances=True,
    ),
    Chart(
        id="heatmap",
        title="Latency heatmap",
        explained="a darker cell means that more successful requests began then and took that long",
        unit="ms",
        lines=(
            Line("p50_ms", "p50", _quantile_ms(0.5)),
            Line("p95_ms", "p95", _quantile_ms(0.95)),
        ),
        heatmap=True,
    ),
    Chart(
        id="failed",
        title="Failures",
        explained="per second, by kind",
        unit="/s",
        lines=(
            *(Line(f"failed_per_s.{kind}", formats.outcome(kind), _outcome(kind)) for kind in OUTCOMES if kind != "ok"),
            *(Line(f"status_per_s.{status}", f"of these {status}", _status(status)) for status in THROTTLING),
        ),
        failures=True,
        least=1,
    ),
    Chart(
        id="throughput",
        title="Throughput",
        explained="successful requests per second",
        unit="/s",
        lines=(Line("ok_per_s", "answered", _rate(lambda series: series.ok_ended)),),
        least=1,
    ),
    Chart(
        id="load",
        title="Load",
        explained="users planned and running, and requests that await an answer",
        unit="",
        lines=(
            Line("planned_users", "planned users", _load(lambda load: load.planned_users)),
            Line("users", "users", _load(lambda load: load.users)),
            Line("in_flight", "in flight", _in_flight),
        ),
        least=1,
    ),
    Chart(
        id="instances-chart",
        title="Instances",
        explained="instances of the service, as the platform counts them and as the answers show them",
        unit="",
        lines=(
            Line("instances_idle", "idle", _gauge(lambda gauge: gauge.idle), step=True),
            Line("instances_active", "active", _gauge(lambda gauge: gauge.active), step=True),
            Line("instances_answering", "answering", _answering, step=True),
        ),
        instances=True,
        least=2,
    ),
    Chart(
        id="container",
        title="Container CPU",
        explained="share of the limit in use, as the platform reports it",
        unit="%",
        lines=(Line("container_cpu_ratio", "CPU", _sampled(cloud_metrics.CPU), factor=100),),
        least=100,
    ),
    Chart(
        id="concurrency",
        title="Container concurrency",
        explained="requests at a time in one instance, as the platform reports it",
        unit="",
        lines=(
            Line(
                "container_concurrency",
                "requests at a time",
                _sampled(cloud_metrics.MAX_CONCURRENCIES),
            ),
        ),
    ),
    Chart(
        id="generator",
        title="Load generator",
        explained="CPU of its busiest worker; in grey seconds it was saturated and may have measured its own delay",
        unit="%",
        lines=(
            Line("generator_cpu_ratio", "CPU of a core", _load(lambda load: load.cpu_ratio, highest=True), factor=100),
        ),
        generator=True,
        least=100,
    ),
    Chart(
        id="lag",
        title="Load generator's lag",
        explained="the longest delay of its event loop in a second; "
        "above {GENERATOR_LAG_MS:g} ms its own delay is measured too",
        unit="ms",
        lines=(Line("loop_lag_ms", "lag", _load(lambda load: load.loop_lag_ms, highest=True)),),
        generator=True,
        least=10,
    ),
)


def step_for(seconds: int, *, most: int = MAX_POINTS) -> int:
    """Return the width in s of one point, so that a run of this length has at most `most` points."""
    return next((step for step in STEPS_S if seconds / step <= most), STEPS_S[-1])


def timeline_of(seen: Observed, step_s: int) -> Timeline:
    """Return the run's lines in steps of `step_s`. A line without a single value is left out."""
    columns = {column: _listed(values) for column, values in _known(seen, step_s)}
    return Timeline(from_s=0.0, step_s=float(step_s), columns=columns)


def endpoint_timeline(series: Series, endpoint: int, step_s: int) -> Timeline:
    """Return the lines of one of the first rules.CHARTED_ENDPOINTS endpoints.

    Answers are counted in the second in which their request started.
    """
    cells = series.cells.only(endpoint)
    quantiles = cells.quantiles(PERCENTILES, series.seconds, width_s=step_s)
    columns = {f"p{100 * p:.0f}_ms": us / 1000 for p, us in zip(PERCENTILES, quantiles, strict=True)}
    answered = cells.grid(0, series.seconds, width_s=step_s).requests()
    columns["ok_per_s"] = _without_the_cut_end(answered / step_s)
    failed = np.asarray(series.failed_of[endpoint], dtype=np.float64)
    if failed.any():
        columns["failed_per_s"] = _mean(failed, step_s)
    return Timeline(
        from_s=0.0, step_s=float(step_s), columns={name: _listed(values) for name, values in columns.items()}
    )


def _known(seen: Observed, step_s: int) -> Iterator[tuple[str, Floats]]:
    for chart in CHARTS:
        for line in chart.lines:
            values = line.values(seen, step_s)
            if values is not None and not np.isnan(values).all():
                yield line.column, values


def _listed(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 4) for value in values]
