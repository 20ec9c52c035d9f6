"""The doctor marks risky settings, and shows a command for everything that needs a fix."""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import grpc
import pytest
from google.iam.v1 import iam_policy_pb2

from loadtest.platforms.cloudrun.calls import RetryPolicy
from loadtest.platforms.cloudrun.checks import (
    Check,
    Mark,
    ServiceCheckRequest,
    _round_trip,
    check_answers,
    check_limits,
    check_permissions,
    check_service,
)
from loadtest.platforms.cloudrun.clients import Clients
from loadtest.platforms.cloudrun.cost import Load, estimate
from loadtest.platforms.cloudrun.describe import Described
from loadtest.recording.run import Limits, TargetRecord
from tests.platforms.cloudrun.faulty import faulty_endpoint, serving


def described(limits: Limits, *, probe: str = "http") -> Described:
    target = TargetRecord(
        kind="cloud", url="https://x", service="ml", project="demo", region="europe-west2", limits=limits
    )
    return Described(target=target, public=True, probe=probe, ready=True, message="", audience="https://x")


def marks(limits: Limits, *, probe: str = "http") -> dict[str, Check]:
    return {check.name: check for check in check_limits(limits, described(limits, probe=probe))}


def test_a_careful_service_is_all_good() -> None:
    careful = Limits(cpu=1, concurrency=8, min_instances=1, max_instances=20, cpu_boost=True)
    assert {check.mark for check in marks(careful).values()} == {Mark.GOOD}


@pytest.mark.parametrize(
    ("limits", "name", "cure"),
    [
        (Limits(min_instances=0), "min instances", "--min-instances 1"),
        (Limits(max_instances=None), "max instances", "--max-instances 20"),
        (Limits(cpu=1, concurrency=80), "concurrency", "--concurrency 8"),
        (Limits(cpu=4, concurrency=200), "concurrency", "--concurrency 32"),
        (Limits(cpu_boost=False), "CPU boost", "--cpu-boost"),
    ],
)
def test_each_risky_limit_has_a_sentence_and_a_command(limits: Limits, name: str, cure: str) -> None:
    check = marks(limits)[name]
    assert check.mark is Mark.RISKY
    # gcloud's update changes only this setting; our own deploy would need an image
    assert check.cure == f"gcloud run services update ml --project demo --region europe-west2 {cure}"


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(instance_billing=True), "billed for instances"),
        (Limits(gpu="1"), "GPUs (1 per instance)"),
        (Limits(manual_instances=3), "3 instances are set by hand"),
    ],
)
def test_services_that_our_prices_do_not_cover_are_reported(limits: Limits, said: str) -> None:
    assert said in marks(limits)["price"].finding
    assert any(said in text for text in estimate(Load(plan=[], duration_s=60), limits).assumptions)


def test_a_tcp_probe_is_told_apart() -> None:
    check = marks(Limits(), probe="tcp")["startup probe"]
    assert check.mark is Mark.RISKY
    assert "--startup-probe" in check.cure


def test_what_google_refuses_ends_the_doctor_with_the_command_that_grants_it() -> None:
    with faulty_endpoint(grpc.StatusCode.PERMISSION_DENIED) as (_, endpoint):
        asked = ServiceCheckRequest(
            service="ml", project="demo", region="r", endpoint=endpoint, run_s=60, path="/", payload={}
        )
        *_, last = check_service(asked, retry_policy=RetryPolicy(attempt_s=1, retry_s=1))
    assert (last.mark, last.name) == (Mark.BAD, "Cloud Run API")
    assert last.cure.startswith("gcloud projects add-iam-policy-binding demo")


class Holding(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc ships no types
    """A fake of Google that says which of the requested permissions the caller has."""

    def __init__(self, *lacks: str) -> None:
        self.lacks = lacks

    def service(self, details: Any) -> grpc.RpcMethodHandler:
        assert details.method == "/google.cloud.run.v2.Services/TestIamPermissions"
        kinds = iam_policy_pb2.TestIamPermissionsRequest, iam_policy_pb2.TestIamPermissionsResponse
        return grpc.unary_unary_rpc_method_handler(self.answer, kinds[0].FromString, kinds[1].SerializeToString)

    def answer(self, request: Any, context: grpc.ServicerContext) -> Any:
        held = [permission for permission in request.permissions if permission not in self.lacks]
        return iam_policy_pb2.TestIamPermissionsResponse(permissions=held)


@pytest.mark.parametrize(
    ("lacks", "public", "mark", "role"),
    [
        ("", False, Mark.GOOD, ""),
        ("run.routes.invoke", False, Mark.BAD, "roles/run.invoker"),
        ("run.routes.invoke", True, Mark.GOOD, ""),
        ("run.services.getIamPolicy", False, Mark.RISKY, "roles/run.viewer"),
    ],
)
def test_a_permission_that_a_run_needs_and_lacks_is_named(lacks: str, public: bool, mark: Mark, role: str) -> None:
    with serving(Holding(lacks)) as endpoint:
        found = dataclasses.replace(described(Limits()), public=public)
        check = check_permissions(found, Clients(endpoint), retry_policy=RetryPolicy(attempt_s=5, retry_s=5))
    assert check.mark is mark
    assert (lacks in check.finding) or mark is Mark.GOOD
    assert check.cure.endswith(f"--role={role}" if role else "")
    assert check.cure.startswith("gcloud run services add-iam-policy-binding ml --project demo" if role else "")


def test_missing_credentials_are_reported_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    asked = ServiceCheckRequest(service="ml", project="demo", region="r", endpoint=None, run_s=60, path="/", payload={})
    (only,) = check_service(asked)
    assert (only.mark, only.name, only.cure) == (Mark.BAD, "credentials", "gcloud auth application-default login")


class Answering(BaseHTTPRequestHandler):
    """A service that answers `status`, or 403 without a token if it needs one, and reports its server time."""

    protocol_version = "HTTP/1.1"
    status, wants, server_timing = 200, "", "predict;dur=0.4"
    seen: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        token = self.headers["Authorization"]
        self.seen.append(token)
        self.send_response(403 if self.wants and token != f"Bearer {self.wants}" else self.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        if self.server_timing:
            self.send_header("Server-Timing", self.server_timing)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        del words


@contextmanager
def answering(**how: object) -> Iterator[tuple[str, list[str | None]]]:
    kind = type("Handler", (Answering,), {**how, "seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/predict", kind.seen  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()


def answers(url: str, token: str | None = None) -> dict[str, Check]:
    return {check.name: check for check in check_answers(url, {}, token, cure="let me in")}


def test_a_payload_that_is_refused_is_bad_and_says_what_to_try() -> None:
    with answering(wants="good", status=422) as (url, _):
        private, wrong = answers(url)["payload"], answers(url, "good")["payload"]
    assert (private.mark, private.cure) == (Mark.BAD, "let me in")
    assert (wrong.mark, wrong.finding[:12]) == (Mark.BAD, "answered 422")
    assert wrong.cure.startswith(f"curl -i -X POST {url}")
    gone = answers(url)["payload"]
    assert (gone.mark, gone.finding[:9]) == (Mark.BAD, "no answer")


def test_a_redirect_is_reported_and_not_followed_with_the_token() -> None:
    with answering(status=307) as (url, seen):
        (payload,) = answers(url, "good").values()
    assert (payload.mark, payload.finding[:12]) == (Mark.BAD, "answered 307")
    assert seen == ["Bearer good"]


def test_the_distance_is_the_latency_minus_the_services_own_time() -> None:
    with answering() as (url, seen):
        found = answers(url)
    assert {check.mark for check in found.values()} == {Mark.GOOD}
    assert "is close" in found["round trip"].finding
    assert len(seen) == 4
    assert _round_trip(130.0, reports_time=True).mark is Mark.RISKY
    assert "at most 130 ms" in _round_trip(130.0, reports_time=False).finding


def test_a_server_that_does_not_use_http_gives_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            client, _ = server.accept()
            client.recv(65_536)
            client.sendall(b"SSH-2.0-what\r\n")
            client.close()

        threading.Thread(target=answer, daemon=True).start()
        (payload,) = answers(f"http://127.0.0.1:{server.getsockname()[1]}/").values()
    assert (payload.mark, payload.finding[:9]) == (Mark.BAD, "no answer")


def test_a_token_never_reaches_a_finding() -> None:
    (check,) = answers("http://127.0.0.1:1/", "secret-token").values()
    assert "secret-token" not in f"{check.finding} {check.cure}"
