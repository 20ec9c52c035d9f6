"""The doctor marks what is risky, and gives a command for everything that is not good."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cloudrun.calls import Patience
from cloudrun.checks import Asked, Check, Mark, check_limits, check_payload, check_service
from cloudrun.describe import Described
from recording.run import Limits, TargetRecord
from tests.cloudrun.faulty import faulty_endpoint

grpc = pytest.importorskip("grpc")


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
