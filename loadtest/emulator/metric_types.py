"""List the metrics that the emulator records, as Cloud Monitoring describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..core import cloud_metrics


@dataclass(frozen=True, slots=True)
class Metric:
    """The description of a metric, as in `ListMetricDescriptors`."""

    type: str
    kind: Literal["GAUGE", "DELTA"]
    value_type: Literal["INT64", "DOUBLE", "DISTRIBUTION"]
    unit: str
    labels: tuple[str, ...]
    description: str
    stage: Literal["GA", "BETA"] = "GA"


_CODE = ("response_code", "response_code_class")

METRICS: tuple[Metric, ...] = (
    Metric(
        cloud_metrics.INSTANCE_COUNT,
        "GAUGE",
        "INT64",
        "1",
        ("state",),
        "Container instances by state: active had a request in the period, idle had none.",
    ),
    Metric(
        cloud_metrics.REQUEST_COUNT,
        "DELTA",
        "INT64",
        "1",
        _CODE,
        "Requests that reached a container; requests that the pending queue answered with 429 are not counted.",
    ),
    Metric(
        cloud_metrics.LATENCIES,
        "DELTA",
        "DISTRIBUTION",
        "ms",
        _CODE,
        "Time at the container, without queueing and container start.",
    ),
    Metric(
        cloud_metrics.E2E_LATENCIES,
        "DELTA",
        "DISTRIBUTION",
        "ms",
        _CODE,
        "Time from when the request was fully read until the last byte of the answer, including the time in the queue.",
        "BETA",
    ),
    Metric(
        cloud_metrics.PENDING,
        "DELTA",
        "DISTRIBUTION",
        "ms",
        _CODE,
        "Time in the pending queue.",
        "BETA",
    ),
    Metric(
        cloud_metrics.STARTUP_LATENCIES,
        "DELTA",
        "DISTRIBUTION",
        "ms",
        (),
        "Time from starting an instance until its startup probe passes.",
        "BETA",
    ),
    Metric(
        cloud_metrics.MAX_CONCURRENCIES,
        "DELTA",
        "DISTRIBUTION",
        "1",
        ("state",),
        "The largest number of requests that each instance handled at the same time in the period.",
    ),
    Metric(
        cloud_metrics.CPU,
        "DELTA",
        "DISTRIBUTION",
        "10^2.%",
        (),
        "CPU use of each instance as a ratio of its vCPU.",
    ),
    Metric(
        cloud_metrics.MEMORY,
        "DELTA",
        "DISTRIBUTION",
        "10^2.%",
        (),
        "Memory of each instance as a ratio of its limit.",
    ),
    Metric(
        cloud_metrics.BILLABLE_TIME,
        "DELTA",
        "DOUBLE",
        "s",
        (),
        "Time in which instances would be billed, because they were starting or had a request; rounded up to 100 ms "
        "per instance.",
    ),
)
"""The metrics that the emulator records."""
