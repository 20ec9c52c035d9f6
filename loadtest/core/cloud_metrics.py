"""Define the names of Cloud Run's metrics in Cloud Monitoring.

Source: https://cloud.google.com/monitoring/api/metrics_gcp_p_z#gcp-run, read 2026-11-26.
"""

from __future__ import annotations

PREFIX = "run.googleapis.com/"
"""Prefix of every metric type and of Cloud Run's annotations."""

RESOURCE = "cloud_run_revision"
"""The monitored resource of every metric."""

REVISION_LABEL = "revision_name"
"""The resource label that names the revision; `metrics.parquet` stores it with the metric's labels."""

INSTANCE_COUNT = PREFIX + "container/instance_count"
REQUEST_COUNT = PREFIX + "request_count"
LATENCIES = PREFIX + "request_latencies"
E2E_LATENCIES = PREFIX + "request_latency/e2e_latencies"
PENDING = PREFIX + "request_latency/pending"
STARTUP_LATENCIES = PREFIX + "container/startup_latencies"
MAX_CONCURRENCIES = PREFIX + "container/max_request_concurrencies"
CPU = PREFIX + "container/cpu/utilizations"
MEMORY = PREFIX + "container/memory/utilizations"
BILLABLE_TIME = PREFIX + "container/billable_instance_time"

ALL = (
    INSTANCE_COUNT,
    REQUEST_COUNT,
    LATENCIES,
    E2E_LATENCIES,
    PENDING,
    STARTUP_LATENCIES,
    MAX_CONCURRENCIES,
    CPU,
    MEMORY,
    BILLABLE_TIME,
)
"""The metrics that are fetched after a run. The emulator records the same metrics."""
