"""Collect data for objectives that the series does not contain: requests of endpoints, and the platform's reports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loadtest.core import cloud_metrics
from loadtest.core.objectives import EndpointName, Objective
from loadtest.recording.folder import RunFolder
from reports.analysis.objectives import EndpointCounts, Platform
from reports.analysis.phases import PhaseWindow
from reports.data.cloud import InstanceGauge, MetricSeries
from reports.data.exact import Population, Who, distributions
from reports.data.series import Series
from reports.data.serving import instances_per_s
from reports.model import Cost


def endpoint_counts(
    folder: RunFolder, series: Series, parts: Sequence[PhaseWindow], objectives: Sequence[Objective]
) -> dict[tuple[EndpointName, str], EndpointCounts]:
    """Return the requests of every endpoint and phase that an objective names.

    If no objective names an endpoint, the rows are not read.

    The result has no entry for an endpoint without a request, for one that is not kept apart (series.endpoints), or for
    a name that stands for several methods.
    """
    windows: dict[tuple[EndpointName, str], tuple[int, PhaseWindow]] = {}
    for objective in objectives:
        if objective.endpoint is None:
            continue
        named = [
            at
            for at, endpoint in enumerate(series.endpoints)
            if objective.endpoint.names(endpoint.name, endpoint.method)
        ]
        part = next((part for part in parts if part.name.value == objective.phase), None)
        if len(named) == 1 and part is not None:
            windows[objective.endpoint, objective.phase] = (named[0], part)
    if not windows:
        return {}
    populations = [
        Population(part.window.start_s, part.window.end_s, endpoint=at, who=who)
        for at, part in windows.values()
        for who in (Who.OK, Who.EVERY_FAILED, Who.AT_LEAST)
    ]
    found, _ = distributions(folder, series, populations, by_endpoint=False)
    triples = zip(found[0::3], found[1::3], found[2::3], strict=True)
    return {
        key: EndpointCounts(ok=ok, failed=failed.requests, at_least=at_least)
        for key, (ok, failed, at_least) in zip(windows, triples, strict=True)
        if ok.requests + failed.requests
    }


def platform_of(
    series: Series, cloud: tuple[MetricSeries, ...] | None, gauge: InstanceGauge | None, cost: Cost | None
) -> Platform:
    """Return the reports of the platform, or of the service's headers, on instances, CPU and cost."""
    ready = [instance.ready_s for instance in series.instances]
    points = [metric for metric in cloud or () if metric.metric == cloud_metrics.CPU]
    at_s = np.concatenate([point.end_s for point in points]) if points else np.empty(0)
    ratio = np.concatenate([point.value for point in points]) if points else np.empty(0)
    order = np.argsort(at_s, kind="stable")
    return Platform(
        instances=instances_per_s(series, gauge),
        became_ready_s=tuple(at for at in ready if at is not None) if ready and None not in ready else None,
        cpu=(at_s[order], ratio[order]) if points else None,
        cost_usd=None if cost is None else cost.run_usd,
    )
