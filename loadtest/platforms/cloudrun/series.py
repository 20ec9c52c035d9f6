"""Convert Cloud Monitoring's time series to the rows of `metrics.parquet`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from ...core.cloud_metrics import REVISION_LABEL
from ...recording.rows import METRICS_SCHEMA

Point = dict[str, object]
"""One row of METRICS_SCHEMA."""


def table_of(points: Iterable[Point]) -> pa.Table:
    """Return the points as a table in METRICS_SCHEMA, oldest first within each series."""
    ordered = sorted(points, key=lambda point: (point["metric"], point["labels"], point["end"]))
    return pa.Table.from_pylist(ordered, METRICS_SCHEMA)


def points_of(series: Any) -> list[Point]:
    """Return the points of one `google.monitoring.v3.TimeSeries` (proto-plus), newest first, in the received order.

    The resource's `revision_name` is added to the metric's own labels, so that each revision has its own series. Times
    are UTC ns. A BOOL counts as 0 or 1; a STRING has no number and is left out.
    """
    raw = type(series).pb(series)
    labels = dict(raw.metric.labels)
    revision = raw.resource.labels.get(REVISION_LABEL)
    if revision:
        labels[REVISION_LABEL] = revision
    kind = type(raw).DESCRIPTOR.fields_by_name["metric_kind"].enum_type.values_by_number[raw.metric_kind].name
    found: list[Point] = []
    for point in raw.points:
        end_ns = point.interval.end_time.ToNanoseconds()
        start_ns = point.interval.start_time.ToNanoseconds() or end_ns
        value, distribution = _value(point.value)
        if value is None and distribution is None:
            continue
        found.append(
            {
                "metric": raw.metric.type,
                "kind": kind,
                "unit": raw.unit or None,
                "labels": json.dumps(labels, sort_keys=True),
                "start": start_ns,
                "end": end_ns,
                "value": value,
                "distribution": distribution,
            }
        )
    return found


def _value(value: Any) -> tuple[float | None, str | None]:
    which = value.WhichOneof("value")
    if which in ("int64_value", "double_value", "bool_value"):
        return float(getattr(value, which)), None
    if which == "distribution_value":
        return None, _distribution(value.distribution_value)
    return None, None


def _distribution(given: Any) -> str:
    """Return a `google.api.Distribution` as JSON: count, mean, bounds (ascending), counts (one more than bounds).

    The API omits empty buckets at the end; this function adds them as zeros.
    """
    bounds = _bounds(given.bucket_options)
    counts = [int(count) for count in given.bucket_counts]
    counts += [0] * (len(bounds) + 1 - len(counts))
    return json.dumps({"count": int(given.count), "mean": given.mean, "bounds": bounds, "counts": counts})


def _bounds(options: Any) -> list[float]:
    """Return the upper bounds of all buckets except the last, as google.api.Distribution.BucketOptions defines them."""
    which = options.WhichOneof("options")
    if which == "explicit_buckets":
        return list(options.explicit_buckets.bounds)
    if which == "exponential_buckets":
        given = options.exponential_buckets
        return [given.scale * given.growth_factor**step for step in range(given.num_finite_buckets + 1)]
    if which == "linear_buckets":
        given = options.linear_buckets
        return [given.offset + given.width * step for step in range(given.num_finite_buckets + 1)]
    return []
