"""Every field of a deploy is applied, stored and shown again, or else refused by name.

Every gcloud flag has a class.
"""

from __future__ import annotations

import asyncio
import copy
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.cloud import run_v2
from google.protobuf import json_format
from starlette.applications import Starlette

from loadtest.emulator.google_api.fields import FIELDS, FieldError, Use, check, find
from loadtest.emulator.google_api.knative import routes
from loadtest.emulator.google_api.messages import service_message
from loadtest.emulator.google_api.policies import Policies
from loadtest.emulator.model import ServiceKey
from loadtest.platforms.cloudrun.clients import Clients
from tests.emulator.fake import FakeEmulator
from tests.emulator.surface_server import grpc_endpoint

FLAGS = json.loads((Path(__file__).parent / "gcloud_flags.json").read_text())
COMPLETIONS = Path("/usr/lib/google-cloud-sdk/data/cli")
BASE = "/apis/serving.knative.dev/v1/namespaces/demo/services"
KEY = ServiceKey("ml", "demo", "europe-west2")
Change = tuple[str, Any]

_S, _T = "metadata annotations run.googleapis.com/", "spec template metadata annotations run.googleapis.com/"
_K, _C = "spec template metadata annotations autoscaling.knative.dev/", "spec template spec containers 0 "
_VOLUME = {"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}
_PROBE = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 20}

HONOURED: dict[str, Change] = {
    "--args": (_C + "args", ["-m", "app"]),
    "--command": (_C + "command", ["python"]),
    "--concurrency": ("spec template spec containerConcurrency", 7),
    "--cpu": (_C + "resources limits cpu", "2000m"),
    "--cpu-boost": (_T + "startup-cpu-boost", "False"),
    "--env-vars-file": (_C + "env", [{"name": "A", "value": "1"}]),
    "--image": (_C + "image", "img:2"),
    "--labels": ("metadata labels", {"team": "ml"}),
    "--max": (_S + "maxScale", "3"),
    "--max-instances": (_K + "maxScale", "4"),
    "--memory": (_C + "resources limits memory", "1Gi"),
    "--min": (_S + "minScale", "1"),
    "--min-instances": (_K + "minScale", "2"),
    "--no-traffic": ("spec traffic", [{"percent": 100, "latestRevision": True}]),
    "--port": (_C + "ports", [{"containerPort": 9000}]),
    "--revision-suffix": ("spec template metadata name", "ml-new"),
    "--scaling": (_S + "manualInstanceCount", "2"),
    "--startup-probe": (_C + "startupProbe", {"tcpSocket": {"port": 8080}, "timeoutSeconds": 5}),
    "--timeout": ("spec template spec timeoutSeconds", 30),
    "--to-latest": ("spec traffic", [{"percent": 100, "latestRevision": True}]),
    "--to-revisions": ("spec traffic", [{"percent": 100, "latestRevision": True}]),
}
HONOURED |= dict.fromkeys(["--set-env-vars", "--update-env-vars"], HONOURED["--env-vars-file"])
HONOURED |= {"--update-labels": HONOURED["--labels"]}

KEPT: dict[str, Change] = {
    "--base-image": (_T + "base-images", '{"":"python311"}'),
    "--binary-authorization": (_S + "binary-authorization", "default"),
    "--breakglass": (_S + "binary-authorization-breakglass", "because"),
    "--cpu-throttling": (_T + "cpu-throttling", "false"),
    "--description": (_S + "description", "predicts"),
    "--encryption-key-shutdown-hours": (_T + "encryption-key-shutdown-hours", "4"),
    "--execution-environment": (_T + "execution-environment", "gen2"),
    "--ingress": (_S + "ingress", "internal"),
    "--invoker-iam-check": (_S + "invoker-iam-disabled", "true"),
    "--key": (_T + "encryption-key", "projects/p/locations/l/keyRings/r/cryptoKeys/k"),
    "--liveness-probe": (_C + "livenessProbe", _PROBE),
    "--network": (_T + "network-interfaces", '[{"network":"default","tags":["t"]}]'),
    "--post-key-revocation-action-type": (_T + "post-key-revocation-action-type", "shut-down"),
    "--service-account": ("spec template spec serviceAccountName", "sa@p.iam.gserviceaccount.com"),
    "--vpc-connector": (_T + "vpc-access-connector", "c"),
    "--vpc-egress": (_T + "vpc-access-egress", "all-traffic"),
    "--add-custom-audiences": (_S + "custom-audiences", '["https://a"]'),
    "--automatic-updates": (_S + "build-enable-automatic-updates", "true"),
    "--build-service-account": (_S + "build-service-account", "sa"),
    "--build-worker-pool": (_S + "build-worker-pool", "w"),
    "--function": (_S + "build-function-target", "f"),
}
KEPT |= dict.fromkeys(["--network-tags", "--subnet"], KEPT["--network"])
KEPT |= {"--set-custom-audiences": KEPT["--add-custom-audiences"]}
KEPT |= dict.fromkeys(
    ["--build-env-vars-file", "--set-build-env-vars", "--update-build-env-vars"],
    (_S + "build-environment-variables", '{"A":"1"}'),
)

REFUSED: dict[str, Change] = {
    "--add-volume": ("spec template spec volumes", [_VOLUME]),
    "--add-volume-mount": (_C + "volumeMounts", [{"name": "v", "mountPath": "/v"}]),
    "--add-cloudsql-instances": (_T + "cloudsql-instances", "p:r:i"),
    "--default-url": (_S + "default-url-disabled", "true"),
    "--depends-on": (_T + "container-dependencies", '{"a":["b"]}'),
    "--deploy-health-check": (_T + "health-check-disabled", "true"),
    "--gpu": (_C + "resources limits nvidia.com/gpu", "1"),
    "--gpu-type": ("spec template spec nodeSelector", {"run.googleapis.com/accelerator": "nvidia-l4"}),
    "--gpu-zonal-redundancy": (_T + "gpu-zonal-redundancy-disabled", "true"),
    "--iap": (_S + "iap-enabled", "true"),
    "--mesh": (_T + "mesh", "projects/p/locations/global/meshes/m"),
    "--readiness-probe": (_C + "readinessProbe", {"httpGet": {"path": "/ready"}}),
    "--regions": (_S + "regions", "a,b"),
    "--session-affinity": (_T + "sessionAffinity", "true"),
    "--set-secrets": (_C + "env", [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "latest"}}}]),
    "--source": (_T + "sources", '{"":"gs://b/o"}'),
    "--tag": ("spec traffic", [{"percent": 100, "latestRevision": True, "tag": "blue"}]),
    "--use-http2": (_C + "ports", [{"name": "h2c", "containerPort": 8080}]),
    "--container": ("spec template spec containers", [{"image": "a"}, {"image": "b"}]),
}
REFUSED |= {
    "--set-cloudsql-instances": REFUSED["--add-cloudsql-instances"],
    "--update-secrets": REFUSED["--set-secrets"],
}
REFUSED |= dict.fromkeys(["--set-tags", "--update-tags", "--to-tags"], REFUSED["--tag"])

OF_GCLOUD = {
    *("--async", "--region", "--namespace", "--allow-unencrypted-build", "--delegate-builds"),
    "--allow-unauthenticated",  # setIamPolicy, which the emulator stores
}
"""Flags that are not in the service's document, because gcloud handles them itself. `--clear-` and `--remove-` flags
are among them: gcloud reads the document, removes the field, and sends the document again."""


def service() -> dict[str, Any]:
    container = {"image": "img", "resources": {"limits": {"cpu": "1", "memory": "512Mi"}}}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "ml", "annotations": {}, "labels": {}},
        "spec": {"template": {"metadata": {"annotations": {}}, "spec": {"containers": [container]}}},
    }


def changed(*changes: Change) -> dict[str, Any]:
    """Return the service with some fields set. Spaces separate the names of a path."""
    document = copy.deepcopy(service())
    for path, value in changes:
        *way, last = path.split()
        place: Any = document
        for step in way:
            place = place[int(step)] if step.isdecimal() else place.setdefault(step, {})
        place[last] = value
    return document


def value_at(document: Any, path: str) -> Any:
    for step in path.split():
        document = document[int(step)] if step.isdecimal() else document.get(step)
    return document


@pytest.fixture
def fake() -> FakeEmulator:
    return FakeEmulator(clock=datetime(2026, 8, 17, tzinfo=UTC).timestamp)


@pytest.fixture
def ask(fake: FakeEmulator) -> Callable[..., httpx.Response]:
    transport = httpx.ASGITransport(app=Starlette(routes=routes(fake)))

    def send(method: str, path: str, body: object = None) -> httpx.Response:
        async def once() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url="http://europe-west2-run.local") as client:
                answer = await client.request(method, path, json=body)
            for status in fake.services():
                await fake.settled(status.key, status.generation)
            return answer

        return asyncio.run(once())

    return send


@pytest.mark.parametrize("command", FLAGS["commands"])
def test_every_flag_of_gcloud_has_its_class(command: str) -> None:
    known = {*HONOURED, *KEPT, *REFUSED, *OF_GCLOUD}
    flags = {flag for flag in FLAGS["commands"][command] if not flag.startswith(("--clear-", "--remove-"))}
    assert flags <= known, sorted(flags - known)
    assert len(known) == len(HONOURED) + len(KEPT) + len(REFUSED) + len(OF_GCLOUD)  # each flag is in one class


@pytest.mark.skipif(not COMPLETIONS.exists(), reason="gcloud is not installed here")
def test_the_installed_gcloud_has_no_other_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(COMPLETIONS))
    sys.modules.pop("gcloud_completions", None)
    import gcloud_completions  # type: ignore[import-not-found]

    for command, flags in FLAGS["commands"].items():
        node = gcloud_completions.STATIC_COMPLETION_CLI_TREE
        for word in command.split():
            node = node["commands"][word]
        assert set(node["flags"]) <= set(flags), f"{command}: list what is new, and give it a class"


@pytest.mark.parametrize("flag", sorted({**HONOURED, **KEPT}))
def test_what_is_honoured_or_kept_is_shown_again(flag: str, ask: Callable[..., httpx.Response]) -> None:
    path, value = {**HONOURED, **KEPT}[flag]
    sent = changed((path, value), *([(_S + "scalingMode", "manual")] if flag == "--scaling" else []))
    answer = ask("POST", BASE, sent)
    assert answer.status_code == 200, answer.text
    found = value_at(ask("GET", f"{BASE}/ml").json(), path)
    if isinstance(value, dict):
        assert value.items() <= found.items() or found.get("tcpSocket") is not None
    elif isinstance(value, list) and isinstance(value[0], dict):
        assert value[0].items() <= found[0].items()
    else:
        assert str(found).lower() == str(value).replace("2000m", "2").lower()


@pytest.mark.parametrize("flag", sorted(REFUSED))
def test_what_is_refused_is_named(flag: str, ask: Callable[..., httpx.Response], fake: FakeEmulator) -> None:
    answer = ask("POST", BASE, changed(REFUSED[flag]))
    assert answer.status_code == 400, answer.text
    message = answer.json()["error"]["message"]
    words = [word for word in REFUSED[flag][0].replace("/", ".").split() if not word.isdecimal()]
    assert words[-1] in message or words[-1].rpartition(".")[2] in message
    assert fake.services() == []


def test_numbers_of_instances_are_followed_wherever_they_stand(
    ask: Callable[..., httpx.Response], fake: FakeEmulator
) -> None:
    def deployed(*changes: Change) -> tuple[int, int]:
        if fake.services():
            fake.delete_service(KEY)
        assert ask("POST", BASE, changed(*changes)).status_code == 200
        template = fake.service(KEY).template
        return template.min_instances, template.max_instances

    assert deployed((_S + "minScale", "2"), (_K + "minScale", "1"), (_S + "maxScale", "5")) == (2, 5)
    assert deployed((_S + "maxScale", "9"), (_K + "maxScale", "4")) == (0, 4)
    assert deployed((_S + "scalingMode", "manual"), (_S + "manualInstanceCount", "3")) == (3, 3)


@pytest.mark.parametrize(("text", "boost"), [("True", True), ("true", True), ("False", False), ("false", False)])
def test_the_boost_is_read_as_gcloud_writes_it(
    text: str, boost: bool, ask: Callable[..., httpx.Response], fake: FakeEmulator
) -> None:
    assert ask("POST", BASE, changed((_T + "startup-cpu-boost", text))).status_code == 200
    assert fake.service(KEY).template.cpu_boost is boost


def test_scaling_targets_are_followed(ask: Callable[..., httpx.Response], fake: FakeEmulator) -> None:
    sent = changed((_T + "scaling-cpu-target", "0.8"), (_T + "scaling-concurrency-target", "45"))
    assert ask("POST", BASE, sent).status_code == 200
    template = fake.service(KEY).template
    assert (template.cpu_target_ratio, template.concurrency_target_ratio) == (0.8, 0.45)
    refused = ask("POST", BASE, changed((_T + "scaling-cpu-target", "2%")))
    assert (refused.status_code, "0.10 to 0.95" in refused.text) == (400, True)


def test_an_unknown_field_is_refused_by_its_name(ask: Callable[..., httpx.Response]) -> None:
    for path in (_T + "teleport", "spec template spec containers 0 teleport", _K + "teleport", "spec teleport"):
        answer = ask("POST", BASE, changed((path, "true")))
        assert (answer.status_code, "teleport" in answer.text) == (400, True), path
    assert ask("POST", BASE, changed(("metadata annotations example.com/note", "mine"))).status_code == 200


def test_every_field_of_run_v2_has_its_class() -> None:
    """The table contains each field of Google's own message, in this version of its client."""
    unknown = [path for path in paths_of(run_v2.Service.pb(run_v2.Service()).DESCRIPTOR) if find(path, "v2") is None]
    assert unknown == []


def paths_of(descriptor: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for field in descriptor.fields:
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        repeated = field.is_repeated if hasattr(field, "is_repeated") else field.label == 3
        here = (*path, field.json_name, *(["key"] if is_map else ["[]"] if repeated else []))
        if (
            field.message_type is not None
            and not is_map
            and not field.message_type.full_name.startswith("google.proto")
        ):
            found += paths_of(field.message_type, here)
        else:
            found.append(here[:-1] if here[-1] == "[]" and field.message_type is None else here)
    return found


def test_what_one_form_kept_the_other_shows_and_does_not_lose(
    ask: Callable[..., httpx.Response], fake: FakeEmulator
) -> None:
    said = [KEPT[flag] for flag in ("--service-account", "--cpu-throttling", "--liveness-probe", "--description")]
    only_v1 = [KEPT["--vpc-connector"], KEPT["--ingress"]]
    assert ask("POST", BASE, changed(*said, *only_v1)).status_code == 200
    policies = Policies()
    with grpc_endpoint(fake, policies) as endpoint:
        client = Clients(endpoint).services
        found = client.get_service(name="projects/demo/locations/europe-west2/services/ml")
        (container,) = found.template.containers
        assert found.template.service_account == "sa@p.iam.gserviceaccount.com"
        assert (container.resources.cpu_idle, container.liveness_probe.http_get.path) == (False, "/healthz")
        assert found.description == "predicts"
        found.template.max_instance_request_concurrency = 3
        client.update_service(service=found).result(timeout=20)
    shown = ask("GET", f"{BASE}/ml").json()
    assert value_at(shown, "spec template spec containerConcurrency") == 3
    for path, value in (*said, *only_v1):
        found_value = value_at(shown, path)
        assert found_value == value or value.items() <= found_value.items()


def test_run_v2_refuses_by_name_and_keeps_the_rest(fake: FakeEmulator) -> None:
    container = run_v2.Container(image="img", resources=run_v2.ResourceRequirements(limits={"cpu": "1"}))
    made = run_v2.Service(template=run_v2.RevisionTemplate(containers=[container], session_affinity=True))
    with pytest.raises(FieldError, match=r"template\.sessionAffinity: the local Cloud Run has no session affinity"):
        check(json_format.MessageToDict(run_v2.Service.pb(made)), "v2")
    made.template.session_affinity = False
    made.ingress = run_v2.IngressTraffic.INGRESS_TRAFFIC_INTERNAL_ONLY
    with grpc_endpoint(fake) as endpoint:
        client = Clients(endpoint).services
        parent = "projects/demo/locations/europe-west2"
        client.create_service(parent=parent, service=made, service_id="ml").result(timeout=20)
    shown = service_message(fake.service(KEY))
    assert shown.ingress == run_v2.IngressTraffic.INGRESS_TRAFFIC_INTERNAL_ONLY
    assert shown.template.containers[0].resources.cpu_idle is False  # an absent cpu_idle means False


def test_no_field_is_in_two_classes() -> None:
    for form in ("v1", "v2"):
        paths = [field.path(form) for field in FIELDS if field.path(form)]  # type: ignore[arg-type]
        assert len(paths) == len(set(paths))
    assert {field.use for field in FIELDS} == set(Use)
