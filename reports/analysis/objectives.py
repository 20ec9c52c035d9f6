"""Judge a run against its objectives: held, missed or undecided, with the numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from loadtest.core.objectives import Objective, Unit
from reports.analysis.phases import PhaseWindow
from reports.data.exact import Distribution
from reports.data.histogram import BINS, MIDDLE_US, Floats, Ints
from reports.data.numbers import error_ratio, throughput_per_s, time_out_at_least_ms
from reports.data.series import Series
from reports.data.window import Window


class Judged(StrEnum):
    """What became of an objective. Missing data is undecided, never held."""

    HELD = "held"
    MISSED = "missed"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One objective, judged.

    Attributes:
        objective: what was asked.
        verdict: what became of it.
        value: what was measured, in the objective's unit; the worst window's for a windowed one; None without data.
        why: one sentence with the numbers.
    """

    objective: Objective
    verdict: Judged
    value: float | None
    why: str


def judge(
    objective: Objective, series: Series, parts: Sequence[PhaseWindow], by_phase: Sequence[Distribution]
) -> Judgement:
    """Return whether the run held an objective.

    Latency is that of successful requests; a percentile that would lie among the time-outs if they were counted is
    never held: a request that was given up on is no fast one.

    Args:
        objective: what was asked.
        series: the run.
        parts: its phases.
        by_phase: exact latencies of the successful, in the order of `parts`.
    """
    at = next((at for at, part in enumerate(parts) if part.name.value == objective.phase), None)
    if at is None:
        return _undecided(objective, f"the run has no {objective.phase} phase")
    window = parts[at].window
    if objective.window_s is not None:
        return _windowed(objective, series, window)
    if objective.quantile is not None:
        return _percentile(objective, series, window, by_phase[at])
    value = _rate(objective, series, window)
    if value is None:
        return _undecided(objective, "nothing was sent in it")
    detail = f"{window.sum(series.failed)} of {window.sum(series.started)} requests failed"
    if objective.unit is Unit.PER_S:
        detail = f"{window.sum(series.ok_ended)} successful answers in {window.length_s} s"
    return _decided(objective, value, detail)


def _percentile(objective: Objective, series: Series, window: Window, exact: Distribution) -> Judgement:
    p = objective.quantile or 0.0
    found = exact.at(p)
    timed_out = window.sum(series.by_outcome["timeout"])
    bound_ms = time_out_at_least_ms(series)
    if found is None or found.value_ms is None:
        if not timed_out or bound_ms is None:
            return _undecided(objective, "no request succeeded in it")
        verdict = Judged.UNDECIDED if objective.met_by(bound_ms) or not objective.upper else Judged.MISSED
        return Judgement(
            objective, verdict, None, f"no request succeeded, {timed_out} timed out after ≥ {bound_ms:.0f} ms"
        )
    detail = f"{exact.requests} successful requests"
    judged = _decided(objective, found.value_ms, detail)
    censored = timed_out and p * (exact.requests + timed_out) > exact.requests
    if judged.verdict is Judged.HELD and objective.upper and censored and bound_ms is not None:
        verdict = Judged.UNDECIDED if objective.met_by(bound_ms) else Judged.MISSED
        why = (
            f"with the {timed_out} time-outs counted, {objective.metric} is ≥ {bound_ms:.0f} ms "
            f"(of the successful: {found.value_ms:.1f} ms)"
        )
        return Judgement(objective, verdict, found.value_ms, why)
    return judged


def _rate(objective: Objective, series: Series, window: Window) -> float | None:
    if objective.unit is Unit.RATIO:
        return error_ratio(series, window)
    return throughput_per_s(series, window) if window.sum(series.started) else None


def _windowed(objective: Objective, series: Series, window: Window) -> Judgement:
    """Judge every stretch of `window_s` seconds inside the phase, one beginning each second."""
    width = objective.window_s or 1
    if window.length_s < width:
        return _undecided(objective, f"the {objective.phase} phase lasts {window.length_s} s, less than {width} s")
    values = rolling(objective, series, window)
    known = values[~np.isnan(values)]
    if not len(known):
        return _undecided(objective, "no stretch of it holds a request to judge by")
    worst = float(known.max() if objective.upper else known.min())
    at = window.start_s + int(np.flatnonzero(values == worst)[0])
    detail = f"the worst of {len(values)} stretches of {width} s, from {at} s on"
    judged = _decided(objective, worst, detail)
    missing = len(values) - len(known)
    if judged.verdict is Judged.HELD and missing:
        return Judgement(
            objective, Judged.UNDECIDED, worst, f"{missing} of {len(values)} stretches of {width} s hold no data"
        )
    return judged


def rolling(objective: Objective, series: Series, window: Window) -> Floats:
    """Return the objective's value in every stretch of `window_s` inside the window, NaN where one holds no data.

    Percentiles are nearest-rank within 0.4 %, over successful requests and time-outs, these counted as slowest.
    """
    width = objective.window_s or 1
    inside = slice(window.start_s, window.end_s)
    sent = _moving(series.started[inside], width)
    if objective.unit is Unit.RATIO:
        failed = _moving(series.failed[inside], width)
        return np.where(sent > 0, failed / np.maximum(sent, 1), np.nan)
    if objective.unit is Unit.PER_S:
        return _moving(series.ok_ended[inside], width) / width
    timed_out = _moving(series.by_outcome["timeout"][inside], width)
    found = np.full(len(sent), np.nan)
    cells = series.cells
    edges = cells.edges[window.start_s : window.end_s + 1]
    held = np.zeros(BINS, dtype=np.int64)
    for at in range(window.length_s):
        a, b = edges[at], edges[at + 1]
        np.add.at(held, cells.bin[a:b], cells.count[a:b])
        begin = at - width + 1
        if begin < 0:
            continue
        found[begin] = _ranked_ms(objective, held, int(timed_out[begin]), time_out_at_least_ms(series))
        a, b = edges[begin], edges[begin + 1]
        np.subtract.at(held, cells.bin[a:b], cells.count[a:b])
    return found


def _ranked_ms(objective: Objective, held: Ints, timed_out: int, bound_ms: float | None) -> float:
    """Return the percentile of successful requests and time-outs; of the latter only a bound that decides counts."""
    succeeded = int(held.sum())
    if not succeeded + timed_out:
        return math.nan
    rank = max(1, math.ceil((objective.quantile or 0.0) * (succeeded + timed_out) - 1e-9))
    if rank <= succeeded:
        return float(MIDDLE_US[np.searchsorted(np.cumsum(held), rank)]) / 1000
    decides = bound_ms is not None and objective.met_by(bound_ms) != objective.upper
    return bound_ms if decides and bound_ms is not None else math.nan


def _moving(counts: Ints, width: int) -> Ints:
    total = np.r_[0, np.cumsum(counts)]
    return np.asarray(total[width:] - total[:-width], dtype=np.int64)


def _decided(objective: Objective, value: float, detail: str) -> Judgement:
    verdict = Judged.HELD if objective.met_by(value) else Judged.MISSED
    limit = f"{objective.comparison} {show(objective.limit, objective.unit)}"
    return Judgement(objective, verdict, value, f"{show(value, objective.unit)} against {limit}: {detail}")


def _undecided(objective: Objective, why: str) -> Judgement:
    return Judgement(objective, Judged.UNDECIDED, None, why)


def show(value: float, unit: Unit) -> str:
    """Return a number with its unit, as text: `312.4 ms`, `1.25 %`, `281.0/s`."""
    if unit is Unit.MS:
        return f"{value:.1f} ms"
    return f"{value * 100:.2f} %" if unit is Unit.RATIO else f"{value:.1f}/s"
