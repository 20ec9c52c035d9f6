"""The Knative REST form: the requests that gcloud sends and the answers that it reads, without gcloud."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from loadtest.emulator.google_api.knative import routes
from loadtest.emulator.model import ServiceKey
from tests.emulator.fake import FakeEmulator

BASE = "/apis/serving.knative.dev/v1/namespaces/demo"
HOST = "europe-west2-run.local"
KEY = ServiceKey("ml", "demo", "europe-west2")
SERVICE: dict[str, Any] = {
    "apiVersion": "serving.knative.dev/v1",
    "kind": "Service",
    "metadata": {"name": "ml", "annotations": {"run.googleapis.com/client-name": "gcloud"}},
    "spec": {
        "template": {
            "metadata": {
                "annotations": {"autoscaling.knative.dev/maxScale": "5", "autoscaling.knative.dev/minScale": "1"}
            },
            "spec": {
                "containerConcurrency": 8,
                "timeoutSeconds": 60,
                "containers": [
                    {
                        "image": "img",
                        "command": ["python"],
                        "args": ["-m", "app"],
                        "env": [{"name": "A", "value": "1"}],
                        "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}},
                        "startupProbe": {"httpGet": {"path": "/up"}, "periodSeconds": 3},
                    }
                ],
            },
        }
    },
}
Ask = Callable[..., httpx.Response]


@pytest.fixture
def fake() -> FakeEmulator:
    return FakeEmulator(clock=datetime(2026, 8, 17, tzinfo=UTC).timestamp)


@pytest.fixture
def ask(fake: FakeEmulator) -> Ask:
    transport = httpx.ASGITransport(app=Starlette(routes=routes(fake)))

    def send(method: str, path: str, body: object = None, *, host: str = HOST) -> httpx.Response:
        async def once() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
                answer = await client.request(method, path, **{"content" if isinstance(body, bytes) else "json": body})
            for status in fake.services():
                await fake.settled(status.key, status.generation)
            return answer

        return asyncio.run(once())

    return send


def changed(path: str, value: object) -> dict[str, Any]:
    """Return the service with one field changed. `a.b.0.c` is the path of the field."""
    form = copy.deepcopy(SERVICE)
    *way, last = path.split(".")
    place: Any = form
    for step in way:
        place = place[int(step)] if step.isdecimal() else place.setdefault(step, {})
    place[last] = value
    return form


def test_a_service_is_made_from_the_form(fake: FakeEmulator, ask: Ask) -> None:
    assert ask("POST", f"{BASE}/services", SERVICE).status_code == 200
    template = fake.service(KEY).template
    assert (template.command, template.args, template.env) == (("python",), ("-m", "app"), (("A", "1"),))
    assert (template.cpu, template.memory_bytes, template.concurrency) == (0.5, 256 * 2**20, 8)
    assert (template.min_instances, template.max_instances, template.timeout_s) == (1, 5, 60)
    assert (template.startup_probe.kind, template.startup_probe.path) == ("http", "/up")
    assert template.cpu_boost  # CPU boost is on unless the annotation turns it off


def test_what_is_read_and_sent_back_is_the_same_revision(ask: Ask) -> None:
    ask("POST", f"{BASE}/services", SERVICE)
    first = ask("GET", f"{BASE}/services/ml").json()
    ask("PUT", f"{BASE}/services/ml", first)
    again = ask("GET", f"{BASE}/services/ml").json()
    assert again["spec"] == first["spec"]
    assert again["status"]["latestReadyRevisionName"] == first["status"]["latestReadyRevisionName"]
    assert {each["status"] for each in again["status"]["conditions"]} == {"True"}


def test_a_changed_template_is_a_new_revision_that_serves(ask: Ask) -> None:
    ask("POST", f"{BASE}/services", SERVICE)
    ask("PUT", f"{BASE}/services/ml", changed("spec.template.spec.containerConcurrency", 4))
    shown = ask("GET", f"{BASE}/services/ml").json()
    assert shown["spec"]["template"]["spec"]["containerConcurrency"] == 4
    assert shown["status"]["traffic"][0]["revisionName"] == "ml-00002-abc"
    listed = ask("GET", f"{BASE}/revisions?labelSelector=serving.knative.dev%2Fservice+%3D+ml").json()
    assert [each["metadata"]["name"] for each in listed["items"]] == ["ml-00002-abc", "ml-00001-abc"]
    revision = ask("GET", f"{BASE}/revisions/ml-00001-abc").json()
    assert revision["spec"]["containerConcurrency"] == 8


def test_the_region_is_what_stands_before_the_host(ask: Ask) -> None:
    ask("POST", f"{BASE}/services", SERVICE)
    assert ask("GET", f"{BASE}/services/ml", host="us-central1-run.local").status_code == 404
    assert ask("GET", f"{BASE}/services", host="us-central1-run.local").json()["items"] == []
    everywhere = ask("GET", "/v1/projects/demo/locations/-/services").json()
    assert [each["metadata"]["name"] for each in everywhere["items"]] == ["ml"]


def test_a_deleted_service_is_gone_with_its_policy(ask: Ask) -> None:
    ask("POST", f"{BASE}/services", SERVICE)
    policy = {"policy": {"bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]}}
    by_location = "/v1/projects/demo/locations/europe-west2/services/ml"
    assert ask("POST", f"{by_location}:setIamPolicy", policy).status_code == 200
    assert ask("GET", f"{by_location}:getIamPolicy").json()["bindings"] == policy["policy"]["bindings"]
    assert ask("DELETE", f"{BASE}/services/ml").json()["status"] == "Success"
    assert ask("GET", f"{BASE}/services/ml").json()["error"]["status"] == "NOT_FOUND"
    ask("POST", f"{BASE}/services", SERVICE)
    assert "bindings" not in ask("GET", f"{by_location}:getIamPolicy").json()


def test_a_revision_that_fails_says_why(fake: FakeEmulator, ask: Ask) -> None:
    fake.fail_with = "no model file"
    ask("POST", f"{BASE}/services", SERVICE)
    ready = ask("GET", f"{BASE}/services/ml").json()["status"]["conditions"][0]
    assert (ready["type"], ready["status"], ready["message"]) == ("Ready", "False", "no model file")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("spec.template.spec.containers", [], "spec.template.spec.containers"),
        ("spec.template.spec.containers.0.resources.limits.cpu", "much", "vCPUs"),
        ("spec.template.spec.containers.0.resources.limits.memory", "0", "memory"),
        ("spec.template.spec.containers.0.env.0.valueFrom", {"secretKeyRef": {}}, "valueFrom"),
        ("spec.template.metadata.annotations.x", 1, "annotations.x"),
        ("spec.traffic", [{"percent": 50, "revisionName": "a"}, {"percent": 50, "latestRevision": True}], "split"),
        ("metadata.name", None, "metadata.name"),
        ("kind", "Configuration", "kind"),
    ],
)
def test_an_unsupported_field_is_refused_by_name(ask: Ask, path: str, value: object, words: str) -> None:
    answer = ask("POST", f"{BASE}/services", changed(path, value))
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert words in answer.json()["error"]["message"]


def test_making_it_twice_is_a_conflict(ask: Ask) -> None:
    ask("POST", f"{BASE}/services", SERVICE)
    assert ask("POST", f"{BASE}/services", SERVICE).status_code == 409


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b'{"policy":' * 2000, b"\xff"])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "services"), ("PUT", "services/ml"), ("POST", "services/ml:setIamPolicy")]
)
def test_a_body_that_is_no_json_is_refused_however_deep_it_is_nested(
    ask: Ask, method: str, path: str, body: bytes
) -> None:
    ask("POST", f"{BASE}/services", SERVICE)
    answer = ask(method, f"{BASE}/{path}", body)
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("body", ["text", {"policy": {"bindings": 3}}])
def test_a_policy_that_is_none_is_refused(ask: Ask, body: object) -> None:
    ask("POST", f"{BASE}/services", SERVICE)
    answer = ask("POST", f"{BASE}/services/ml:setIamPolicy", body)
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
