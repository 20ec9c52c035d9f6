"""A deploy makes the service what its settings say, through Google's own client, and only that."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from cloudrun.deploy import delete, deploy
from cloudrun.describe import describe, resolve
from cloudrun.settings import ServiceSettings
from emulator.api import ServiceKey
from recording.errors import CloudError, UsageError
from recording.run import Limits
from tests.emulator.fake import FakeEmulator
from tests.emulator.surface_server import grpc_endpoint

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
    assert deployed == type(deployed)(url=fake.service(KEY).url, revision="ml-00001-abc", is_new=True)
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


def test_what_is_not_spoken_of_stays_as_it_is(fake: FakeEmulator, endpoint: str) -> None:
    """A new image alone must not take a service's variables away: gcloud, whose command is shown, keeps them too."""
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
        cpu=0.5, memory_mib=1024, concurrency=8, min_instances=1, max_instances=7, timeout_s=60, cpu_boost=True
    )
    assert find(endpoint, deployed.url) == target


def test_no_traffic_leaves_it_with_the_revision_that_has_it(fake: FakeEmulator, endpoint: str) -> None:
    deploy(SETTINGS, endpoint=endpoint)
    later = dataclasses.replace(SETTINGS, concurrency=3, takes_traffic=False, revision_suffix="canary")
    assert deploy(later, endpoint=endpoint).revision == "ml-canary"
    assert fake.service(KEY).traffic == "ml-00001-abc"
    target = resolve("ml", project="demo", region="europe-west2", endpoint=endpoint)
    # limits of the revision that gets the traffic, not of the newest one
    assert (target.revision, target.limits.concurrency) == ("ml-00001-abc", 8)


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


def test_a_revision_that_does_not_start_is_told_with_its_own_words(fake: FakeEmulator, endpoint: str) -> None:
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


def test_a_url_that_no_service_has_is_not_found(endpoint: str) -> None:
    with pytest.raises(CloudError, match="has the URL"):
        find(endpoint, "https://ml-123.europe-west2.run.app")


def test_a_url_tells_its_region_and_a_bare_name_does_not() -> None:
    from cloudrun.clients import Clients
    from cloudrun.describe import place_of

    cloud = Clients()
    url = "https://ml-123.europe-west2.run.app"
    assert place_of(url, project="p", region=None, clients=cloud) == ("p", "europe-west2")
    with pytest.raises(UsageError, match="--region"):
        place_of("ml", project="p", region=None, clients=cloud)
