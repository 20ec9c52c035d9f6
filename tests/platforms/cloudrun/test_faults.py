"""However Google fails, a call ends within a time limit, and its error says what to do."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from loadtest.core.cloud_metrics import INSTANCE_COUNT
from loadtest.core.console import LogConsole
from loadtest.core.errors import CloudError, UsageError
from loadtest.emulator.model import Point, Series, ServiceKey
from loadtest.platforms.cloudrun.calls import RetryPolicy
from loadtest.platforms.cloudrun.deploy import deploy
from loadtest.platforms.cloudrun.describe import resolve
from loadtest.platforms.cloudrun.platform import fetch_into
from loadtest.platforms.cloudrun.settings import ServiceSettings
from loadtest.recording.folder import RunFolder
from loadtest.recording.run import Outcome, Run, ScenarioRecord, TargetRecord
from tests.emulator.fake import FakeEmulator
from tests.emulator.surface_server import grpc_endpoint
from tests.platforms.cloudrun.faulty import faulty_endpoint

IMPATIENT = RetryPolicy(attempt_s=0.5, retry_s=0.6)
START = datetime(2026, 8, 17, 10, 0, tzinfo=UTC)
TARGET = TargetRecord(kind="cloud", url="https://ml.run.app", service="ml", project="demo", region="europe-west2")
SETTINGS = ServiceSettings(service="ml", project="demo", region="europe-west2", image="img")

CURES = [
    (grpc.StatusCode.UNAVAILABLE, "", "status.cloud.google.com"),
    (grpc.StatusCode.RESOURCE_EXHAUSTED, "", "quotas?project=demo"),
    (grpc.StatusCode.PERMISSION_DENIED, "", "gcloud projects add-iam-policy-binding demo"),
    (grpc.StatusCode.PERMISSION_DENIED, "SERVICE_DISABLED", "gcloud services enable"),
    (grpc.StatusCode.NOT_FOUND, "", "gcloud "),
    (grpc.StatusCode.UNAUTHENTICATED, "", "gcloud auth application-default login"),
    (grpc.StatusCode.DEADLINE_EXCEEDED, "", "did not answer within 0.5 s"),
    (grpc.StatusCode.INTERNAL, "", "INTERNAL: injected"),
    (None, "", "did not answer within 0.5 s"),
]


END = START + timedelta(minutes=2)

BOUND_S = 10.0
"""Time limit of a call with IMPATIENT. Google's clients alone would try for 60 to 90 s."""


@contextmanager
def failing(code: grpc.StatusCode | None, reason: str, cure: str) -> Iterator[str]:
    """Yield an endpoint that fails in this way. The block must end in time, with an error that says what to do."""
    with faulty_endpoint(code, reason=reason) as (_, endpoint):
        begun = time.monotonic()
        with pytest.raises(CloudError) as caught:
            yield endpoint
        assert time.monotonic() - begun < BOUND_S
    assert cure in str(caught.value)
    assert "demo" in str(caught.value)


@pytest.mark.parametrize(("code", "reason", "cure"), CURES)
def test_a_run_whose_metrics_fail_is_kept_and_gets_them_later(
    code: grpc.StatusCode | None, reason: str, cure: str, tmp_path: Path
) -> None:
    run = Run(
        id="20260817T100000Z-steady-cloud",
        scenario=ScenarioRecord(name="steady"),
        target=TARGET,
        start=START,
        end=END,
        outcome=Outcome.COMPLETE,
    )
    folder = RunFolder.create(tmp_path, run)
    folder.seal()
    with failing(code, reason, cure) as endpoint:
        fetch_into(folder, run, endpoint=endpoint, console=LogConsole(), retry_policy=IMPATIENT)
    assert (folder.read_metrics(), folder.ensure_sealed().outcome) == (None, Outcome.COMPLETE)

    points = tuple(Point((at := START.timestamp() + 60 * minute), at, 2) for minute in (1, 2))
    recorded = Series(INSTANCE_COUNT, ServiceKey("ml", "demo", "europe-west2"), "ml-1", (("state", "active"),), points)
    with grpc_endpoint(FakeEmulator(clock=START.timestamp, recorded=[recorded])) as endpoint:
        fetch_into(folder, run, endpoint=endpoint, console=LogConsole())
    stored = folder.read_metrics()
    assert stored is not None
    assert list(stored.value) == [2, 2]


@pytest.mark.parametrize(("code", "reason", "cure"), CURES)
def test_resolving_a_service_ends_with_the_cure(code: grpc.StatusCode | None, reason: str, cure: str) -> None:
    with failing(code, reason, cure) as endpoint:
        resolve("ml", project="demo", region="europe-west2", endpoint=endpoint, retry_policy=IMPATIENT)


@pytest.mark.parametrize(("code", "reason", "cure"), CURES)
def test_deploying_ends_with_the_cure(code: grpc.StatusCode | None, reason: str, cure: str) -> None:
    with failing(code, reason, cure) as endpoint:
        deploy(SETTINGS, endpoint=endpoint, retry_policy=IMPATIENT)


def test_the_role_that_is_missing_is_the_one_that_is_named() -> None:
    denied = grpc.StatusCode.PERMISSION_DENIED
    lacking = {"reason": "IAM_PERMISSION_DENIED", "permission": "iam.serviceaccounts.actAs"}
    with faulty_endpoint(denied, **lacking) as (_, endpoint), pytest.raises(CloudError) as caught:
        deploy(SETTINGS, endpoint=endpoint, retry_policy=IMPATIENT)
    assert "--role=roles/iam.serviceAccountUser" in str(caught.value)
    with faulty_endpoint(denied) as (_, endpoint), pytest.raises(CloudError) as caught:
        deploy(SETTINGS, endpoint=endpoint, retry_policy=IMPATIENT)
    assert "--role=roles/run.developer" in str(caught.value)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_what_passes_is_tried_again(code: grpc.StatusCode) -> None:
    with faulty_endpoint(code) as (faulty, endpoint), pytest.raises(CloudError):
        resolve("ml", project="demo", region="r", endpoint=endpoint, retry_policy=RetryPolicy(attempt_s=5, retry_s=1.5))
    assert faulty.calls > 1


@pytest.mark.parametrize("code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED])
def test_what_does_not_pass_is_tried_once(code: grpc.StatusCode) -> None:
    with faulty_endpoint(code) as (faulty, endpoint), pytest.raises(CloudError):
        resolve("ml", project="demo", region="r", endpoint=endpoint, retry_policy=IMPATIENT)
    assert faulty.calls == 1


def test_a_port_without_listener_is_reported_at_once_with_the_command_that_starts_one() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # bound but not listening, so it refuses connections
        endpoint = f"127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(CloudError, match=r"nothing listens there .*`python lt\.py emulate`"):
            resolve("ml", project="demo", region="r", endpoint=endpoint)


@pytest.mark.parametrize("endpoint", ["run.googleapis.com:443", "127.0.0.1", "10.0.0.1:80", "localhost:0"])
def test_an_endpoint_is_on_loopback_with_a_port(endpoint: str) -> None:
    with pytest.raises(UsageError, match="--endpoint"):
        resolve("ml", project="demo", region="r", endpoint=endpoint)


class Revoked(BaseHTTPRequestHandler):
    """A fake of Google's token renewal for a login that has ended."""

    def do_POST(self) -> None:
        self.send_response(400)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"error": "invalid_grant", "error_description": "Token has been expired or revoked."}')

    def log_message(self, *words: object) -> None:
        del words


def account(path: Path, port: int) -> Path:
    """Write the key of a service account whose tokens are renewed at a port of this machine."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    told = {
        "type": "service_account",
        "project_id": "demo",
        "client_email": "lt@demo.iam.gserviceaccount.com",
        "private_key": pem,
        "token_uri": f"http://127.0.0.1:{port}/token",
    }
    path.write_text(json.dumps(told))
    return path


def test_an_expired_login_is_reported_at_once_and_not_as_a_network_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC reports it as UNAVAILABLE, which would be retried for a minute."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Revoked)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    key = account(tmp_path / "key.json", server.server_port)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    with pytest.raises(CloudError, match=r"no longer accepts .* run `gcloud auth application-default login`.*revoked"):
        resolve("ml", project="demo", region="europe-west2")
    server.shutdown()
    server.server_close()
    with pytest.raises(CloudError, match="Google could not be reached to renew"):
        resolve("ml", project="demo", region="europe-west2")


def test_without_credentials_the_message_asks_to_log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(CloudError, match="gcloud auth application-default login"):
        resolve("ml", project="demo", region="europe-west2")
