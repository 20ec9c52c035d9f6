"""Implement `google.monitoring.v3.MetricService` for the emulator's metrics.

The implementation refuses the same calls as Google's service.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import grpc
from google.api import distribution_pb2, label_pb2, launch_stage_pb2, metric_pb2, monitored_resource_pb2
from google.cloud.monitoring_v3 import types
from google.cloud.monitoring_v3.types import metric as metric_types
from google.cloud.monitoring_v3.types import metric_service as service_types

from ...core.cloud_metrics import RESOURCE
from ..metric_types import METRICS, Metric
from ..model import Distribution, Point, Readings, Series
from .aggregate import Shape, align, aligned_shape, reduce, reduced_shape
from .filters import RESOURCE_LABELS, SeriesFilter, parse_clauses, parse_series_filter
from .rpc import RefusedError, page_of, unary

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_BY_TYPE = {metric.type: metric for metric in METRICS}


@dataclass(frozen=True, slots=True)
class _Labelled:
    """A series during alignment and reduction. A reduced series has only the labels by which it was grouped."""

    metric_labels: dict[str, str]
    resource_labels: dict[str, str]
    points: list[Point]


class Monitoring:
    """Cloud Monitoring's metric API for the metrics that one emulator recorded."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    async def list_time_series(
        self, request: service_types.ListTimeSeriesRequest
    ) -> service_types.ListTimeSeriesResponse:
        """Return the series that the filter selects, aligned and reduced as requested, newest point first."""
        wanted = parse_series_filter(request.filter)
        metric = _BY_TYPE.get(wanted.metric)
        if metric is None:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Cannot find metric(s) that match type = {wanted.metric!r}.")
        project = _project_of(request.name)
        if not request.interval.end_time:
            raise RefusedError(_INVALID, "interval.end_time must be set.")
        if request.order_by or request.secondary_aggregation.per_series_aligner:
            raise RefusedError(_INVALID, "order_by and secondary_aggregation are not offered by the local Cloud Run.")
        end_s = request.interval.end_time.timestamp()
        # Without a start, the interval consists only of its end, and matches points at exactly this time.
        start_s = request.interval.start_time.timestamp() if request.interval.start_time else end_s
        if start_s > end_s:
            raise RefusedError(_INVALID, "interval.start_time must not be after interval.end_time.")
        found = self._selected(wanted, project, start_s=start_s, end_s=end_s)
        found, shape = _aggregated(found, request.aggregation, metric, end_s=end_s, period_s=self._least_period_s())
        page, token = page_of(found, size=request.page_size, token=request.page_token)
        with_points = request.view != service_types.ListTimeSeriesRequest.TimeSeriesView.HEADERS
        return service_types.ListTimeSeriesResponse(
            time_series=[_series_message(metric, labelled, shape, with_points=with_points) for labelled in page],
            next_page_token=token,
            unit=metric.unit,
        )

    async def list_metric_descriptors(
        self, request: service_types.ListMetricDescriptorsRequest
    ) -> service_types.ListMetricDescriptorsResponse:
        """Return descriptions of the emulator's metrics, with its own sample period and ingest delay."""
        _project_of(request.name)
        clauses = parse_clauses(request.filter)
        if any(clause.field != "metric.type" for clause in clauses):
            raise RefusedError(_INVALID, "Metric descriptors can be filtered only by metric.type.")
        found = [metric for metric in METRICS if all(clause.passes(metric.type) for clause in clauses)]
        page, token = page_of(found, size=request.page_size, token=request.page_token)
        descriptors = [self._descriptor(metric, request.name) for metric in page]
        return service_types.ListMetricDescriptorsResponse(metric_descriptors=descriptors, next_page_token=token)

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the gRPC handler of the metric service."""
        return grpc.method_handlers_generic_handler(
            "google.monitoring.v3.MetricService",
            {
                "ListTimeSeries": unary(
                    self.list_time_series, service_types.ListTimeSeriesRequest, service_types.ListTimeSeriesResponse
                ),
                "ListMetricDescriptors": unary(
                    self.list_metric_descriptors,
                    service_types.ListMetricDescriptorsRequest,
                    service_types.ListMetricDescriptorsResponse,
                ),
            },
        )

    def _least_period_s(self) -> float:
        """Return the shortest alignment period: the API's 60 s, or this emulator's sample period if that is shorter."""
        return min(60.0, self._readings.sampling.period_s)

    def _selected(self, wanted: SeriesFilter, project: str, *, start_s: float, end_s: float) -> list[_Labelled]:
        # If start and end are equal, points at that time match; otherwise the start is excluded and the end included.
        since_s = start_s - 1e-6 if start_s == end_s else start_s
        found = []
        for series in self._readings.series(wanted.metric, start_s=since_s, end_s=end_s):
            labels, resource = dict(series.labels), _resource_labels(series)
            if series.points and series.service.project == project and wanted.passes(labels, resource):
                found.append(_Labelled(labels, resource, list(series.points)))
        return found

    def _descriptor(self, metric: Metric, project: str) -> metric_pb2.MetricDescriptor:
        described = metric_pb2.MetricDescriptor(
            name=f"{project}/metricDescriptors/{metric.type}",
            type=metric.type,
            labels=[label_pb2.LabelDescriptor(key=name) for name in metric.labels],
            metric_kind=metric.kind,
            value_type=metric.value_type,
            unit=metric.unit,
            description=metric.description,
            launch_stage=launch_stage_pb2.LaunchStage.Value(metric.stage),
            monitored_resource_types=[RESOURCE],
        )
        described.metadata.sample_period.FromNanoseconds(round(self._readings.sampling.period_s * 1e9))
        described.metadata.ingest_delay.FromNanoseconds(round(self._readings.sampling.ingest_delay_s * 1e9))
        return described


def _aggregated(
    found: list[_Labelled], aggregation: types.Aggregation, metric: Metric, *, end_s: float, period_s: float
) -> tuple[list[_Labelled], Shape]:
    """Return the series aligned and reduced, with the shape of their values.

    Raises:
        AggregationError: the aligner or reducer does not apply to this metric.
        RefusedError: the period is too short, or there is a reducer but no aligner.
    """
    aligner = types.Aggregation.Aligner(aggregation.per_series_aligner).name
    reducer = types.Aggregation.Reducer(aggregation.cross_series_reducer).name
    shape = Shape(metric.kind, metric.value_type)
    if aligner != "ALIGN_NONE":
        asked_s = aggregation.alignment_period.total_seconds() if aggregation.alignment_period else 0.0
        if asked_s < period_s:
            raise RefusedError(_INVALID, f"alignment_period must be at least {period_s:g} s, not {asked_s:g} s.")
        found = [
            replace(each, points=align(each.points, aligner, shape=shape, period_s=asked_s, end_s=end_s))
            for each in found
        ]
        shape = aligned_shape(shape, aligner)
    if reducer != "REDUCE_NONE":
        if aligner == "ALIGN_NONE":
            raise RefusedError(_INVALID, "A cross_series_reducer needs a per_series_aligner other than ALIGN_NONE.")
        shape_before, shape = shape, reduced_shape(shape, reducer)
        found = [
            replace(first, points=reduce([each.points for each in group], reducer, shape=shape_before))
            for first, group in _grouped(found, list(aggregation.group_by_fields))
        ]
    return found, shape


def _grouped(found: list[_Labelled], fields: list[str]) -> list[tuple[_Labelled, list[_Labelled]]]:
    """Group the series by the values of `fields`. A group has only these labels."""
    names = []
    for field in fields:
        group, _, name = field.replace(".labels.", ".label.").partition(".label.")
        if group not in ("metric", "resource") or not name or (group == "resource" and name not in RESOURCE_LABELS):
            raise RefusedError(_INVALID, f"group_by_fields {field!r} is not metric.label.NAME or resource.label.NAME.")
        names.append((group, name))
    groups: dict[tuple[str, ...], tuple[_Labelled, list[_Labelled]]] = {}
    for each in found:
        both = {"metric": each.metric_labels, "resource": each.resource_labels}
        key = tuple(both[group].get(name, "") for group, name in names)
        kept: dict[str, dict[str, str]] = {"metric": {}, "resource": {}}
        for (group, name), value in zip(names, key, strict=True):
            kept[group][name] = value
        groups.setdefault(key, (_Labelled(kept["metric"], kept["resource"], []), []))[1].append(each)
    return list(groups.values())


def _resource_labels(series: Series) -> dict[str, str]:
    return {
        "project_id": series.service.project,
        "location": series.service.location,
        "service_name": series.service.name,
        "revision_name": series.revision,
        "configuration_name": series.service.name,
    }


def _series_message(metric: Metric, labelled: _Labelled, shape: Shape, *, with_points: bool) -> Any:
    message = metric_types.TimeSeries.pb(
        metric_types.TimeSeries(metric_kind=shape.kind, value_type=shape.value_type, unit=metric.unit)
    )
    message.metric.CopyFrom(metric_pb2.Metric(type=metric.type, labels=labelled.metric_labels))
    message.resource.CopyFrom(monitored_resource_pb2.MonitoredResource(type=RESOURCE, labels=labelled.resource_labels))
    for point in reversed(labelled.points) if with_points else ():
        added = message.points.add()
        added.interval.start_time.FromNanoseconds(round(point.start_s * 1e9))
        added.interval.end_time.FromNanoseconds(round(point.end_s * 1e9))
        if isinstance(point.value, Distribution):
            added.value.distribution_value.CopyFrom(_distribution_message(point.value))
        elif shape.value_type == "INT64":
            added.value.int64_value = round(point.value)
        else:
            added.value.double_value = point.value
    return message


def _distribution_message(spread: Distribution) -> distribution_pb2.Distribution:
    return distribution_pb2.Distribution(
        count=spread.count,
        mean=spread.mean,
        sum_of_squared_deviation=spread.sum_of_squared_deviation,
        bucket_options={"explicit_buckets": {"bounds": spread.bounds}},
        bucket_counts=spread.counts,
    )


def _project_of(name: str) -> str:
    group, _, project = name.partition("/")
    if group != "projects" or not project:
        raise RefusedError(_INVALID, f"name {name!r} is not projects/PROJECT.")
    return project
