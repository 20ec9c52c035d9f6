"""Convert the analysis of one run to its part of the report."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from loadtest.recording.frames import FAILED, OUTCOMES
from loadtest.recording.paths import is_there
from loadtest.recording.run import Run
from reports import model
from reports.analysis.analysis import Analysis
from reports.data import numbers
from reports.data.cloud import revisions_in
from reports.data.exact import Distribution
from reports.data.failed import failures_of
from reports.data.heatmap import heatmap_of
from reports.data.histogram import Bools, Floats
from reports.data.series import Series
from reports.data.timeline import MAX_ENDPOINT_POINTS, THROTTLING, Observed, endpoint_timeline, step_for, timeline_of
from reports.data.window import Window
from reports.data.worst_second import worst_second
from reports.summary.answers import answers
from reports.summary.incidents import incidents
from reports.verdict import of_run

CURVE_POINTS_PER_NINE = 24
PHASE_QUANTILES = (0.5, 0.95, 0.99)
MAX_INSTANCES_LISTED = 200
"""Highest number of instances listed (Cloud Run's usual maximum is 100). The page says how many are left out."""


def run_summary(found: Analysis, *, name: str, step_s: int) -> model.RunSummary:
    """Return the report's part on one run, under the name `name`, with lines in steps of `step_s`."""
    run, series = found.run, found.series
    failures, unlike = failures_of(found.folder, series, run.failed_bodies)
    made = model.RunSummary(
        id=run.id,
        name=name,
        folder=found.folder.path.name,
        label=run.label,
        scenario=run.scenario.name,
        description=run.scenario.description,
        target=run.target.kind,
        capabilities=run.target.capabilities,
        url=run.target.url,
        service=run.target.service,
        region=run.target.region,
        revision=run.target.revision,
        revisions=revisions_in(found.cloud, series),
        limits=_limits(run),
        not_priced=run.target.limits.not_a_setting() if run.target.capabilities.priced else "",
        load_model="open" if series.open_loop else run.scenario.load_model.value,
        start=run.start,
        load_start=datetime.fromtimestamp(series.t0_ns / 1e9, UTC),
        duration_s=float(series.seconds),
        planned_s=max((point.at_s for point in run.scenario.plan), default=None),
        outcome=run.outcome.value,
        reasons=run.reasons,
        totals=_totals(found),
        latency=_quantiles(found.latencies.service),
        response=None if found.latencies.response is None else _quantiles(found.latencies.response),
        failed_latency=_chosen(found.latencies.failed),
        curve=_curve(found),
        phases=_phases(found),
        objectives=_objectives(found),
        spikes=list(found.spikes),
        baseline=found.baseline,
        outages=list(found.outages),
        slow_first=found.slow_first,
        worst_second=worst_second(series),
        heatmap=heatmap_of(series),
        series=timeline_of(Observed(series, found.load, found.cloud, found.gauge), step_s),
        warmup=found.warmup,
        capacity=found.capacity,
        advice=list(found.advice),
        endpoints=_endpoints(found),
        failures=failures,
        answers=answers(run.answer_check, series, failures),
        instances=list(series.instances[:MAX_INSTANCES_LISTED]),
        cost=found.cost,
        measured=_measured(found, (*found.damage, *([unlike] if unlike else []))),
        task_errors=_task_errors(run),
    )
    return made.model_copy(update={"verdict": of_run(made)})


def _numbers_of(part: type[model.Part], series: Series, window: Window) -> dict[str, Any]:
    """Return a value for each field of `part` that is named like a function in numbers.py."""
    names = (name for name in numbers.PER_WINDOW if name in part.model_fields)
    return {name: numbers.PER_WINDOW[name](series, window) for name in names}


def _totals(found: Analysis) -> model.Totals:
    series, whole = found.series, Window(0, found.series.seconds)
    users = found.load.demand
    by_outcome = {kind: int(series.by_outcome[kind].sum()) for kind in OUTCOMES if kind in FAILED}
    return model.Totals(
        **_numbers_of(model.Totals, series, whole) | {"failures": by_outcome},
        ok=int(series.ok.sum()),
        failed=numbers.failures(series, whole),
        generator=int(series.generator.sum()),
        task_errors=sum(error.count for error in found.run.task_errors),
        timeouts=int(series.by_outcome["timeout"].sum()),
        timeout_at_least_ms=numbers.time_out_at_least_ms(series),
        throttled={str(s): int(series.by_status[s].sum()) for s in THROTTLING if s in series.by_status},
        peak_users=None if np.isnan(users).all() else float(np.nanmax(users)),
    )


def _quantiles(of: Distribution) -> list[model.Quantile]:
    """Return the distribution's quantiles and its maximum."""
    return [*of.quantiles, model.Quantile(q_ratio=1.0, value_ms=of.max_ms)] if of.quantiles else []


def _chosen(of: Distribution) -> list[model.Quantile]:
    return [q for q in _quantiles(of) if q.q_ratio in PHASE_QUANTILES]


def _curve(found: Analysis) -> list[model.CurvePoint]:
    """Return latency by percentile.

    The percentiles are evenly spread over the nines (90, 99, 99.9 …), up to 1 − 1/n at most for n requests.
    """
    counts = found.series.cells.grid(0, found.series.seconds, width_s=found.series.seconds)
    total = int(counts.requests().sum())
    if not total:
        return []
    last = math.log10(total)
    nines = np.arange(0, math.floor(last * CURVE_POINTS_PER_NINE) + 1) / CURVE_POINTS_PER_NINE
    q = 1 - 10.0**-nines
    return [model.CurvePoint(q_ratio=float(p), value_ms=round(float(counts.quantile(p)[0]) / 1000, 3)) for p in q]


def _phases(found: Analysis) -> list[model.Phase]:
    return [
        model.Phase(
            name=phase.name.value,
            why=phase.why,
            start_s=float(phase.window.start_s),
            end_s=float(phase.window.end_s),
            **_numbers_of(model.Phase, found.series, phase.window),
            min_ms=latency.min_ms,
            mean_ms=latency.mean_ms,
            latency=_chosen(latency),
        )
        for phase, latency in zip(found.phases, found.latencies.by_phase, strict=True)
    ]


def _objectives(found: Analysis) -> list[model.Objective]:
    """Return the judged objectives. An exit code that the scenario set is listed as one more objective."""
    code = found.run.scenario_exit_code
    own = model.Objective(
        text="the scenario's own exit code",
        verdict="missed" if code else "held",
        value=code,
        limit=0,
        unit="count",
        why=f"the scenario ended with exit code {code}",
    )
    return list(found.objectives) if code is None else [own, *found.objectives]


def _task_errors(run: Run) -> list[model.TaskError]:
    errors = sorted(run.task_errors, key=lambda error: -error.count)
    fields = set(model.TaskError.model_fields)
    return [model.TaskError.model_validate(error.model_dump(include=fields)) for error in errors]


def _endpoints(found: Analysis) -> list[model.Endpoint]:
    series = found.series
    sent, failed, size = (
        counts.tolist() for counts in (series.by_endpoint, series.failed_by_endpoint, series.bytes_by_endpoint)
    )
    step_s = step_for(series.seconds, most=MAX_ENDPOINT_POINTS)
    charted = min(len(series.failed_of), len(sent)) if len(sent) > 1 else 0
    return [
        model.Endpoint(
            method=endpoint.method,
            name=endpoint.name,
            requests=int(sent[at]),
            failures=int(failed[at]),
            throughput_per_s=latency.requests / series.seconds,
            min_ms=latency.min_ms,
            mean_ms=latency.mean_ms,
            latency=_chosen(latency),
            mean_bytes=int(size[at]) / int(sent[at]) if sent[at] else None,
            bytes_per_s=int(size[at]) / series.seconds,
            series=endpoint_timeline(series, at, step_s) if at < charted else None,
        )
        for at, (endpoint, latency) in enumerate(zip(series.endpoints, found.latencies.by_endpoint, strict=True))
    ]


def _cpu_why(run: Run) -> str:
    """Return how the local Cloud Run chose its CPU. The record has its own key for this."""
    told = (run.target.model_extra or {}).get("emulator")
    why = told.get("cpu_why") if isinstance(told, dict) else None
    return why[:500] if isinstance(why, str) else ""


def _known_sum(counts: Floats) -> int | None:
    """Return the sum of the known counts; None if no count is known."""
    return None if np.isnan(counts).all() else int(np.nansum(counts))


def _measured(found: Analysis, damage: Sequence[str]) -> model.Measured:
    run, load = found.run, found.load
    return model.Measured(
        command=shlex.join(run.command),
        versions=run.versions,
        host=_host(run),
        git_commit=run.git_commit,
        options={name: str(value) for name, value in run.options.items() if value is not None},
        workers=_workers(run),
        saturated_s=float(load.saturated.sum()),
        saturated=_spans(load.saturated),
        refused=int(np.nansum(load.refused)),
        connects_repeated=_known_sum(load.connects_repeated),
        machine_busy_ratio=load.machine_full_ratio,
        cloud_series=_cloud_series(found),
        cpu_why=_cpu_why(run),
        missing=[*damage, *_missing(found)],
        incidents=incidents(run),
        data_files=[
            model.DataFile(name=Path(file.file).name, rows=file.rows, not_sent_at_most=file.rows_not_sent_at_most)
            for file in run.data_files
        ],
    )


def _host(run: Run) -> dict[str, str]:
    known = dict(run.host)
    memory = known.pop("memory_bytes", None)
    texts = {name: str(value) for name, value in known.items() if value is not None}
    return texts | ({"memory": f"{memory / 2**30:.1f} GiB"} if isinstance(memory, int | float) else {})


def _limits(run: Run) -> dict[str, str]:
    known = run.target.limits.model_dump(exclude_none=True)
    return {
        name.replace("_", " "): f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in known.items()
    }


def _workers(run: Run) -> list[model.Worker]:
    return [
        model.Worker(
            name=worker.name,
            host=worker.host,
            clock_offset_ms=None if worker.clock_offset_us is None else worker.clock_offset_us / 1000,
            clock_uncertainty_ms=None if worker.clock_uncertainty_us is None else worker.clock_uncertainty_us / 1000,
            rows_sent=worker.rows_sent,
            rows_received=worker.rows_received,
            rows_missing_at_most=worker.rows_missing_at_most,
            lost=f"{worker.lost_at:%H:%M:%S} UTC: {worker.lost_why or 'no reason known'}" if worker.lost_at else None,
        )
        for worker in run.workers
    ]


def _spans(flags: Bools) -> list[model.Span]:
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8))).tolist()
    return [model.Span(from_s=float(a), to_s=float(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _cloud_series(found: Analysis) -> list[model.CloudSeries]:
    return [
        model.CloudSeries(
            metric=metric.metric + (f" ({_words(list(metric.labels.values()))})" if metric.labels else ""),
            points=len(metric.end_s),
            interval_s=_median(np.diff(metric.end_s)),
            ends_s=float(metric.end_s[-1]) if len(metric.end_s) else None,
        )
        for metric in found.cloud or ()
    ]


def _words(values: Sequence[object]) -> str:
    return ", ".join(str(value) for value in values if value)


def _median(values: Floats) -> float | None:
    return float(np.median(values)) if len(values) else None


def _missing(found: Analysis) -> list[str]:
    """Return what the folder does not record, one sentence per item."""
    said = []
    if not found.load.recorded and not found.load.damage:
        said.append("Users and the generator's own health: the run has no load.csv.")
    if not found.series.instances:
        said.append("Instances: the service sends no x-instance-id header.")
    elif found.series.young is None:
        said.append("The age of instances: the service sends no x-instance-age-ms header.")
    elif len(found.series.instances) > MAX_INSTANCES_LISTED:
        said.append(f"Only the first {MAX_INSTANCES_LISTED} of {len(found.series.instances)} instances are listed.")
    if found.cloud is None and not is_there(found.folder.metrics) and found.run.target.capabilities.has_metrics:
        said.append(f"What the platform did: no series were fetched; `lt metrics {found.run.id}` fetches them.")
    return said
