"""Reduce an analysis to the lines of its charts: one value per second, or per step of a long run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from reports import model
from reports.analysis.analysis import Analysis
from reports.data.histogram import Floats
from reports.data.numbers import status_per_s

MAX_POINTS = 4000
"""A chart is at most about 1,200 pixels wide: an hour in seconds can still be zoomed threefold without loss."""

STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600)

HOLD_S = 90
"""A gauge sampled once a minute stands until its next sample, not longer: beyond is a gap."""

PERCENTILES: Mapping[str, float] = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}

GAUGES: Mapping[str, str] = {
    "container_cpu_ratio": "run.googleapis.com/container/cpu/utilizations",
    "container_concurrency": "run.googleapis.com/container/max_request_concurrencies",
}

THROTTLING = (429, 503)
"""Answers that say "too much": the platform's and the service's own words for it."""


def step_for(seconds: int) -> int:
    """Return the width in s of one point so that a run of that length keeps to MAX_POINTS."""
    return next((step for step in STEPS_S if seconds / step <= MAX_POINTS), STEPS_S[-1])


def series_of(found: Analysis, step_s: int) -> model.Timeline:
    """Return the run's lines in steps of `step_s`; a line without a single value is left out."""
    columns = _latencies(found, step_s)
    series, load = found.series, found.load
    columns["ok_per_s"] = _rate(series.ok_ended, step_s)
    for kind, counts in series.by_outcome.items():
        if kind != "ok" and counts.any():
            columns[f"failed_per_s.{kind}"] = _rate(counts, step_s)
    for status in THROTTLING:
        if status in series.by_status:
            columns[f"status_per_s.{status}"] = status_per_s(series, status, step_s=step_s)
    columns["planned_users"] = _mean(load.planned_users, step_s)
    columns["users"] = _mean(load.users, step_s)
    counted = np.asarray(series.in_flight, dtype=np.float64)
    columns["in_flight"] = _mean(np.where(np.isnan(load.in_flight), counted, load.in_flight), step_s)
    columns["generator_cpu_ratio"] = _highest(load.cpu_ratio, step_s)
    columns["loop_lag_ms"] = _highest(load.loop_lag_ms, step_s)
    columns |= _instances(found, step_s) | _gauges(found, step_s)
    known = {name: _listed(values) for name, values in columns.items() if not np.isnan(values).all()}
    return model.Timeline(from_s=0.0, step_s=float(step_s), columns=known)


def _latencies(found: Analysis, step_s: int) -> dict[str, Floats]:
    found_us = found.series.cells.quantiles(list(PERCENTILES.values()), found.series.seconds, width_s=step_s)
    return {name: values / 1000 for name, values in zip(PERCENTILES, found_us, strict=True)}


def _instances(found: Analysis, step_s: int) -> dict[str, Floats]:
    """Return how many instances were between their first and last answer, and the platform's own gauge held."""
    moments = np.arange(0, found.series.seconds, step_s, dtype=np.float64)
    columns: dict[str, Floats] = {}
    if found.series.instances:
        columns["instances_answering"] = np.sum(
            [(i.first_seen_s < moments + step_s) & (i.last_seen_s >= moments) for i in found.series.instances],
            axis=0,
        ).astype(np.float64)
    if found.gauge is not None:
        columns["instances_active"] = _held(found.gauge.at_s, found.gauge.active, moments)
        columns["instances_idle"] = _held(found.gauge.at_s, found.gauge.idle, moments)
    return columns


def _gauges(found: Analysis, step_s: int) -> dict[str, Floats]:
    """Return the sampled series as single points, the highest where revisions overlap."""
    columns: dict[str, Floats] = {}
    windows = -(-found.series.seconds // step_s)
    for name, metric in GAUGES.items():
        for one in found.cloud or ():
            if one.metric != metric:
                continue
            column = columns.setdefault(name, np.full(windows, np.nan))
            at = np.floor(one.end_s / step_s).astype(np.int64)
            inside = (at >= 0) & (at < windows)
            np.fmax.at(column, at[inside], one.value[inside])
    return columns


def _held(at_s: Floats, values: Floats, moments: Floats) -> Floats:
    index = np.searchsorted(at_s, moments, side="right") - 1
    known = index >= 0
    known[known] = moments[known] - at_s[index[known]] <= HOLD_S
    return np.where(known, values[np.maximum(index, 0)], np.nan)


def _windows(values: Floats, step_s: int) -> Floats:
    padded = np.full(-(-len(values) // step_s) * step_s, np.nan)
    padded[: len(values)] = values
    return padded.reshape(-1, step_s)


def _rate(counts: object, step_s: int) -> Floats:
    return _mean(np.asarray(counts, dtype=np.float64), step_s)


def _mean(values: Floats, step_s: int) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a window without any value is a gap, not a surprise
        return np.asarray(np.nanmean(_windows(values, step_s), axis=1), dtype=np.float64)


def _highest(values: Floats, step_s: int) -> Floats:
    return np.asarray(np.fmax.reduce(_windows(values, step_s), axis=1), dtype=np.float64)


def _listed(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 4) for value in values]
