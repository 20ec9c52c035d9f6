"""A deploy through Google's own client sets exactly the given settings of a service, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from loadtest.core.errors import CloudError, UsageError
from loadtest.emulator.google_api.policies import Policies
from loadtest.emulator.google_api.rpc import RefusedError
from loadtest.emulator.model import ServiceKey, ServiceStatus
from loadtest.platforms.cloudrun.deploy import Deployed, _wanted, delete, deploy
from loadtest.platforms.cloudrun.describe import describe, resolve
from loadtest.platforms.cloudrun.settings import ServiceSettings
from loadtest.recording.run import Limits
from tests.emulator.fake import FakeEmulator
from tests.emulator.surface_server import grpc_endpoint
from tests.platforms.cloudrun.faulty import serving

KEY = ServiceKey("ml", "demo", "europe-west2")
SETTINGS = ServiceSettings(
    service="ml",
    project="demo",
    region="europe-west2",
    image="img:1",
    concurrency=8,
    cpu=0.5,
    memory_mib=1024,
    min_instances=1,
    max_instances=7,
    timeout_s=60,
    env=(("A", "1,2"),),
    command=("python", "-m", "app"),
)


@pytest.fixture
def fake() -> FakeEmulator:
    return FakeEmulator(clock=datetime(2026, 8, 17, tzinfo=UTC).timestamp)


@pytest.fixture
def endpoint(fake: FakeEmulator) -> Iterator[str]:
    with grpc_endpoint(fake) as address:
        yield address


def find(endpoint: str, service: str = "ml") -> object:
    return resolve(service, project="demo", region="europe-west2", endpoint=endpoint)


def test_the_service_runs_with_the_settings(fake: FakeEmulator, endpoint: str) -> None:
    deployed = deploy(SETTINGS, endpoint=endpoint)
    template = fake.service(KEY).template
    expected = Deployed(url=fake.service(KEY).url, revision="ml-00001-abc", is_new=True, traffic_percent=100)
    assert deployed == expected
    assert (template.image, template.command, template.env) == ("img:1", ("python", "-m", "app"), (("A", "1,2"),))
    assert (template.cpu, template.memory_bytes, template.concurrency) == (0.5, 2**30, 8)
    assert (template.min_instances, template.max_instances, template.timeout_s) == (1, 7, 60.0)
    assert template.cpu_boost


def test_the_same_again_makes_no_new_revision(fake: FakeEmulator, endpoint: str) -> None:
    deploy(SETTINGS, endpoint=endpoint)
    again = deploy(SETTINGS, endpoint=endpoint)
    assert (again.revision, again.is_new) == ("ml-00001-abc", False)
    changed = deploy(dataclasses.replace(SETTINGS, concurrency=9), endpoint=endpoint)
    assert changed.revision == "ml-00002-abc"


def test_settings_that_are_not_given_stay_unchanged(fake: FakeEmulator, endpoint: str) -> None:
    """A new image alone must not remove a service's variables. The gcloud command that is shown keeps them too."""
    deploy(SETTINGS, endpoint=endpoint)
    deploy(dataclasses.replace(SETTINGS, image="img:2", env=(), command=()), endpoint=endpoint)
    template = fake.service(KEY).template
    assert (template.image, template.command, template.env) == ("img:2", ("python", "-m", "app"), (("A", "1,2"),))
    deploy(dataclasses.replace(SETTINGS, env=(("B", "2"),)), endpoint=endpoint)
    assert fake.service(KEY).template.env == (("B", "2"),)


def test_what_is_resolved_is_what_was_deployed(endpoint: str) -> None:
    deployed = deploy(SETTINGS, endpoint=endpoint)
    target = resolve("ml", project="demo", region="europe-west2", endpoint=endpoint)
    assert (target.kind, target.url, target.service) == ("emulator", deployed.url, "ml")
    assert (target.project, target.region, target.revision) == ("demo", "europe-west2", "ml-00001-abc")
    assert target.limits == Limits(
        cpu=0.5,
        memory_mib=1024,
        concurrency=8,
        min_instances=1,
        max_instances=7,
        timeout_s=60,
        cpu_boost=True,
        instance_billing=False,
    )
    assert find(endpoint, deployed.url) == target


def test_no_traffic_leaves_it_with_the_revision_that_has_it(fake: FakeEmulator, endpoint: str) -> None:
    deploy(SETTINGS, endpoint=endpoint)
    later = dataclasses.replace(SETTINGS, concurrency=3, takes_traffic=False, revision_suffix="canary")
    assert deploy(later, endpoint=endpoint).revision == "ml-canary"
    assert fake.service(KEY).traffic == "ml-00001-abc"
    target = resolve("ml", project="demo", region="europe-west2", endpoint=endpoint)
    # the limits of the revision that gets the traffic, not those of the newest one
    assert (target.revision, target.limits.concurrency) == ("ml-00001-abc", 8)


def test_no_traffic_twice_leaves_it_where_it_was(fake: FakeEmulator, endpoint: str) -> None:
    """The revision before the newest one had no traffic either, so it must not get the traffic of the newest one."""
    deploy(SETTINGS, endpoint=endpoint)
    for number, name in enumerate(("second", "third"), start=3):
        later = dataclasses.replace(SETTINGS, concurrency=number, takes_traffic=False, revision_suffix=name)
        deployed = deploy(later, endpoint=endpoint)
        assert (deployed.revision, deployed.traffic_percent) == (f"ml-{name}", 0)
        assert fake.service(KEY).traffic == "ml-00001-abc"
    # Pinned traffic stays pinned until it is moved, as with gcloud.
    assert deploy(dataclasses.replace(SETTINGS, concurrency=9), endpoint=endpoint).traffic_percent == 0


def test_a_canary_and_its_tag_survive_a_deploy() -> None:
    from google.cloud.run_v2 import Service, TrafficTarget, TrafficTargetAllocationType

    latest = TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
    pinned = TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
    shares = [
        TrafficTarget(type_=pinned, revision="ml-1", percent=90),
        TrafficTarget(type_=latest, percent=10, tag="canary"),
    ]
    found = Service(name="s", traffic=shares, latest_ready_revision="services/ml/revisions/ml-2")
    assert _wanted(SETTINGS, found).traffic == shares
    kept = _wanted(dataclasses.replace(SETTINGS, takes_traffic=False), found).traffic
    assert [(binding.revision, binding.percent, binding.tag) for binding in kept] == [
        ("ml-1", 90, ""),
        ("ml-2", 10, "canary"),
    ]


def test_a_new_image_alone_changes_nothing_else() -> None:
    """A service that was tuned by hand keeps its CPU, GPU, billing, protocol, minimum and maximum."""
    from google.cloud.run_v2 import Service

    found = Service(
        name="s",
        template={
            "containers": [
                {
                    "image": "img:1",
                    "ports": [{"name": "h2c", "container_port": 9000}],
                    "resources": {"limits": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"}, "cpu_idle": False},
                }
            ],
            "max_instance_request_concurrency": 7,
            "scaling": {"min_instance_count": 3, "max_instance_count": 50},
        },
    )
    plain = ServiceSettings(service="ml", project="demo", region="europe-west2", image="img:2")
    expected = Service(found)
    expected.template.containers[0].image = "img:2"
    assert _wanted(plain, found).template == expected.template
    port = _wanted(dataclasses.replace(plain, port=8080, cpu=2), found).template.containers[0]
    assert (port.ports[0].name, port.ports[0].container_port) == ("h2c", 8080)
    assert dict(port.resources.limits) == {"cpu": "2", "memory": "16Gi", "nvidia.com/gpu": "1"}


def test_a_service_never_stays_without_a_maximum_unasked(fake: FakeEmulator, endpoint: str) -> None:
    plain = ServiceSettings(service="ml", project="demo", region="europe-west2", image="img:1")
    sent: list[ServiceSettings] = []
    deploy(plain, endpoint=endpoint, on_start=sent.append)
    assert fake.service(KEY).template.max_instances == 20
    assert (sent[0].concurrency, sent[0].cpu, sent[0].max_instances) == (80, 1.0, 20)
    deploy(dataclasses.replace(plain, max_instances=7), endpoint=endpoint)
    deploy(plain, endpoint=endpoint, on_start=sent.append)
    assert fake.service(KEY).template.max_instances == 7
    assert (sent[1].concurrency, sent[1].max_instances) == (None, None)


class LosesAnAnswer(FakeEmulator):
    """Carry out the request, but lose the first answer."""

    lost = False

    def create_service(self, *words: Any, **more: Any) -> ServiceStatus:
        made = super().create_service(*words, **more)
        self._lose()
        return made

    def _lose(self) -> None:
        if not self.lost:
            self.lost = True
            raise RefusedError(grpc.StatusCode.UNAVAILABLE, "the answer was lost")


def test_a_service_that_was_made_though_the_answer_was_lost_is_deployed() -> None:
    """The second try finds the service that the first try created.

    This is not a failure, and it does not create a second revision.
    """
    fake = LosesAnAnswer(clock=datetime(2026, 8, 17, tzinfo=UTC).timestamp)
    with grpc_endpoint(fake) as endpoint:
        assert deploy(SETTINGS, endpoint=endpoint).revision == "ml-00001-abc"
    assert fake.lost
    assert len(fake.service(KEY).revisions) == 1


class Forbids(Policies):
    """A fake of an organisation that allows no `allUsers`."""

    def set(self, key: ServiceKey, policy: Any) -> Any:
        raise RefusedError(
            grpc.StatusCode.FAILED_PRECONDITION, "One or more users do not belong to a permitted customer"
        )


def test_a_deploy_whose_policy_is_refused_is_reported_as_deployed(fake: FakeEmulator) -> None:
    with grpc_endpoint(fake, Forbids()) as endpoint:
        deployed = deploy(dataclasses.replace(SETTINGS, public=True), endpoint=endpoint)
    assert (deployed.revision, deployed.url) == ("ml-00001-abc", fake.service(KEY).url)
    assert "permitted customer" in deployed.not_set
    assert "--no-allow-unauthenticated" in deployed.not_set


def test_closing_a_service_that_asks_no_policy_makes_it_ask() -> None:
    from google.cloud.run_v2 import Service

    found = Service(name="s", invoker_iam_disabled=True)
    assert _wanted(dataclasses.replace(SETTINGS, public=False), found).invoker_iam_disabled is False
    assert _wanted(SETTINGS, found).invoker_iam_disabled is True


def test_a_policy_never_holds_a_binding_without_members(endpoint: str) -> None:
    """IAM refuses such a binding. Other members and their conditions are not changed."""
    from google.iam.v1.iam_policy_pb2 import GetIamPolicyRequest, SetIamPolicyRequest
    from google.iam.v1.policy_pb2 import Binding, Policy

    from loadtest.platforms.cloudrun.clients import Clients

    api = Clients(endpoint).services
    deploy(dataclasses.replace(SETTINGS, public=True), endpoint=endpoint)
    deploy(dataclasses.replace(SETTINGS, public=False), endpoint=endpoint)
    asked = GetIamPolicyRequest(resource=SETTINGS.name)
    assert list(api.get_iam_policy(asked).bindings) == []
    for_a_while = Binding(role="roles/run.invoker", members=["user:b@x.org"])
    for_a_while.condition.expression = "request.time < timestamp('2027-01-01T00:00:00Z')"
    others = [Binding(role="roles/run.invoker", members=["user:a@x.org"]), for_a_while]
    api.set_iam_policy(SetIamPolicyRequest(resource=SETTINGS.name, policy=Policy(bindings=others)))
    deploy(dataclasses.replace(SETTINGS, public=True), endpoint=endpoint)
    bindings = api.get_iam_policy(asked).bindings
    assert [sorted(binding.members) for binding in bindings] == [["user:b@x.org"], ["allUsers", "user:a@x.org"]]


def test_no_traffic_on_a_first_deploy_is_refused(endpoint: str) -> None:
    with pytest.raises(UsageError, match="--no-traffic"):
        deploy(dataclasses.replace(SETTINGS, takes_traffic=False), endpoint=endpoint)


def test_everyone_may_call_it_only_when_asked(endpoint: str) -> None:
    def is_public() -> bool | None:
        return describe("ml", project="demo", region="europe-west2", endpoint=endpoint).public

    deploy(SETTINGS, endpoint=endpoint)
    assert is_public() is False
    deploy(dataclasses.replace(SETTINGS, public=True), endpoint=endpoint)
    assert is_public() is True
    deploy(SETTINGS, endpoint=endpoint)
    assert is_public() is True
    deploy(dataclasses.replace(SETTINGS, public=False), endpoint=endpoint)
    assert is_public() is False


def test_a_revision_that_does_not_start_is_reported_with_its_own_output(fake: FakeEmulator, endpoint: str) -> None:
    fake.fail_with = "ModuleNotFoundError: no module named app"
    with pytest.raises(CloudError, match="no module named app"):
        deploy(SETTINGS, endpoint=endpoint)


def test_deleting_says_whether_there_was_one(endpoint: str) -> None:
    deploy(SETTINGS, endpoint=endpoint)
    assert delete(SETTINGS, endpoint=endpoint) is True
    assert delete(SETTINGS, endpoint=endpoint) is False
    with pytest.raises(CloudError, match="Not found: describing service ml"):
        find(endpoint)


def test_a_url_is_looked_for_on_every_page(fake: FakeEmulator, endpoint: str) -> None:
    deploy(SETTINGS, endpoint=endpoint)
    template = fake.service(KEY).template
    for number in range(1_001):
        fake.create_service(ServiceKey(f"other-{number}", "demo", "europe-west2"), template)
    last = ServiceKey("last", "demo", "europe-west2")
    fake.create_service(last, template)
    assert resolve(fake.service(last).url, project="demo", region="europe-west2", endpoint=endpoint).service == "last"


class Tagged(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc ships no types
    """A fake of Google with one service, whose revision `ml-2` has no traffic but a tag with its own URL."""

    def service(self, details: Any) -> grpc.RpcMethodHandler:
        from google.cloud.run_v2 import ListServicesResponse, Revision, Service

        name = "projects/demo/locations/europe-west2/services/ml"
        container = {"image": "img", "resources": {"limits": {"cpu": "4"}, "cpu_idle": False}}
        service = Service(
            name=name,
            uri="https://ml-x.a.run.app",
            template={"containers": [{"image": "img", "resources": {"limits": {"cpu": "1"}, "cpu_idle": True}}]},
            latest_created_revision=f"{name}/revisions/ml-1",
            latest_ready_revision=f"{name}/revisions/ml-1",
            traffic_statuses=[
                {"revision": "ml-1", "percent": 100},
                {"revision": "ml-2", "tag": "canary", "uri": "https://canary---ml-x.a.run.app"},
            ],
        )
        method = details.method.rpartition("/")[2]
        answers = {
            "ListServices": ListServicesResponse.serialize(ListServicesResponse(services=[service])),
            "GetRevision": Revision.serialize(Revision(name=f"{name}/revisions/ml-2", containers=[container])),
            "GetIamPolicy": b"",
        }
        return grpc.unary_unary_rpc_method_handler(lambda request, context: answers[method])


def test_a_tags_url_is_called_itself_and_its_token_is_for_the_service() -> None:
    """A tag's URL is the way to load a revision that has no traffic yet. Its own limits apply."""
    with serving(Tagged()) as endpoint:
        url = "https://canary---ml-x.a.run.app"
        found = describe(url, project="demo", region="europe-west2", endpoint=endpoint)
    assert (found.target.url, found.target.revision, found.audience) == (url, "ml-2", "https://ml-x.a.run.app")
    assert (found.target.limits.cpu, found.target.limits.instance_billing) == (4.0, True)


def test_a_url_that_no_service_has_is_not_found(endpoint: str) -> None:
    with pytest.raises(CloudError, match="has the URL"):
        find(endpoint, "https://ml-123.europe-west2.run.app")


def test_a_url_tells_its_region_and_a_bare_name_does_not() -> None:
    from loadtest.platforms.cloudrun.clients import Clients
    from loadtest.platforms.cloudrun.describe import place_of

    cloud = Clients()
    url = "https://ml-123.europe-west2.run.app"
    assert place_of(url, project="p", region=None, clients=cloud) == ("p", "europe-west2")
    with pytest.raises(UsageError, match="--region"):
        place_of("ml", project="p", region=None, clients=cloud)
