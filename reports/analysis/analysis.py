"""Run the whole analysis of a run: numbers, phases, spikes and causes, warm-up, capacity, objectives, advice."""

from __future__ import annotations

from dataclasses import dataclass, replace

from loadtest.core.errors import ObjectiveError, RunFolderError
from loadtest.core.objectives import Objective, with_implied
from loadtest.core.prices import prices_for
from loadtest.recording.folder import RunFolder
from loadtest.recording.run import Run
from reports.analysis.capacity import capacity
from reports.analysis.cost import cost_of
from reports.analysis.objectives import Observed, judge
from reports.analysis.observed import endpoint_counts, platform_of
from reports.analysis.phases import PhaseName, PhaseWindow, phases, steady_window
from reports.analysis.recommendations import suggest
from reports.analysis.warmup import warm_up
from reports.data import rules
from reports.data.cloud import InstanceGauge, MetricSeries, instance_gauge, read_cloud
from reports.data.exact import Distribution, Measure, Population, Who, distributions
from reports.data.load import Load, read_load
from reports.data.series import Series, read_series
from reports.model import Baseline, Capacity, Cost, Outage, SlowFirst, Spike, Suggestion, Warmup
from reports.model import Objective as JudgedObjective
from reports.spikes.baseline import classify, measure
from reports.spikes.causes import explain, explain_outage
from reports.spikes.detection import find_spikes
from reports.spikes.first_requests import slow_first_requests
from reports.spikes.ordinary import without_ordinary
from reports.spikes.outages import find_outages
from reports.spikes.requests import read_requests
from reports.spikes.view import RunData


@dataclass(frozen=True, slots=True)
class Latencies:
    """Exact latencies of one run; every Distribution knows its population.

    Attributes:
        service: successful requests of the whole run, from sending to the last byte.
        response: the same, measured from the scheduled start; None for closed-loop runs.
        failed: requests that were answered but failed.
        timeouts: how long requests that timed out had waited; these are bounds, not latencies.
        by_phase: successful requests per phase, in the order of `Analysis.phases`.
        at_least: like `by_phase`, but also with the waits of requests without an answer, as bounds for objectives.
        by_endpoint: successful requests per endpoint, in the order of `Series.endpoints`.
    """

    service: Distribution
    response: Distribution | None
    failed: Distribution
    timeouts: Distribution
    by_phase: tuple[Distribution, ...]
    at_least: tuple[Distribution, ...]
    by_endpoint: tuple[Distribution, ...]


@dataclass(frozen=True, slots=True)
class Analysis:
    """The whole analysis of one run.

    `cloud` is None if no series were fetched or they cannot be read; `gauge` is None if the series have no instance
    count. `damage` has a sentence for each file that could not be read; unreadable rows raise an error instead.
    """

    folder: RunFolder
    run: Run
    series: Series
    load: Load
    cloud: tuple[MetricSeries, ...] | None
    gauge: InstanceGauge | None
    phases: tuple[PhaseWindow, ...]
    latencies: Latencies
    spikes: tuple[Spike, ...]
    outages: tuple[Outage, ...]
    baseline: Baseline
    slow_first: SlowFirst | None
    warmup: Warmup
    capacity: Capacity
    damage: tuple[str, ...]
    objectives: tuple[JudgedObjective, ...]
    advice: tuple[Suggestion, ...]
    cost: Cost | None

    def phase(self, name: PhaseName) -> PhaseWindow | None:
        """Return the phase with that name; None if the run has none."""
        return next((phase for phase in self.phases if phase.name is name), None)


def analyse(folder: RunFolder, run: Run) -> Analysis:  # long because each part of the analysis takes a line
    """Analyse a sealed run. This seals and writes nothing.

    Args:
        folder: a run folder with `requests.parquet`.
        run: its record.

    Raises:
        RunFolderError: the folder's rows cannot be read, or its record contains an invalid objective.
    """
    objectives = _objectives(folder, run)
    prices = prices_for(run.target.region, run.prices)
    series = read_series(folder, run)
    load = read_load(folder, run, series)
    cloud, unread = _cloud(folder, series)
    gauge = instance_gauge(cloud)
    steady, _ = steady_window(series, load, run)
    windows = measure(series)
    levels = classify(series, windows, load)
    requests = read_requests(folder, series)
    outages = find_outages(series, requests)
    rises = find_spikes(series, windows, levels, outages)
    data = RunData(run, series, load, gauge, cloud, requests, outages, rises, levels.of)
    spikes = without_ordinary(tuple(explain(rise, data) for rise in rises), data)
    data = replace(data, spikes=spikes)
    warmup = warm_up(series, windows, levels, steady)
    slow_start = any(spike.onset_s <= rules.START_S for spike in spikes)
    parts = phases(series, load, run, settled_s=warmup.settled_s if slow_start else None)
    latencies = _latencies(folder, series, parts)
    limits = capacity(data, spikes)
    cost = cost_of(run, series, cloud, gauge, prices)
    observed = Observed(
        series=series,
        parts=parts,
        by_phase=latencies.by_phase,
        at_least=latencies.at_least,
        task_errors=sum(error.count for error in run.task_errors),
        endpoints=endpoint_counts(folder, series, parts, objectives),
        platform=platform_of(series, cloud, gauge, cost),
        answers_compared=None
        if run.answer_check is None
        else sum(endpoint.checked for endpoint in run.answer_check.endpoints),
    )
    return Analysis(
        folder=folder,
        run=run,
        series=series,
        load=load,
        cloud=cloud,
        gauge=gauge,
        phases=parts,
        latencies=latencies,
        spikes=spikes,
        outages=tuple(explain_outage(outage, data) for outage in outages),
        baseline=levels.of,
        slow_first=slow_first_requests(series, levels, spikes),
        warmup=warmup,
        capacity=limits,
        damage=tuple(said for said in (load.damage, unread) if said),
        objectives=tuple(judge(objective, observed) for objective in objectives),
        advice=suggest(data, parts, spikes, limits, prices),
        cost=cost,
    )


def _objectives(folder: RunFolder, run: Run) -> tuple[Objective, ...]:
    try:
        return with_implied(
            run.objectives,
            implied=run.options.get("default_objective") is not False,
            checks_answers=run.answer_check is not None,
        )
    except ObjectiveError as error:
        raise RunFolderError(f"{folder.record} holds an invalid objective: correct it there. {error}") from error


def _cloud(folder: RunFolder, series: Series) -> tuple[tuple[MetricSeries, ...] | None, str]:
    """Return the fetched series, or None and a sentence that says why they cannot be read."""
    try:
        return read_cloud(folder, series), ""
    except RunFolderError as error:
        return None, str(error)


def _latencies(folder: RunFolder, series: Series, parts: tuple[PhaseWindow, ...]) -> Latencies:
    end = series.seconds
    windows = [(phase.window.start_s, phase.window.end_s) for phase in parts]
    populations = [
        Population(0, end),
        Population(0, end, measure=Measure.RESPONSE),
        Population(0, end, who=Who.FAILED),
        Population(0, end, who=Who.TIMEOUT),
        *(Population(*window) for window in windows),
    ]
    if any_censored := bool(series.censored.any()):
        populations += [Population(*window, who=Who.AT_LEAST) for window in windows]
    found, by_endpoint = distributions(folder, series, populations)
    by_phase = tuple(found[4 : 4 + len(parts)])
    return Latencies(
        service=found[0],
        response=found[1] if series.open_loop else None,
        failed=found[2],
        timeouts=found[3],
        by_phase=by_phase,
        at_least=tuple(found[4 + len(parts) :]) if any_censored else by_phase,
        by_endpoint=tuple(by_endpoint),
    )
