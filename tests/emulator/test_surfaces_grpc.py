"""Google's own clients use the emulator's gRPC surfaces over a real channel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.api import metric_pb2
from google.api_core import exceptions as google
from google.cloud import monitoring_v3, run_v2
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport
from google.cloud.run_v2.services.revisions.transports import RevisionsGrpcTransport
from google.cloud.run_v2.services.services.transports import ServicesGrpcTransport
from google.iam.v1 import iam_policy_pb2, policy_pb2
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given
from hypothesis import strategies as st

from loadtest.emulator.google_api.filters import FilterError, parse_series_filter
from loadtest.emulator.metric_types import METRICS
from loadtest.emulator.model import Distribution, Labels, Point, RevisionTemplate, Sampling, Series, ServiceKey
from tests.emulator.fake import FakeEmulator
from tests.emulator.surface_server import grpc_endpoint

T0 = datetime(2026, 8, 17, 10, 0, tzinfo=UTC)
KEY = ServiceKey("ml", "demo", "europe-west2")
PARENT = "projects/demo/locations/europe-west2"
NAME = f"{PARENT}/services/ml"
COUNT = "run.googleapis.com/request_count"
INSTANCES = "run.googleapis.com/container/instance_count"
LATENCIES = "run.googleapis.com/request_latencies"
OK: Labels = (("response_code", "200"), ("response_code_class", "2xx"))
# 100 values in [0, 100), none in [100, 200), 100 in [200, 400)
SPREAD = Distribution(200, 175.0, 0.0, (100.0, 200.0, 400.0), (100, 0, 100, 0))


def at(minutes: float) -> float:
    return (T0 + timedelta(minutes=minutes)).timestamp()


def recorded() -> list[Series]:
    def delta(metric: str, labels: Labels, *values: float | Distribution, revision: str = "ml-00001-abc") -> Series:
        points = tuple(Point(at(i), at(i + 1), value) for i, value in enumerate(values))
        return Series(metric, KEY, revision, labels, points)

    def gauge(state: str, *values: int) -> Series:
        points = tuple(Point(at(i + 1), at(i + 1), value) for i, value in enumerate(values))
        return Series(INSTANCES, KEY, "ml-00001-abc", (("state", state),), points)

    return [
        delta(COUNT, OK, 600, 660, 720, 780),
        delta(COUNT, (("response_code", "503"), ("response_code_class", "5xx")), 1, 2, 3, 4),
        delta(COUNT, OK, 5, revision="ml-00002-abc"),
        gauge("active", 1, 2, 3, 4),
        gauge("idle", 1, 0, 1, 0),
        delta(LATENCIES, OK, SPREAD, SPREAD),
    ]


@pytest.fixture(scope="module")
def channel() -> Iterator[grpc.Channel]:
    fake = FakeEmulator(clock=T0.timestamp, recorded=recorded(), sampling=Sampling(period_s=60.0, ingest_delay_s=7.0))
    with grpc_endpoint(fake) as endpoint, grpc.insecure_channel(endpoint) as open_channel:
        yield open_channel


@pytest.fixture
def metrics(channel: grpc.Channel) -> monitoring_v3.MetricServiceClient:
    return monitoring_v3.MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel))


@pytest.fixture
def fresh() -> Iterator[tuple[FakeEmulator, grpc.Channel]]:
    """A fake that a test may fill and change."""
    fake = FakeEmulator(clock=T0.timestamp)
    with grpc_endpoint(fake) as endpoint, grpc.insecure_channel(endpoint) as open_channel:
        yield fake, open_channel


def services_of(channel: grpc.Channel) -> run_v2.ServicesClient:
    return run_v2.ServicesClient(transport=ServicesGrpcTransport(channel=channel))


def asked(filter_text: str, *, minutes: float = 4, **more: object) -> monitoring_v3.ListTimeSeriesRequest:
    interval = monitoring_v3.TimeInterval(start_time=T0, end_time=T0 + timedelta(minutes=minutes))
    return monitoring_v3.ListTimeSeriesRequest(name="projects/demo", filter=filter_text, interval=interval, **more)


def values(series: monitoring_v3.TimeSeries) -> list[float]:
    return [point.value.int64_value or point.value.double_value for point in series.points]


def service(**template: object) -> run_v2.Service:
    container = run_v2.Container(
        image="img", command=["python", "-m", "app"], resources={"limits": {"cpu": "500m", "memory": "1Gi"}}
    )
    return run_v2.Service(template=run_v2.RevisionTemplate(containers=[container], **template))


class TestMonitoring:
    def test_points_come_newest_first_with_labels_of_metric_and_resource(
        self, metrics: monitoring_v3.MetricServiceClient
    ) -> None:
        found = list(
            metrics.list_time_series(asked(f'metric.type = "{COUNT}" AND metric.labels.response_code = "503"'))
        )
        assert [values(series) for series in found] == [[4, 3, 2, 1]]
        assert found[0].resource.labels["revision_name"] == "ml-00001-abc"
        assert found[0].metric_kind == metric_pb2.MetricDescriptor.DELTA
        newest = found[0].points[0].interval
        assert (newest.end_time - newest.start_time).total_seconds() == 60

    def test_the_interval_leaves_its_start_out_and_takes_its_end_in(
        self, metrics: monitoring_v3.MetricServiceClient
    ) -> None:
        request = asked(f'metric.type="{INSTANCES}" AND metric.label.state="active"', minutes=3)
        request.interval.start_time = T0 + timedelta(minutes=1)
        assert values(next(iter(metrics.list_time_series(request)))) == [3, 2]

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            ('resource.labels.revision_name = "ml-00002-abc"', 1),
            ('resource.labels.revision_name != "ml-00002-abc"', 2),
            ('metric.labels.response_code_class = one_of("2xx", "5xx")', 3),
            ('metric.labels.response_code = starts_with("5")', 1),
            ('metric.labels.response_code = monitoring.regex.full_match("2..")', 2),
            ('resource.type = "cloud_run_revision" AND resource.labels.location = "europe-west2"', 3),
            ('resource.labels.location = "us-central1"', 0),
        ],
    )
    def test_filters_select_series(
        self, metrics: monitoring_v3.MetricServiceClient, condition: str, expected: int
    ) -> None:
        assert len(list(metrics.list_time_series(asked(f'metric.type = "{COUNT}" AND {condition}')))) == expected

    def test_another_project_sees_nothing(self, metrics: monitoring_v3.MetricServiceClient) -> None:
        request = asked(f'metric.type = "{COUNT}"')
        request.name = "projects/other"
        assert not list(metrics.list_time_series(request))

    def test_pages_join_to_the_whole(self, metrics: monitoring_v3.MetricServiceClient) -> None:
        pages = list(metrics.list_time_series(asked(f'metric.type = "{COUNT}"', page_size=2)).pages)
        assert [len(page.time_series) for page in pages] == [2, 1]

    def test_a_reducer_sums_the_aligned_series_of_a_group(self, metrics: monitoring_v3.MetricServiceClient) -> None:
        request = asked(
            f'metric.type = "{INSTANCES}"',
            aggregation=monitoring_v3.Aggregation(
                alignment_period=timedelta(seconds=120),
                per_series_aligner="ALIGN_MAX",
                cross_series_reducer="REDUCE_SUM",
                group_by_fields=["resource.label.service_name"],
            ),
        )
        (series,) = metrics.list_time_series(request)
        # active: max(3, 4) and max(1, 2); idle: max(1, 0) and max(1, 0)
        assert values(series) == [5, 3]
        assert dict(series.resource.labels) == {"service_name": "ml"}

    def test_a_rate_is_per_second(self, metrics: monitoring_v3.MetricServiceClient) -> None:
        aggregation = monitoring_v3.Aggregation(alignment_period=timedelta(seconds=60), per_series_aligner="ALIGN_RATE")
        request = asked(
            f'metric.type = "{COUNT}" AND metric.labels.response_code = "200"', minutes=2, aggregation=aggregation
        )
        assert [11.0, 10.0] in [values(series) for series in metrics.list_time_series(request)]

    def test_a_percentile_of_a_distribution_is_interpolated_in_its_bucket(
        self, metrics: monitoring_v3.MetricServiceClient
    ) -> None:
        aggregation = monitoring_v3.Aggregation(
            alignment_period=timedelta(seconds=120), per_series_aligner="ALIGN_PERCENTILE_95"
        )
        (series,) = metrics.list_time_series(asked(f'metric.type="{LATENCIES}"', minutes=2, aggregation=aggregation))
        # both minutes are in one period: the 380th of 400 values is the 180th of the 200 values in [200, 400)
        assert values(series) == [pytest.approx(200 + 200 * 180 / 200)]

    @pytest.mark.parametrize(
        ("filter_text", "aggregation", "kind"),
        [
            ('metric.type = "run.googleapis.com/no_such"', {}, google.NotFound),
            ('resource.type = "cloud_run_revision"', {}, google.InvalidArgument),
            (
                f'metric.type = "{COUNT}" AND metric.labels.x = monitoring.regex.full_match("(")',
                {},
                google.InvalidArgument,
            ),
            (f'metric.type = "{COUNT}" AND metric.labels.x = no_such("a")', {}, google.InvalidArgument),
            (f'metric.type = "{COUNT}', {}, google.InvalidArgument),
            (f'metric.type = "{COUNT}" OR metric.type = "{INSTANCES}"', {}, google.InvalidArgument),
            (f'metric.type = "{COUNT}" AND resource.type = "gce_instance"', {}, google.InvalidArgument),
            (f'metric.type = "{LATENCIES}"', {"per_series_aligner": "ALIGN_MAX"}, google.InvalidArgument),
            (f'metric.type = "{INSTANCES}"', {"per_series_aligner": "ALIGN_RATE"}, google.InvalidArgument),
            (f'metric.type = "{INSTANCES}"', {"cross_series_reducer": "REDUCE_SUM"}, google.InvalidArgument),
        ],
    )
    def test_what_the_real_one_refuses_is_refused(
        self,
        metrics: monitoring_v3.MetricServiceClient,
        filter_text: str,
        aggregation: dict[str, str],
        kind: type[Exception],
    ) -> None:
        wanted = monitoring_v3.Aggregation(alignment_period=timedelta(seconds=60), **aggregation)
        with pytest.raises(kind):
            metrics.list_time_series(asked(filter_text, aggregation=wanted))

    def test_a_period_shorter_than_a_minute_is_refused(self, metrics: monitoring_v3.MetricServiceClient) -> None:
        short = monitoring_v3.Aggregation(alignment_period=timedelta(seconds=10), per_series_aligner="ALIGN_MEAN")
        with pytest.raises(google.InvalidArgument, match="at least 60 s"):
            metrics.list_time_series(asked(f'metric.type = "{INSTANCES}"', aggregation=short))

    def test_descriptors_tell_every_metric_with_its_sampling(self, metrics: monitoring_v3.MetricServiceClient) -> None:
        found = list(
            metrics.list_metric_descriptors(
                monitoring_v3.ListMetricDescriptorsRequest(
                    name="projects/demo", filter='metric.type = starts_with("run.googleapis.com/")'
                )
            )
        )
        assert {described.type for described in found} == {metric.type for metric in METRICS}
        assert found[0].metadata.ingest_delay.seconds == 7


class TestRunAdmin:
    def test_create_get_list_update_delete(self, fresh: tuple[FakeEmulator, grpc.Channel]) -> None:
        fake, channel = fresh
        api = services_of(channel)
        made = api.create_service(parent=PARENT, service=service(max_instance_request_concurrency=7), service_id="ml")
        assert made.result(timeout=10).latest_ready_revision == f"{NAME}/revisions/ml-00001-abc"
        template = fake.service(KEY).template
        assert (template.command, template.cpu, template.memory_bytes, template.concurrency) == (
            ("python", "-m", "app"),
            0.5,
            2**30,
            7,
        )
        found = api.get_service(name=NAME)
        assert found.terminal_condition.state.name == "CONDITION_SUCCEEDED"
        assert [each.name for each in api.list_services(parent=PARENT)] == [NAME]
        found.template.max_instance_request_concurrency = 9
        updated = api.update_service(service=found).result(timeout=10)
        assert updated.latest_ready_revision.endswith("ml-00002-abc")
        assert updated.traffic_statuses[0].revision == "ml-00002-abc"
        api.delete_service(name=NAME).result(timeout=10)
        with pytest.raises(google.NotFound):
            api.get_service(name=NAME)

    def test_sending_back_what_was_read_makes_no_new_revision(self, fresh: tuple[FakeEmulator, grpc.Channel]) -> None:
        _, channel = fresh
        api = services_of(channel)
        made = api.create_service(parent=PARENT, service=service(), service_id="ml").result(timeout=10)
        again = api.update_service(service=made).result(timeout=10)
        assert again.latest_created_revision == made.latest_created_revision

    def test_an_update_mask_changes_only_what_it_names(self, fresh: tuple[FakeEmulator, grpc.Channel]) -> None:
        fake, channel = fresh
        api = services_of(channel)
        api.create_service(parent=PARENT, service=service(), service_id="ml").result(timeout=10)
        asked_for = run_v2.Service(
            name=NAME,
            template=run_v2.RevisionTemplate(max_instance_request_concurrency=3, timeout=timedelta(seconds=9)),
        )
        mask = FieldMask(paths=["template.max_instance_request_concurrency"])
        request = run_v2.UpdateServiceRequest(service=asked_for, update_mask=mask)
        api.update_service(request).result(timeout=10)
        assert (fake.service(KEY).template.concurrency, fake.service(KEY).template.timeout_s) == (3, 300.0)

    def test_a_revision_that_never_starts_fails_the_operation_with_its_own_words(
        self, fresh: tuple[FakeEmulator, grpc.Channel]
    ) -> None:
        fake, channel = fresh
        fake.fail_with = "ModuleNotFoundError: no module named app"
        api = services_of(channel)
        made = api.create_service(parent=PARENT, service=service(), service_id="ml")
        with pytest.raises(google.GoogleAPICallError, match="no module named app"):
            made.result(timeout=10)
        assert api.get_service(name=NAME).terminal_condition.state.name == "CONDITION_FAILED"

    def test_revisions_can_be_listed_and_read(self, fresh: tuple[FakeEmulator, grpc.Channel]) -> None:
        _, channel = fresh
        services_of(channel).create_service(parent=PARENT, service=service(), service_id="ml").result(timeout=10)
        api = run_v2.RevisionsClient(transport=RevisionsGrpcTransport(channel=channel))
        (listed,) = api.list_revisions(parent=NAME)
        assert api.get_revision(name=listed.name).containers[0].image == "img"

    def test_a_cpu_that_the_emulator_chose_is_reported(self, fresh: tuple[FakeEmulator, grpc.Channel]) -> None:
        fake, channel = fresh
        fake.create_service(KEY, RevisionTemplate(cpu=None))
        asyncio.run(fake.settled(KEY, 1))  # the fake chooses 1 vCPU
        found = services_of(channel).get_service(name=NAME)
        assert found.template.containers[0].resources.limits["cpu"] == "1"
        api = run_v2.RevisionsClient(transport=RevisionsGrpcTransport(channel=channel))
        revision = api.get_revision(name=found.latest_ready_revision)
        assert revision.containers[0].resources.limits["cpu"] == "1"

    def test_a_policy_is_remembered(self, fresh: tuple[FakeEmulator, grpc.Channel]) -> None:
        _, channel = fresh
        api = services_of(channel)
        api.create_service(parent=PARENT, service=service(), service_id="ml").result(timeout=10)
        everyone = policy_pb2.Policy(bindings=[policy_pb2.Binding(role="roles/run.invoker", members=["allUsers"])])
        api.set_iam_policy(iam_policy_pb2.SetIamPolicyRequest(resource=NAME, policy=everyone))
        policy = api.get_iam_policy(iam_policy_pb2.GetIamPolicyRequest(resource=NAME))
        assert policy.bindings[0].members == ["allUsers"]

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"volumes": [run_v2.Volume(name="v")]}, "volumes"),
            ({"containers": []}, "exactly 1"),
            ({"containers": [run_v2.Container(resources={"limits": {"cpu": "much"}})]}, "vCPUs"),
        ],
    )
    def test_an_unsupported_field_is_refused_by_name(
        self, fresh: tuple[FakeEmulator, grpc.Channel], changed: dict[str, object], words: str
    ) -> None:
        _, channel = fresh
        wanted = service()
        for name, value in changed.items():
            setattr(wanted.template, name, value)
        with pytest.raises(google.InvalidArgument, match=words):
            services_of(channel).create_service(parent=PARENT, service=wanted, service_id="ml")

    def test_creating_twice_says_already_exists(self, fresh: tuple[FakeEmulator, grpc.Channel]) -> None:
        _, channel = fresh
        api = services_of(channel)
        api.create_service(parent=PARENT, service=service(), service_id="ml").result(timeout=10)
        with pytest.raises(google.AlreadyExists):
            api.create_service(parent=PARENT, service=service(), service_id="ml")


@given(st.text(max_size=200))
def test_no_text_breaks_the_filter_s_reader(text: str) -> None:
    with contextlib.suppress(FilterError):
        assert parse_series_filter(text).metric
