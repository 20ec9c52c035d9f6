"""Judge each objective of a run as held, missed or undecided, with the numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from loadtest.core.objectives import PLATFORM_METRICS, WHOLE_METRICS, EndpointName, Objective, Unit
from reports.analysis.phases import PhaseWindow
from reports.data.exact import Distribution
from reports.data.formats import count, plural, usd
from reports.data.histogram import BINS, MIDDLE_US, Floats, Ints
from reports.data.numbers import throughput_per_s
from reports.data.series import Series
from reports.data.window import Window
from reports.model import Objective as JudgedObjective


class Judged(StrEnum):
    """The verdict on an objective. If data is missing, the objective is undecided, never held."""

    HELD = "held"
    MISSED = "missed"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class EndpointCounts:
    """The requests of one endpoint in one phase.

    Attributes:
        ok: latencies of successful requests.
        failed: number of failed requests.
        at_least: latencies of successful requests, and waits of requests without an answer.
    """

    ok: Distribution
    failed: int
    at_least: Distribution


@dataclass(frozen=True, slots=True)
class Platform:
    """The platform's reports about a run. A value is None if the platform did not report it.

    Attributes:
        instances: number of serving instances in each second after t = 0.
        became_ready_s: when each instance that reports its age became ready.
        cpu: the CPU use of the containers: (seconds after t = 0, ratio), each ascending in time.
        cost_usd: the cost of the whole run.
    """

    instances: Floats | None = None
    became_ready_s: tuple[float, ...] | None = None
    cpu: tuple[Floats, Floats] | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """The data by which objectives are judged.

    Attributes:
        series: the run.
        parts: its phases.
        by_phase: exact latencies of successful requests, in the order of `parts`.
        at_least: like `by_phase`, but also with the waits of requests without an answer; the quantiles are lower
            bounds.
        task_errors: number of exceptions in the scenario's own code. They stand for requests that were not sent, or
            answers that could not be used.
        endpoints: counts by endpoint and phase, for objectives that name an endpoint; a missing key means no request.
        platform: what the platform reported.
        answers_compared: how many answers were compared with reference answers; None if answers were not compared.
    """

    series: Series
    parts: Sequence[PhaseWindow]
    by_phase: Sequence[Distribution]
    at_least: Sequence[Distribution]
    task_errors: int = 0
    endpoints: Mapping[tuple[EndpointName, str], EndpointCounts] = field(default_factory=dict)
    platform: Platform = field(default_factory=Platform)
    answers_compared: int | None = None


def judge(objective: Objective, observed: Observed) -> JudgedObjective:
    """Return whether the run held an objective.

    Latencies are those of successful requests. Percentiles include the requests without an answer as well. If the
    percentile is one of these requests, an upper limit is never held, because a request that timed out was not fast.
    """
    at = next((at for at, part in enumerate(observed.parts) if part.name.value == objective.phase), None)
    if at is None:
        return _undecided(objective, f"the run has no {objective.phase} phase")
    window = observed.parts[at].window
    if objective.metric in WHOLE_METRICS:
        by_platform = objective.metric in PLATFORM_METRICS
        return (
            _platform(objective, observed.platform, window)
            if by_platform
            else _wrong_answers(objective, observed, window)
        )
    if objective.endpoint is not None:
        return _endpoint(objective, observed.endpoints.get((objective.endpoint, objective.phase)), window)
    if objective.window_s is not None:
        return _windowed(objective, observed.series, window)
    if objective.quantile is not None:
        return _percentile(objective, observed.by_phase[at], observed.at_least[at])
    return _rate(objective, observed, window)


def _rate(objective: Objective, observed: Observed, window: Window) -> JudgedObjective:
    series = observed.series
    if objective.unit is Unit.RATIO:
        errors = observed.task_errors if objective.bounds_errors else 0
        sent = window.sum(series.started) - window.sum(series.generator)
        return _error_rate(objective, window.sum(series.failed), sent, errors)
    value = throughput_per_s(series, window)
    if value is None or not window.sum(series.started):
        return _undecided(objective, "nothing was sent in it")
    return _decided(
        objective, value, f"{plural(window.sum(series.ok_ended), 'successful answer')} in {window.length_s} s"
    )


def _error_rate(objective: Objective, failed: int, sent: int, task_errors: int) -> JudgedObjective:
    """Judge the share of failed requests. An exception in the scenario's own code counts as one more failed request."""
    if not sent + task_errors:
        return _undecided(objective, "nothing was sent in it")
    detail = f"{count(failed)} of {plural(sent, 'request')} failed"
    if task_errors:
        detail += f", and the scenario's own code raised {plural(task_errors, 'error')}"
    return _decided(objective, (failed + task_errors) / (sent + task_errors), detail)


def _endpoint(objective: Objective, found: EndpointCounts | None, window: Window) -> JudgedObjective:
    if found is None:
        return _undecided(
            objective, "the phase has no request of that endpoint, or the endpoint is counted together with others"
        )
    if objective.quantile is not None:
        return _percentile(objective, found.ok, found.at_least)
    if objective.unit is Unit.RATIO:
        return _error_rate(objective, found.failed, found.failed + found.ok.requests, 0)
    if not window.length_s:
        return _undecided(objective, "the phase is empty")
    detail = f"{plural(found.ok.requests, 'successful answer')} in {window.length_s} s"
    return _decided(objective, found.ok.requests / window.length_s, detail)


def _platform(objective: Objective, platform: Platform, window: Window) -> JudgedObjective:
    """Judge the values that the platform reports: the most instances, starts, the mean CPU, the cost."""
    inside = slice(window.start_s, window.end_s)
    if objective.metric == "instances" and platform.instances is not None and window.length_s:
        return _decided(objective, float(np.max(platform.instances[inside])), "the highest number at any time")
    if objective.metric == "cold_starts" and platform.became_ready_s is not None:
        started = [at for at in platform.became_ready_s if window.start_s <= at < window.end_s]
        return _decided(objective, float(len(started)), "instances that became able to serve during the load")
    if objective.metric == "cpu" and platform.cpu is not None:
        at_s, ratio = platform.cpu
        chosen = ratio[(at_s >= window.start_s) & (at_s <= window.end_s) & ~np.isnan(ratio)]
        if chosen.size:
            return _decided(objective, float(chosen.mean()), f"mean of {chosen.size} samples of the containers")
    if objective.metric == "cost" and platform.cost_usd is not None:
        if objective.phase != "all":
            return _undecided(objective, "the cost is known for the whole run only")
        return _decided(objective, platform.cost_usd, "of the whole run, see Cost")
    return _undecided(objective, f"the platform reports no {objective.metric.replace('_', ' ')} of this run")


def _wrong_answers(objective: Objective, observed: Observed, window: Window) -> JudgedObjective:
    compared = observed.answers_compared
    if compared is None:
        return _undecided(objective, "no answers were taken before the load: run with --check-answers")
    if not compared:
        return _undecided(
            objective, "no answer was compared: the load sent none of the requests that were sent before it"
        )
    wrong = window.sum(observed.series.by_outcome["wrong_answer"])
    sent = int(observed.series.started.sum())
    return _decided(objective, float(wrong), f"{count(compared)} of {plural(sent, 'answer')} compared")


def _percentile(objective: Objective, exact: Distribution, at_least: Distribution) -> JudgedObjective:
    p = objective.quantile or 0.0
    found, bound = exact.at(p), at_least.at(p)
    censored = at_least.requests - exact.requests
    bound_ms = None if bound is None else bound.value_ms
    if found is None or found.value_ms is None:
        if bound_ms is None:
            return _undecided(objective, "no request succeeded in it")
        verdict = Judged.UNDECIDED if objective.met_by(bound_ms) or not objective.upper else Judged.MISSED
        why = f"no request succeeded; {objective.metric} of the {censored} without an answer is ≥ {bound_ms:.0f} ms"
        return _judged(objective, verdict, None, why)
    judged = _decided(objective, found.value_ms, plural(exact.requests, "successful request"))
    among = p * at_least.requests > exact.requests
    if judged.verdict == Judged.HELD.value and objective.upper and among and bound_ms is not None:
        verdict = Judged.UNDECIDED if objective.met_by(bound_ms) else Judged.MISSED
        why = (
            f"{objective.metric} is ≥ {bound_ms:.0f} ms if the {plural(censored, 'request')} without an answer "
            f"are included ({found.value_ms:.1f} ms for the successful requests alone)"
        )
        return _judged(objective, verdict, found.value_ms, why)
    return judged


def _windowed(objective: Objective, series: Series, window: Window) -> JudgedObjective:
    """Judge every period of `window_s` seconds inside the phase; one period begins each second."""
    width = objective.window_s or 1
    if window.length_s < width:
        return _undecided(objective, f"the {objective.phase} phase lasts {window.length_s} s, less than {width} s")
    values = rolling(objective, series, window)
    known = values[~np.isnan(values)]
    if not len(known):
        return _undecided(objective, "no period of this phase contains a request")
    worst = float(known.max() if objective.upper else known.min())
    at = window.start_s + int(np.flatnonzero(values == worst)[0])
    detail = f"the worst of {len(values)} periods of {width} s, which begins at {at} s"
    judged = _decided(objective, worst, detail)
    missing = len(values) - len(known)
    if judged.verdict == Judged.HELD.value and missing:
        return _judged(
            objective, Judged.UNDECIDED, worst, f"{missing} of {len(values)} periods of {width} s have no data"
        )
    return judged


def rolling(objective: Objective, series: Series, window: Window) -> Floats:
    """Return the objective's value in every period of `window_s` inside the window; NaN for a period without data.

    Percentiles are nearest-rank within 0.4 %, over successful and unanswered requests. The unanswered ones count as
    slowest.
    """
    width = objective.window_s or 1
    inside = slice(window.start_s, window.end_s)
    sent = _moving((series.started - series.generator)[inside], width)
    if objective.unit is Unit.RATIO:
        failed = _moving(series.failed[inside], width)
        return np.where(sent > 0, failed / np.maximum(sent, 1), np.nan)
    if objective.unit is Unit.PER_S:
        return _moving(series.ok_ended[inside], width) / width
    censored = _moving(series.censored[inside], width)
    bound_ms = None if series.censored_at_least_us is None else series.censored_at_least_us / 1000
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
        found[begin] = _ranked_ms(objective, held, int(censored[begin]), bound_ms)
        a, b = edges[begin], edges[begin + 1]
        np.subtract.at(held, cells.bin[a:b], cells.count[a:b])
    return found


def _ranked_ms(objective: Objective, held: Ints, censored: int, bound_ms: float | None) -> float:
    """Return the percentile of answered and unanswered requests.

    If the percentile is an unanswered request, the result is the lower bound of its wait if that bound decides the
    objective, else NaN.
    """
    succeeded = int(held.sum())
    if not succeeded + censored:
        return math.nan
    rank = max(1, math.ceil((objective.quantile or 0.0) * (succeeded + censored) - 1e-9))
    if rank <= succeeded:
        return float(MIDDLE_US[np.searchsorted(np.cumsum(held), rank)]) / 1000
    decides = bound_ms is not None and objective.met_by(bound_ms) != objective.upper
    return bound_ms if decides and bound_ms is not None else math.nan


def _moving(counts: Ints, width: int) -> Ints:
    total = np.r_[0, np.cumsum(counts)]
    return np.asarray(total[width:] - total[:-width], dtype=np.int64)


def _decided(objective: Objective, value: float, detail: str) -> JudgedObjective:
    verdict = Judged.HELD if objective.met_by(value) else Judged.MISSED
    limit = f"{objective.comparison} {show(objective.limit, objective.unit)}"
    return _judged(objective, verdict, value, f"{show(value, objective.unit)} against {limit}: {detail}")


def _judged(objective: Objective, verdict: Judged, value: float | None, why: str) -> JudgedObjective:
    """Return the objective for the summary. If it is judged in windows, `value` is the value of the worst window."""
    return JudgedObjective(
        text=objective.text,
        verdict=verdict.value,
        value=value,
        limit=objective.limit,
        unit=objective.unit.value,
        why=why,
        implied=objective.implied,
    )


def _undecided(objective: Objective, why: str) -> JudgedObjective:
    return _judged(objective, Judged.UNDECIDED, None, why)


def show(value: float, unit: Unit) -> str:
    """Return a number with its unit, as text: `312.4 ms`, `1.25 %`, `281.0/s`, `12`, `$0.51`."""
    if unit is Unit.MS:
        return f"{value:.1f} ms"
    if unit is Unit.COUNT:
        return f"{value:g}"
    if unit is Unit.USD:
        return usd(value)
    return f"{value * 100:.2f} %" if unit is Unit.RATIO else f"{value:.1f}/s"
