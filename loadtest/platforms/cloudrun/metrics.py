"""Fetch the metrics that Cloud Monitoring recorded of a Cloud Run service during a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ...core import cloud_metrics
from ...core.errors import CloudError, UsageError
from .calls import MONITORING_API, CallContext, RetryPolicy, call, explained
from .clients import Clients

if TYPE_CHECKING:
    import pyarrow as pa

    from ...recording.run import TargetRecord
    from .series import Point

EITHER_SIDE = timedelta(minutes=5)
"""Metrics are also fetched for this time before and after the run, to show the state at both ends."""

SAMPLED_WITHIN = timedelta(minutes=1)
"""A sample belongs to the run if it ends at most this long after the end of the run. Later samples do not belong to the
run."""

MAX_WAIT = timedelta(minutes=6)
"""Maximum wait after the end of the run. The documentation says 60 s of sampling + 120 s; users report 3 to 5
minutes."""

MIN_WAIT = timedelta(seconds=15)
"""Maximum wait for points of the emulator. The emulator's points are available at once, but its machine may be busy."""

ASK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Ingestion:
    """The time up to which Cloud Monitoring has points, for a progress line.

    Attributes:
        covered_until: the end of the newest point; None while there is no point.
        wanted_until: the time that the points must reach, which is the end of the run or the last answer.
        waited_s: time since the first query.
        limit_s: the maximum wait.
    """

    covered_until: datetime | None
    wanted_until: datetime
    waited_s: float
    limit_s: float


@dataclass(frozen=True, slots=True)
class Clock:
    """Reads the time and waits; tests replace it."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep


def fetch(
    target: TargetRecord,
    start: datetime,
    end: datetime,
    *,
    revision: str | None = None,
    served_until: datetime | None = None,
    endpoint: str | None = None,
    on_progress: Callable[[Ingestion], None] = lambda _: None,
    retry_policy: RetryPolicy | None = None,
    clock: Clock | None = None,
) -> pa.Table:
    """Return every series of `core.cloud_metrics` for the run's window ± EITHER_SIDE, in METRICS_SCHEMA.

    The function waits until the instance count (a gauge that continues after the last request) reaches `end`, and the
    counts and billed times reach `served_until`. If the service no longer runs, later counts never come. The wait is
    therefore limited to twice the time after which a new sample can be read. The descriptors of the metrics state this
    time; with Google's metrics the limit is 6 minutes. When this limit is reached, the function returns the points so
    far, which may end too early. Metrics that this project has never had (a beta metric, or the metrics of a service
    that never started) are left out. One row is one point.

    Args:
        target: the target, whose project, region and service select the series.
        start: the start of the run, UTC.
        end: the end of the run, UTC.
        revision: the only revision whose series are returned; None for all of the service.
        served_until: when an instance last answered, UTC; None if this is not known, or if no instance ever answered.
        endpoint: the address of a local server that is used instead of Google.
        on_progress: called after each query that found too few points.
        retry_policy: the limits of one call.
        clock: the clock to wait with.

    Raises:
        UsageError: the target names no service, project or region.
        CloudError: Google refused the call or did not answer, or has no point of the run.
    """
    from .series import points_of, table_of

    query = _Query(Clients(endpoint), target, retry_policy or RetryPolicy(), revision=revision)
    clock = clock or Clock()
    known = query.known()
    wanted = {cloud_metrics.INSTANCE_COUNT: end}
    # each metric is ingested separately, so billed time may be available later than the gauge
    if served_until is not None:
        wanted |= dict.fromkeys(known.keys() & {cloud_metrics.REQUEST_COUNT, cloud_metrics.BILLABLE_TIME}, served_until)
    late = max((known[metric] for metric in wanted if metric in known), default=MAX_WAIT)
    limit = end + min(max(2 * late, MIN_WAIT), MAX_WAIT)
    _wait(query, start, wanted, limit, on_progress, clock)
    until = min(end + EITHER_SIDE, clock.now())
    points: list[Point] = []
    for metric in cloud_metrics.ALL:
        if metric not in known:
            continue
        for series in query.series(metric, start - EITHER_SIDE, until):
            points += points_of(series)
    _require_points(points, target, start, end, revision=revision)
    return table_of(points)


def _require_points(
    points: Iterable[Point], target: TargetRecord, start: datetime, end: datetime, *, revision: str | None
) -> None:
    """Check that at least one point belongs to the run.

    Raises:
        CloudError: no series has a point.
    """
    first_ns, last_ns = start.timestamp() * 1e9, (end + SAMPLED_WITHIN).timestamp() * 1e9
    if any(first_ns < int(str(point["end"])) <= last_ns for point in points):
        return
    of = f"service {target.service}" + (f", revision {revision}" if revision else "")
    raise CloudError(
        f"Cloud Monitoring has no point of {of} ({target.region}, project {target.project}) "
        f"between {start:%Y-%m-%d %H:%M:%S} and {end:%H:%M:%S} UTC. Points are available up to 5 minutes late, and "
        f"for 6 weeks: try again, or check the name with `gcloud run services list --project {target.project}`.",
        cure=f"gcloud run services list --project {target.project}",
    )


def known_metrics(clients: Clients, target: TargetRecord, *, retry_policy: RetryPolicy | None = None) -> set[str]:
    """Return the types of Cloud Run's metrics that the target's project has.

    Raises:
        UsageError: the target names no service, project or region.
        CloudError: Google refused the call or did not answer.
    """
    return set(_Query(clients, target, retry_policy or RetryPolicy()).known())


def _wait(
    query: _Query,
    start: datetime,
    wanted: dict[str, datetime],
    limit: datetime,
    on_progress: Callable[[Ingestion], None],
    clock: Clock,
) -> None:
    """Wait until the newest point of each metric has reached the time that the metric must reach, or until `limit`."""
    begun = clock.now()
    for metric, until in wanted.items():
        while True:
            now = clock.now()
            newest = query.newest(metric, start, max(now, until)) if now > start else None
            if newest is not None and newest >= until:
                break
            if now >= limit:
                return
            on_progress(
                Ingestion(
                    covered_until=newest,
                    wanted_until=until,
                    waited_s=(now - begun).total_seconds(),
                    limit_s=(limit - begun).total_seconds(),
                )
            )
            clock.sleep(min(ASK_EVERY_S, max((limit - now).total_seconds(), 0.1)))


class _Query:
    """Queries the series of one service, or of one of its revisions."""

    def __init__(
        self, clients: Clients, target: TargetRecord, retry_policy: RetryPolicy, *, revision: str | None = None
    ) -> None:
        missing = [name for name in ("service", "project", "region") if not getattr(target, name)]
        if missing:
            raise UsageError(
                f"The run's target ({target.kind}, {target.url}) names no {' and no '.join(missing)}, so its metrics "
                "cannot be requested from Cloud Monitoring. Give `--service`, `--project` and `--region`."
            )
        self._api = clients.metrics
        self._target = target
        self._revision = revision
        self._patience = retry_policy
        self._purpose = CallContext(
            doing=f"reading the metrics of service {target.service} ({target.region})",
            api=MONITORING_API,
            project=str(target.project),
            role="roles/monitoring.viewer",
            look="gcloud projects list",
        )

    def known(self) -> dict[str, timedelta]:
        """Return which of Cloud Run's metrics this project has, and how long it takes until a sample can be read.

        If a metric's descriptor does not state this time, MAX_WAIT is used.

        Raises:
            CloudError: Google refused the call or did not answer, or there is no such project.
        """
        from google.api_core.exceptions import NotFound
        from google.cloud.monitoring_v3 import ListMetricDescriptorsRequest

        request = ListMetricDescriptorsRequest(
            name=f"projects/{self._target.project}", filter=f'metric.type = starts_with("{cloud_metrics.PREFIX}")'
        )
        try:
            descriptors = self._pages(self._api.list_metric_descriptors, request, "metric_descriptors")
        except NotFound as error:
            raise explained(error, purpose=self._purpose, retry_policy=self._patience) from error
        found = {}
        for descriptor in descriptors:
            every, late = (
                part.ToTimedelta() for part in (descriptor.metadata.sample_period, descriptor.metadata.ingest_delay)
            )
            found[descriptor.type] = every + late if every else MAX_WAIT
        return found

    def series(self, metric: str, start: datetime, end: datetime) -> list[Any]:
        """Return all pages of the series of one metric, as received; empty if there is no such series.

        Raises:
            CloudError: Google refused the call or did not answer.
        """
        from google.api_core.exceptions import NotFound
        from google.cloud.monitoring_v3 import ListTimeSeriesRequest, TimeInterval

        conditions = {
            "metric.type": metric,
            "resource.type": cloud_metrics.RESOURCE,
            "resource.labels.service_name": self._target.service,
            "resource.labels.location": self._target.region,
        }
        if self._revision is not None:
            conditions[f"resource.labels.{cloud_metrics.REVISION_LABEL}"] = self._revision
        request = ListTimeSeriesRequest(
            name=f"projects/{self._target.project}",
            filter=" AND ".join(f'{name} = "{value}"' for name, value in conditions.items()),
            interval=TimeInterval(start_time=start, end_time=end),
            view=ListTimeSeriesRequest.TimeSeriesView.FULL,
        )
        try:
            return self._pages(self._api.list_time_series, request, "time_series")
        except NotFound:
            return []

    def newest(self, metric: str, start: datetime, end: datetime) -> datetime | None:
        """Return the end of the newest point in all series of the metric; None if there is no point."""
        ends = [point.interval.end_time for series in self.series(metric, start, end) for point in series.points]
        return max(ends, default=None)

    def _pages(self, rpc: Callable[..., Any], request: Any, items: str) -> list[Any]:
        """Return the entries under `items` of all pages. The full retry policy applies to each page."""
        found: list[Any] = []
        while True:
            page = call(rpc, request, purpose=self._purpose, retry_policy=self._patience)
            found += getattr(page, items)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token
