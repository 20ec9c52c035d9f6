"""Read the fetched cloud series, and convert their times to the run's own clock."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from loadtest.core.cloud_metrics import INSTANCE_COUNT, REQUEST_COUNT, REVISION_LABEL
from loadtest.recording.folder import RunFolder
from reports.data.histogram import Floats
from reports.data.series import Series


@dataclass(frozen=True, slots=True)
class MetricSeries:
    """One metric with one set of labels, oldest point first. Times are seconds after t = 0.

    Attributes:
        metric: full metric type.
        kind: GAUGE or DELTA.
        unit: the unit from Cloud Monitoring, or None.
        labels: the metric's own labels, and `revision_name`.
        start_s, end_s: the times of each point (equal for a gauge).
        value: the value of each point; the mean for a distribution; NaN if neither is known.
        count: number of values in each point of a distribution; NaN if the points are numbers.
    """

    metric: str
    kind: str
    unit: str | None
    labels: Mapping[str, str]
    start_s: Floats
    end_s: Floats
    value: Floats
    count: Floats


@dataclass(frozen=True, slots=True)
class InstanceGauge:
    """The platform's own count of active and idle instances of all revisions, at each sample (in s after t = 0)."""

    at_s: Floats
    active: Floats
    idle: Floats

    @property
    def total(self) -> Floats:
        """Number of active and idle instances together."""
        return self.active + self.idle


def read_cloud(folder: RunFolder, series: Series) -> tuple[MetricSeries, ...] | None:
    """Return the fetched series by metric and labels; None if none were fetched.

    Raises:
        RunFolderError: the file exists but cannot be read.
    """
    table = folder.metrics_table()
    if table is None:
        return None
    plain = {name: table.column(name).to_pylist() for name in ("metric", "kind", "unit", "labels", "value")}
    distribution = [json.loads(text) if text else None for text in table.column("distribution").to_pylist()]
    start, end = (
        (np.asarray(table.column(name).cast(pa.int64()).to_numpy()) - series.t0_ns) / 1e9 for name in ("start", "end")
    )
    groups: dict[tuple[str, str], list[int]] = {}
    for at, key in enumerate(zip(plain["metric"], plain["labels"], strict=True)):
        groups.setdefault(key, []).append(at)
    found = []
    for (metric, labels), places in sorted(groups.items()):
        order = sorted(places, key=lambda at: end[at])
        found.append(
            MetricSeries(
                metric=metric,
                kind=plain["kind"][order[0]],
                unit=plain["unit"][order[0]],
                labels=json.loads(labels or "{}"),
                start_s=start[order],
                end_s=end[order],
                value=np.array([_value(plain["value"][at], distribution[at]) for at in order], dtype=np.float64),
                count=np.array([_count(distribution[at]) for at in order], dtype=np.float64),
            )
        )
    return tuple(found)


def revisions_in(cloud: tuple[MetricSeries, ...] | None, series: Series) -> list[str]:
    """Return the names of the revisions that answered requests during the run; empty if they are not known."""
    found = set()
    for metric in cloud or ():
        inside = (metric.end_s > 0) & (metric.start_s < series.seconds)
        if metric.metric == REQUEST_COUNT and np.nansum(metric.value[inside]) > 0:
            found.add(str(metric.labels.get(REVISION_LABEL, "")))
    return sorted(found - {""})


def instance_gauge(cloud: tuple[MetricSeries, ...] | None) -> InstanceGauge | None:
    """Return the instance count, summed over states and revisions at each sample; None if it was not fetched."""
    states: dict[float, list[float]] = {}
    for points in cloud or ():
        if points.metric == INSTANCE_COUNT:
            idle = points.labels.get("state") == "idle"
            for at, value in zip(points.end_s.tolist(), points.value.tolist(), strict=True):
                if not math.isnan(value):  # NaN: the point has no number
                    states.setdefault(round(at, 3), [0.0, 0.0])[idle] += value
    if not states:
        return None
    at_s = sorted(states)
    return InstanceGauge(
        at_s=np.array(at_s),
        active=np.array([states[at][0] for at in at_s]),
        idle=np.array([states[at][1] for at in at_s]),
    )


def _value(number: float | None, distribution: Mapping[str, float] | None) -> float:
    if number is not None:
        return float(number)
    return float("nan") if distribution is None else float(distribution.get("mean", float("nan")))


def _count(distribution: Mapping[str, float] | None) -> float:
    return float("nan") if distribution is None else float(distribution.get("count", float("nan")))
