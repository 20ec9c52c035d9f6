"""Align the points of a series to a grid, and reduce several series to one, as Cloud Monitoring does.

This page says which aligners and reducers apply to which metrics:
https://cloud.google.com/monitoring/api/ref_v3/rpc/google.monitoring.v3#aggregation.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..model import Distribution, Point

Number = int | float
Value = Number | Distribution


class AggregationError(Exception):
    """The API does not support this combination of metric, aligner and reducer.

    The API returns the message with status INVALID_ARGUMENT.
    """


@dataclass(frozen=True, slots=True)
class Shape:
    """The type of the values: `kind` GAUGE or DELTA, `value_type` INT64, DOUBLE or DISTRIBUTION."""

    kind: str
    value_type: str


_NUMERIC_ALIGNERS: dict[str, Callable[[Sequence[Number]], Number]] = {
    "ALIGN_MIN": min,
    "ALIGN_MAX": max,
    "ALIGN_MEAN": statistics.fmean,
    "ALIGN_STDDEV": statistics.pstdev,
    "ALIGN_COUNT": len,
    "ALIGN_SUM": sum,
}
_NUMERIC_REDUCERS = {name.replace("ALIGN", "REDUCE"): function for name, function in _NUMERIC_ALIGNERS.items()}


def aligned_shape(shape: Shape, aligner: str) -> Shape:
    """Return the shape of the values after `aligner`.

    Raises:
        AggregationError: the aligner does not apply to these values (ALIGN_MAX on a distribution, …).
    """
    numeric = shape.value_type != "DISTRIBUTION"
    delta = shape.kind == "DELTA"
    if aligner == "ALIGN_NONE" or (aligner == "ALIGN_NEXT_OLDER" and not delta):
        return shape
    if (aligner == "ALIGN_DELTA" and delta) or (aligner == "ALIGN_SUM" and (numeric or delta)):
        return Shape("DELTA" if delta else "GAUGE", shape.value_type)
    if (aligner == "ALIGN_RATE" and delta and numeric) or (aligner.startswith("ALIGN_PERCENTILE_") and not numeric):
        return Shape("GAUGE", "DOUBLE")
    types = {"MIN": shape.value_type, "MAX": shape.value_type, "COUNT": "INT64", "MEAN": "DOUBLE", "STDDEV": "DOUBLE"}
    if numeric and aligner.removeprefix("ALIGN_") in types:
        return Shape("GAUGE", types[aligner.removeprefix("ALIGN_")])
    raise AggregationError(
        f"The aligner {aligner} cannot be applied to metrics with kind {shape.kind} and value type {shape.value_type}."
    )


def align(points: Iterable[Point], aligner: str, *, shape: Shape, period_s: float, end_s: float) -> list[Point]:
    """Return one point per period `(end_s − (n+1)·period_s, end_s − n·period_s]` that contains points; oldest first."""
    result = aligned_shape(shape, aligner)
    if aligner == "ALIGN_NONE":
        return list(points)
    periods: dict[int, list[Value]] = {}
    for point in points:
        periods.setdefault(math.floor((end_s - point.end_s) / period_s), []).append(point.value)
    found = []
    for back in sorted(periods, reverse=True):
        end = end_s - back * period_s
        value = _aligned(periods[back], aligner, period_s)
        found.append(Point(end if result.kind == "GAUGE" else end - period_s, end, value))
    return found


def _aligned(values: list[Value], aligner: str, period_s: float) -> Value:
    if aligner.startswith("ALIGN_PERCENTILE_"):
        return percentile(merged(values), int(aligner[-2:]) / 100)
    if aligner == "ALIGN_NEXT_OLDER":
        return values[-1]
    if any(isinstance(value, Distribution) for value in values):
        return merged(values)
    numbers = [value for value in values if not isinstance(value, Distribution)]
    if aligner == "ALIGN_RATE":
        return sum(numbers) / period_s
    return _NUMERIC_ALIGNERS.get(aligner, sum)(numbers)


def reduced_shape(shape: Shape, reducer: str) -> Shape:
    """Return the shape of the values after `reducer`.

    Raises:
        AggregationError: the reducer does not apply to these values.
    """
    numeric = shape.value_type != "DISTRIBUTION"
    if reducer in ("REDUCE_NONE", "REDUCE_SUM") or (numeric and reducer in ("REDUCE_MIN", "REDUCE_MAX")):
        return shape
    if reducer in ("REDUCE_MEAN", "REDUCE_STDDEV") and (numeric or reducer == "REDUCE_MEAN"):
        return Shape(shape.kind, "DOUBLE")
    if reducer == "REDUCE_COUNT":
        return Shape("GAUGE", "INT64")
    if reducer.startswith("REDUCE_PERCENTILE_"):
        return Shape("GAUGE", "DOUBLE")
    raise AggregationError(
        f"The reducer {reducer} cannot be applied to values with kind {shape.kind} and type {shape.value_type}."
    )


def reduce(several: Sequence[Sequence[Point]], reducer: str, *, shape: Shape) -> list[Point]:
    """Combine several aligned series into one: all points with the same end become one point; oldest first."""
    result = reduced_shape(shape, reducer)
    at: dict[float, list[Point]] = {}
    for points in several:
        for point in points:
            at.setdefault(point.end_s, []).append(point)
    found = []
    for end_s in sorted(at):
        start_s = end_s if result.kind == "GAUGE" else at[end_s][0].start_s
        found.append(Point(start_s, end_s, _reduced([point.value for point in at[end_s]], reducer)))
    return found


def _reduced(values: list[Value], reducer: str) -> Value:
    spread = [value for value in values if isinstance(value, Distribution)]
    numbers = [value for value in values if not isinstance(value, Distribution)]
    if reducer == "REDUCE_COUNT":
        return len(values)
    if reducer.startswith("REDUCE_PERCENTILE_"):
        ratio = int(reducer[-2:]) / 100
        return percentile(merged(values), ratio) if spread else _of_numbers(sorted(numbers), ratio)
    if spread:
        whole = merged(values)
        return whole.mean if reducer == "REDUCE_MEAN" else whole
    return _NUMERIC_REDUCERS[reducer](numbers)


def merged(values: Sequence[Value]) -> Distribution:
    """Merge distributions over the same buckets. The merged second moment is exact."""
    parts = [value for value in values if isinstance(value, Distribution)]
    count = sum(part.count for part in parts)
    mean = sum(part.mean * part.count for part in parts) / count if count else 0.0
    return Distribution(
        count=count,
        mean=mean,
        sum_of_squared_deviation=sum(
            part.sum_of_squared_deviation + part.count * (part.mean - mean) ** 2 for part in parts
        ),
        bounds=parts[0].bounds,
        counts=tuple(map(sum, zip(*(part.counts for part in parts), strict=True))),
    )


def percentile(spread: Distribution, ratio: float) -> float:
    """Return the value below which `ratio` of all values lie, interpolated within its bucket; NaN without values.

    The first bucket is assumed to begin at 0. If the value lies in the last bucket, that bucket's lower bound is
    returned.
    """
    wanted, seen = ratio * spread.count, 0
    for index, count in enumerate(spread.counts):
        if count and seen + count >= wanted:
            low = spread.bounds[index - 1] if index else 0.0
            high = spread.bounds[index] if index < len(spread.bounds) else low
            return low + (high - low) * (wanted - seen) / count
        seen += count
    return math.nan


def _of_numbers(ordered: Sequence[Number], ratio: float) -> float:
    at = ratio * (len(ordered) - 1)
    low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
    return low + (high - low) * (at - math.floor(at))
