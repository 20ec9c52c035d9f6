"""Recorded requests and samples are returned as Cloud Run's metrics, period by period."""

from __future__ import annotations

import pytest

from loadtest.core.cloud_metrics import PREFIX
from loadtest.emulator.metric_types import METRICS
from loadtest.emulator.metrics_store import InstanceSample, Recorder
from loadtest.emulator.model import Distribution, Point, Sampling, ServiceKey

KEY = ServiceKey("s")
OK = (("response_code", "200"), ("response_code_class", "2xx"))


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(clock: Clock) -> Recorder:
    return Recorder(Sampling(60, ingest_delay_s=10), clock=clock)


def points(recorder: Recorder, metric: str, labels: object = ()) -> list[Point]:
    found = recorder.series(PREFIX + metric, start_s=0, end_s=1e9)
    return [point for series in found if series.labels == labels for point in series.points]


def request(
    recorder: Recorder, now_s: float, code: int = 200, instance: str | None = "a", total_ms: float = 50
) -> None:
    record = recorder.of(KEY, "r")
    record.request(now_s, code=code, instance=instance, pending_ms=20, total_ms=total_ms, in_flight=3)


def test_a_period_is_returned_once_it_is_over_and_ingested(clock: Clock, recorder: Recorder) -> None:
    request(recorder, 61)
    clock.now_s = 129.9
    assert points(recorder, "request_count", OK) == []
    clock.now_s = 130
    assert points(recorder, "request_count", OK) == [Point(60, 120, 1)]


def test_requests_that_reached_no_instance_are_in_no_metric(clock: Clock, recorder: Recorder) -> None:
    request(recorder, 61, code=429, instance=None)
    clock.now_s = 1000
    assert recorder.of(KEY, "r").refused == 1
    assert not any(recorder.series(metric.type, start_s=0, end_s=1e9) for metric in METRICS)


def test_latency_is_without_the_queue_and_e2e_with_it(clock: Clock, recorder: Recorder) -> None:
    request(recorder, 61, total_ms=50)
    clock.now_s = 1000
    means = {
        name: point.value.mean
        for name in ("request_latencies", "request_latency/e2e_latencies", "request_latency/pending")
        for point in points(recorder, name, OK)
        if isinstance(point.value, Distribution)
    }
    assert means == {"request_latencies": 30, "request_latency/e2e_latencies": 50, "request_latency/pending": 20}


def test_an_instance_is_active_when_it_had_a_request_in_the_period(clock: Clock, recorder: Recorder) -> None:
    request(recorder, 61, instance="a")
    both = [InstanceSample("a", 0, 0.5, 0.1), InstanceSample("b", 0, 0.0, 0.1)]
    recorder.of(KEY, "r").sample(119, both)
    clock.now_s = 1000
    assert points(recorder, "container/instance_count", (("state", "active"),)) == [Point(120, 120, 1)]
    assert points(recorder, "container/instance_count", (("state", "idle"),)) == [Point(120, 120, 1)]


def test_a_value_falls_into_the_bucket_that_its_bounds_say(clock: Clock, recorder: Recorder) -> None:
    request(recorder, 61, total_ms=20.0)  # 0 ms at the container is exactly the first bound, so it is in bucket [0, 1)
    clock.now_s = 1000
    (point,) = points(recorder, "request_latencies", OK)
    assert isinstance(point.value, Distribution)
    assert point.value.bounds[:2] == (0.0, 1.0)
    assert point.value.counts[:3] == (0, 1, 0)
    assert len(point.value.counts) == len(point.value.bounds) + 1


def test_billed_time_is_the_union_of_what_overlaps_in_steps_of_100_ms(clock: Clock, recorder: Recorder) -> None:
    record = recorder.of(KEY, "r")
    for end_s in (61.02, 61.04, 61.96):  # three requests of 30 ms, two of them in the same step
        record.request(end_s, code=200, instance="a", pending_ms=0, total_ms=15, in_flight=1)
    record.request(61.99, code=200, instance="b", pending_ms=0, total_ms=15, in_flight=1)
    clock.now_s = 1000
    (point,) = points(recorder, "container/billable_instance_time")
    assert point.value == pytest.approx(0.3)


def test_a_long_request_is_billed_while_it_runs(clock: Clock, recorder: Recorder) -> None:
    record = recorder.of(KEY, "r")
    for second in range(60, 71):
        record.sample(second, [InstanceSample("a", 1, None, 0.1)])
    clock.now_s = 1000
    (point,) = points(recorder, "container/billable_instance_time")
    assert point.value == pytest.approx(10.1)  # 10 s between eleven samples, plus the step of the first sample


def test_a_start_counts_once_with_its_length(clock: Clock, recorder: Recorder) -> None:
    recorder.of(KEY, "r").started(61, instance="a", startup_s=4.2)
    clock.now_s = 1000
    (point,) = points(recorder, "container/startup_latencies")
    assert isinstance(point.value, Distribution)
    assert (point.value.count, point.value.mean) == (1, pytest.approx(4200))


def test_every_metric_that_is_described_is_recorded(clock: Clock, recorder: Recorder) -> None:
    record = recorder.of(KEY, "r")
    record.started(61, instance="a", startup_s=1)
    request(recorder, 62)
    record.sample(63, [InstanceSample("a", 2, 0.5, 0.25)])
    clock.now_s = 1000
    for metric in METRICS:
        found = recorder.series(metric.type, start_s=0, end_s=1e9)
        assert found, metric.type
        assert {name for series in found for name, _ in series.labels} == set(metric.labels), metric.type
        gauge = all(point.start_s == point.end_s for series in found for point in series.points)
        assert gauge == (metric.kind == "GAUGE"), metric.type
