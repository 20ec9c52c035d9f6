"""The doctor marks what is risky, and gives a command for everything that is not good."""

from __future__ import annotations

import dataclasses
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.iam.v1 import iam_policy_pb2

from cloudrun.calls import Patience
from cloudrun.checks import Asked, Check, Mark, check_limits, check_payload, check_permissions, check_service
from cloudrun.clients import Clients
from cloudrun.describe import Described
from recording.run import Limits, TargetRecord
from tests.cloudrun.faulty import faulty_endpoint, serving


def described(limits: Limits, *, probe: str = "http") -> Described:
    target = TargetRecord(
        kind="cloud", url="https://x", service="ml", project="demo", region="europe-west2", limits=limits
    )
    return Described(target=target, public=True, probe=probe, ready=True, message="")


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
    assert check.cure.startswith("python lt.py deploy --service ml --project demo --region europe-west2")
    assert check.cure.endswith(cure)


def test_a_tcp_probe_is_told_apart() -> None:
    check = marks(Limits(), probe="tcp")["startup probe"]
    assert check.mark is Mark.RISKY
    assert "--startup-probe" in check.cure


def test_what_google_refuses_ends_the_doctor_with_the_command_that_grants_it() -> None:
    with faulty_endpoint(grpc.StatusCode.PERMISSION_DENIED) as (_, endpoint):
        asked = Asked(service="ml", project="demo", region="r", endpoint=endpoint, run_s=60, path="/", payload={})
        *_, last = check_service(asked, patience=Patience(attempt_s=1, retry_s=1))
    assert (last.mark, last.name) == (Mark.BAD, "Cloud Run API")
    assert last.cure.startswith("gcloud projects add-iam-policy-binding demo")


class Holding(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc ships no types
    """Google, as far as it says which of the permissions asked for the caller holds."""

    def __init__(self, *lacks: str) -> None:
        self.lacks = lacks

    def service(self, details: Any) -> grpc.RpcMethodHandler:
        assert details.method == "/google.cloud.run.v2.Services/TestIamPermissions"
        kinds = iam_policy_pb2.TestIamPermissionsRequest, iam_policy_pb2.TestIamPermissionsResponse
        return grpc.unary_unary_rpc_method_handler(self.answer, kinds[0].FromString, kinds[1].SerializeToString)

    def answer(self, request: Any, context: grpc.ServicerContext) -> Any:
        held = [one for one in request.permissions if one not in self.lacks]
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
        check = check_permissions(found, Clients(endpoint), patience=Patience(attempt_s=5, retry_s=5))
    assert check.mark is mark
    assert (lacks in check.finding) or mark is Mark.GOOD
    assert check.cure.endswith(f"--role={role}" if role else "")
    assert check.cure.startswith("gcloud run services add-iam-policy-binding ml --project demo" if role else "")


def test_a_machine_without_credentials_is_told_so_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    asked = Asked(service="ml", project="demo", region="r", endpoint=None, run_s=60, path="/", payload={})
    (only,) = check_service(asked)
    assert (only.mark, only.name, only.cure) == (Mark.BAD, "credentials", "gcloud auth application-default login")


class Refusing(BaseHTTPRequestHandler):
    """A service that answers 403 to who brings no token, and 422 to everyone else."""

    def do_POST(self) -> None:
        self.send_response(422 if self.headers["Authorization"] == "Bearer good" else 403)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        del words


def test_a_payload_that_is_refused_is_bad_and_says_what_to_try() -> None:
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/predict"
    try:
        private, wrong = check_payload(url, {}, None), check_payload(url, {}, "good")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert (private.mark, "run.invoker" in private.cure) == (Mark.BAD, True)
    assert (wrong.mark, wrong.finding[:12]) == (Mark.BAD, "answered 422")
    assert wrong.cure.startswith(f"curl -i -X POST {url}")
    gone = check_payload(url, {}, None)
    assert (gone.mark, gone.finding[:9]) == (Mark.BAD, "no answer")


def test_a_token_never_reaches_a_finding() -> None:
    check = check_payload("http://127.0.0.1:1/", {}, "secret-token")
    assert "secret-token" not in f"{check.finding} {check.cure}"
