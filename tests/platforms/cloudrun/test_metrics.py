"""Fetched series equal the recorded ones, and the fetch waits until they cover the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from google.api import distribution_pb2, metric_pb2
from google.cloud.monitoring_v3.types import metric as metric_types

from loadtest.core.cloud_metrics import BILLABLE_TIME
from loadtest.core.errors import CloudError, UsageError
from loadtest.emulator.model import Distribution, Labels, Point, Sampling, Series, ServiceKey
from loadtest.platforms.cloudrun.metrics import MAX_WAIT, Clock, Ingestion, fetch
from loadtest.platforms.cloudrun.series import points_of, table_of
from loadtest.recording.rows import METRICS_SCHEMA
from loadtest.recording.run import TargetRecord
from tests.emulator.fake import FakeEmulator
from tests.emulator.surface_server import grpc_endpoint

T0 = datetime(2026, 8, 17, 10, 0, tzinfo=UTC)
END = T0 + timedelta(minutes=4)
KEY = ServiceKey("ml", "demo", "europe-west2")
TARGET = TargetRecord(kind="cloud", url="https://x", service="ml", project="demo", region="europe-west2")
INSTANCES = "run.googleapis.com/container/instance_count"
COUNT = "run.googleapis.com/request_count"
LATENCIES = "run.googleapis.com/request_latencies"
ACTIVE: Labels = (("state", "active"),)


GOOGLES = Sampling(60, 120)


class Times:
    """A fake clock that advances when it sleeps. `on_sleep` is called meanwhile."""

    def __init__(self, now: datetime, on_sleep: Callable[[datetime], None] = lambda now: None) -> None:
        self.now = now
        self.on_sleep = on_sleep

    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.on_sleep(self.now)


def gauge(until: datetime, *, key: ServiceKey = KEY, revision: str = "ml-00001-abc") -> Series:
    """Return the instance count, once a minute from T0 until that time."""
    count = int((until - T0).total_seconds() // 60)
    at = [(T0 + timedelta(minutes=i)).timestamp() for i in range(1, count + 1)]
    return Series(INSTANCES, key, revision, ACTIVE, tuple(Point(end, end, 2) for end in at))


def deltas(metric: str, *values: float | Distribution, revision: str = "ml-00001-abc") -> Series:
    points = [
        Point((T0 + timedelta(minutes=i)).timestamp(), (T0 + timedelta(minutes=i + 1)).timestamp(), value)
        for i, value in enumerate(values)
    ]
    return Series(metric, KEY, revision, (("response_code", "200"),), tuple(points))


def test_every_point_becomes_a_row_with_its_labels_and_its_revision() -> None:
    spread = Distribution(3, 20.0, 0.0, (10.0, 40.0), (1, 2, 0))
    recorded = [gauge(END), deltas(COUNT, 5, 7), deltas(COUNT, 1, revision="ml-00002-abc"), deltas(LATENCIES, spread)]
    with grpc_endpoint(FakeEmulator(clock=T0.timestamp, recorded=recorded)) as endpoint:
        table = fetch(TARGET, T0, END, endpoint=endpoint, clock=Times(END).clock())
    assert table.schema == METRICS_SCHEMA
    rows = table.to_pylist()
    assert [row["value"] for row in rows if row["metric"] == INSTANCES] == [2, 2, 2, 2]
    by_revision = {(json.loads(row["labels"])["revision_name"], row["value"]) for row in rows if row["metric"] == COUNT}
    assert by_revision == {("ml-00001-abc", 5.0), ("ml-00001-abc", 7.0), ("ml-00002-abc", 1.0)}
    (latency,) = (row for row in rows if row["metric"] == LATENCIES)
    assert latency["value"] is None
    assert json.loads(latency["distribution"]) == {
        "count": 3,
        "mean": 20.0,
        "bounds": [10.0, 40.0],
        "counts": [1, 2, 0],
    }
    assert (latency["kind"], latency["end"] - latency["start"]) == ("DELTA", timedelta(minutes=1))


def test_another_service_another_region_and_another_time_stay_out() -> None:
    recorded = [
        gauge(END),
        gauge(END, key=ServiceKey("other", "demo", "europe-west2")),
        gauge(END, key=ServiceKey("ml", "demo", "us-central1")),
        Series(COUNT, KEY, "ml-00001-abc", (), (Point(T0.timestamp() - 660, T0.timestamp() - 600, 9),)),
    ]
    with grpc_endpoint(FakeEmulator(clock=T0.timestamp, recorded=recorded)) as endpoint:
        table = fetch(TARGET, T0, END, endpoint=endpoint, clock=Times(END).clock())
    assert table.num_rows == 4


def test_every_page_is_fetched() -> None:
    """Google returns at most a thousand series per page, and a service that was deployed often has more."""
    recorded = [gauge(END, revision=f"ml-{number:05}-abc") for number in range(1, 1_202)]
    with grpc_endpoint(FakeEmulator(clock=T0.timestamp, recorded=recorded)) as endpoint:
        table = fetch(TARGET, T0, END, endpoint=endpoint, clock=Times(END).clock())
    assert len(set(table["labels"].to_pylist())) == 1_201
    assert table.num_rows == 4 * 1_201


def test_it_waits_until_the_series_cover_the_runs_end() -> None:
    fake = FakeEmulator(clock=T0.timestamp, recorded=[gauge(END - timedelta(minutes=2))], sampling=GOOGLES)
    seen: list[Ingestion] = []

    def arrive(now: datetime) -> None:
        if now >= END + timedelta(seconds=150):  # as if the points were ingested two and a half minutes late
            fake.recorded = [gauge(END)]

    times = Times(END, arrive)
    with grpc_endpoint(fake) as endpoint:
        table = fetch(TARGET, T0, END, endpoint=endpoint, on_progress=seen.append, clock=times.clock())
    assert table.num_rows == 4
    assert END + timedelta(seconds=150) <= times.now < END + timedelta(seconds=160)
    assert seen[0].covered_until == END - timedelta(minutes=2)
    assert (seen[0].wanted_until, seen[0].limit_s) == (END, MAX_WAIT.total_seconds())


def test_it_waits_for_the_last_minutes_bill_too() -> None:
    """Each metric is ingested separately, so the billed time of the last minute may arrive last.

    In a ramp, the last minute is the most expensive one.
    """
    whole = [deltas(BILLABLE_TIME, 10, 20, 30, 40), deltas(COUNT, 1, 2, 3, 4)]
    fake = FakeEmulator(clock=T0.timestamp, recorded=[gauge(END), deltas(BILLABLE_TIME, 10, 20, 30), whole[1]])

    def arrive(now: datetime) -> None:
        if now >= END + timedelta(seconds=60):
            fake.recorded = [gauge(END), *whole]

    times = Times(END, arrive)
    with grpc_endpoint(fake) as endpoint:
        served = END - timedelta(seconds=1)
        table = fetch(TARGET, T0, END, served_until=served, endpoint=endpoint, clock=times.clock())
    assert sum(row["value"] for row in table.to_pylist() if row["metric"] == BILLABLE_TIME) == 100
    assert END + timedelta(seconds=60) <= times.now < END + timedelta(seconds=70)


def test_a_quiet_end_is_not_waited_for() -> None:
    """Nothing is counted or billed after the last answer, so the third minute's points are the last ones."""
    recorded = [gauge(END), deltas(BILLABLE_TIME, 10, 20, 30), deltas(COUNT, 1, 2, 3)]
    times = Times(END)
    with grpc_endpoint(FakeEmulator(clock=T0.timestamp, recorded=recorded)) as endpoint:
        served = T0 + timedelta(minutes=2, seconds=30)
        fetch(TARGET, T0, END, served_until=served, endpoint=endpoint, clock=times.clock())
    assert times.now == END


@pytest.mark.parametrize(
    ("sampling", "after_s"),
    [(GOOGLES, 360), (Sampling(10, 0), 20), (Sampling(1, 0), 15), (Sampling(0, 0), 360), (Sampling(600, 0), 360)],
)
def test_it_gives_up_waiting_for_what_should_have_come_and_keeps_what_there_is(
    sampling: Sampling, after_s: float
) -> None:
    """The metrics' descriptors state how late points are. A service that has died sends no points."""
    times = Times(END)
    recorded = [gauge(END - timedelta(minutes=1))]
    with grpc_endpoint(FakeEmulator(clock=T0.timestamp, recorded=recorded, sampling=sampling)) as endpoint:
        table = fetch(TARGET, T0, END, endpoint=endpoint, clock=times.clock())
    assert table.num_rows == 3
    assert (times.now - END).total_seconds() == pytest.approx(after_s, abs=1)


def test_a_run_that_is_long_over_is_not_waited_for() -> None:
    times = Times(END + timedelta(hours=1))
    with grpc_endpoint(FakeEmulator(clock=T0.timestamp, recorded=[deltas(COUNT, 1)])) as endpoint:
        fetch(TARGET, T0, END, endpoint=endpoint, clock=times.clock())
    assert times.now == END + timedelta(hours=1)


def test_missing_points_are_reported_and_nothing_is_stored() -> None:
    with (
        grpc_endpoint(FakeEmulator(clock=T0.timestamp)) as endpoint,
        pytest.raises(CloudError, match="has no point of service ml"),
    ):
        fetch(TARGET, T0, END, endpoint=endpoint, clock=Times(END).clock())


def test_a_revision_gets_only_its_own_series_and_waits_for_them() -> None:
    """The other revision's series reach the end of the run, which must not end the wait."""
    old, new = "ml-00001-abc", "ml-00002-abc"
    other = [gauge(END, revision=old), deltas(COUNT, 1, 2, 3, 4, revision=old)]
    fake = FakeEmulator(
        clock=T0.timestamp, recorded=[*other, gauge(END - timedelta(minutes=1), revision=new)], sampling=GOOGLES
    )

    def arrive(now: datetime) -> None:
        if now >= END + timedelta(seconds=60):
            fake.recorded = [*other, gauge(END, revision=new)]

    times = Times(END, arrive)
    with grpc_endpoint(fake) as endpoint:
        table = fetch(TARGET, T0, END, revision=new, endpoint=endpoint, clock=times.clock())
    assert {json.loads(labels)["revision_name"] for labels in table["labels"].to_pylist()} == {new}
    assert table.num_rows == 4
    assert END + timedelta(seconds=60) <= times.now < END + timedelta(seconds=70)


def test_points_of_another_revision_alone_are_reported_as_none() -> None:
    times = Times(END + timedelta(hours=1))
    with (
        grpc_endpoint(FakeEmulator(clock=T0.timestamp, recorded=[gauge(END)])) as endpoint,
        pytest.raises(CloudError, match="has no point of service ml, revision ml-00002-abc"),
    ):
        fetch(TARGET, T0, END, revision="ml-00002-abc", endpoint=endpoint, clock=times.clock())


def test_points_that_are_all_later_than_the_run_are_not_stored() -> None:
    """Such points may come from another emulator with the same service and project names.

    The previously stored ones stay.
    """
    later = Series(COUNT, KEY, "ml-00001-abc", (), (Point(END.timestamp() + 180, END.timestamp() + 240, 9),))
    with (
        grpc_endpoint(FakeEmulator(clock=T0.timestamp, recorded=[later])) as endpoint,
        pytest.raises(CloudError, match="has no point of service ml"),
    ):
        fetch(TARGET, T0, END, endpoint=endpoint, clock=Times(END + timedelta(hours=1)).clock())


def test_a_run_without_a_service_names_the_missing_option() -> None:
    with pytest.raises(UsageError, match="no service and no project and no region"):
        fetch(TargetRecord(kind="url", url="http://x"), T0, END, endpoint="127.0.0.1:1")


@pytest.mark.parametrize(
    ("options", "bounds"),
    [
        ({"explicit_buckets": {"bounds": [1.0, 5.0, 9.0]}}, [1.0, 5.0, 9.0]),
        # BucketOptions: N finite buckets have N + 1 bounds
        ({"linear_buckets": {"num_finite_buckets": 2, "width": 10.0, "offset": 5.0}}, [5.0, 15.0, 25.0]),
        ({"exponential_buckets": {"num_finite_buckets": 3, "growth_factor": 2.0, "scale": 1.0}}, [1.0, 2.0, 4.0, 8.0]),
    ],
)
def test_every_kind_of_bucket_becomes_bounds_and_one_more_count(
    options: dict[str, object], bounds: list[float]
) -> None:
    raw = metric_types.TimeSeries.pb(metric_types.TimeSeries(metric_kind="DELTA", value_type="DISTRIBUTION"))
    raw.metric.CopyFrom(metric_pb2.Metric(type=LATENCIES))
    point = raw.points.add()
    point.interval.end_time.FromSeconds(60)
    point.value.distribution_value.CopyFrom(
        distribution_pb2.Distribution(count=2, mean=1.5, bucket_options=options, bucket_counts=[0, 2])
    )
    (row,) = table_of(points_of(metric_types.TimeSeries.wrap(raw))).to_pylist()
    told = json.loads(row["distribution"])
    assert told["bounds"] == bounds
    assert told["counts"] == [0, 2] + [0] * (len(bounds) - 1)
