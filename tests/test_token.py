"""In a run against a private service, every request contains the token, and no file ever contains it."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from loadtest.fleet.fleet import free_port
from loadtest.platforms.cloudrun.tokens import IdTokens, TokenServer
from loadtest.recording.catalogue import find_run
from tests.conftest import ROOT, counting_server, lt, started


def token_lasting(seconds: float) -> str:
    """Return a JWT that expires after this many seconds."""
    payload = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + seconds}).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.c2lnbmVk"


class Metadata(BaseHTTPRequestHandler):
    """A fake of Google's metadata server that only returns ID tokens."""

    token = token_lasting(3600)

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        known = path == "/computeMetadata/v1/instance/service-accounts/default/identity"
        asked = known and self.headers["Metadata-Flavor"] == "Google" and query == "audience=https%3A%2F%2Fx.run.app"
        self.send_response(200 if asked else 403)
        self.end_headers()
        self.wfile.write(self.token.encode() if asked else b"")

    def log_message(self, *words: object) -> None:
        del words


@pytest.mark.slow
def test_a_worker_on_googles_machines_gets_a_token_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The master has no token to give.

    The worker's machine names the service, and its metadata server returns the token.
    """
    metadata = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=metadata.serve_forever, daemon=True).start()
    port = free_port()
    plan = ["--users", "4", "--spawn-rate", "4", "--duration", "3s", "--runs", str(tmp_path)]
    apart = ["--expect-workers", "1", "--port", str(port)]
    with counting_server(bearer=Metadata.token) as server:
        with started("run", "-s", "ramp300", "-t", server.url, *plan, *apart) as master:
            monkeypatch.setenv("LT_TOKEN_AUDIENCE", "https://x.run.app")
            monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{metadata.server_port}")
            with started("worker", "--master", f"127.0.0.1:{port}", "--processes", "1"):
                _, said = master.communicate(timeout=60)
        metadata.shutdown()
        metadata.server_close()
        rows = find_run(tmp_path, "latest").read_rows(["status"])
        assert (set(rows.status), len(rows) > 5) == ({200}, True), said


ELSEWHERE = """
from locust import FastHttpUser, HttpUser, constant_throughput, task


class Fast(FastHttpUser):
    wait_time = constant_throughput(2)

    @task
    def both(self):
        self.client.get("/own")
        self.client.get("{other}/others")


class Plain(HttpUser):
    wait_time = constant_throughput(2)

    @task
    def both(self):
        self.client.get("/own")
        self.client.get("{other}/others")
"""


@pytest.mark.slow
def test_another_host_that_a_scenario_calls_never_sees_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this test, the other server asks for the token too. Every one of its answers must be a refusal."""
    token = token_lasting(3600)
    tokens = IdTokens("https://x.run.app", fetch=lambda audience: token)
    plan = ["--users", "4", "--spawn-rate", "4", "--duration", "3s", "--runs", str(tmp_path), "--workers", "1"]
    with TokenServer(tokens) as served, counting_server(bearer=token) as own, counting_server(bearer=token) as other:
        scenario = tmp_path / "elsewhere.py"
        scenario.write_text(ELSEWHERE.replace("{other}", other.url))
        for name, value in served.environment.items():
            monkeypatch.setenv(name, value)
        lt("run", "-s", str(scenario), "-t", own.url, *plan)
    rows = find_run(tmp_path, "latest").read_rows(["name", "status"])
    assert set(rows[rows.name == "/own"].status) == {200}
    others = rows[rows.name.str.endswith("/others")].status
    assert (set(others), len(others) > 5) == ({401}, True)


EVERY_CLIENT = """
from locust import FastHttpUser, HttpUser, constant_throughput, task

from loadtest.users.fast_user import FastUser


class Ours(FastUser):
    wait_time = constant_throughput(2)

    @task
    def ours(self):
        self.client.get("/ours")


class Fast(FastHttpUser):
    wait_time = constant_throughput(2)

    @task
    def fast(self):
        self.client.get("/fast")


class Plain(HttpUser):
    wait_time = constant_throughput(2)

    @task
    def plain(self):
        self.client.get("/plain")
"""


def test_each_of_two_private_services_gets_its_own_token_and_never_the_other_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each server refuses requests without its own token. With three kinds of clients, no request is refused."""
    (tmp_path / "clients.py").write_text(EVERY_CLIENT, encoding="utf-8")
    tokens = [token_lasting(3600 + more) for more in (1, 2)]
    with ExitStack() as stack:
        servers = [stack.enter_context(counting_server(bearer=token)) for token in tokens]
        for mark, token in zip("AB", tokens, strict=True):
            of_side = IdTokens(f"https://{mark}.run.app", fetch=lambda audience, token=token: token)  # type: ignore[misc]
            served = stack.enter_context(TokenServer(of_side))
            monkeypatch.setenv(f"LT_TOKEN_SOCKET_{mark}", str(served.path))
        plan = ["--users", "12", "--spawn-rate", "12", "--duration", "4s", "--runs", str(tmp_path), "--workers", "1"]
        done = lt("ab", *(server.url for server in servers), "-s", str(tmp_path / "clients.py"), *plan)
    folder = find_run(tmp_path, "latest")
    rows = folder.read_rows(["name", "side", "status"])
    assert set(rows.status) == {200}, done.err
    assert {*zip(rows.name, rows.side, strict=True)} == {
        (name, side) for name in ("/ours", "/fast", "/plain") for side in "ab"
    }
    kept = b"".join(file.read_bytes() for file in folder.path.iterdir() if file.is_file())
    assert not any(token.encode() in kept for token in tokens)


@pytest.mark.parametrize(
    "scenario",
    [
        "ramp300",
        pytest.param("tests/wild/http_user.py", marks=pytest.mark.slow),
        pytest.param("tests/wild/sequential_fast.py", marks=pytest.mark.slow),
    ],
)
def test_every_request_carries_the_token_and_no_file_does(
    scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clients are our FastUser, and Locust's HttpUser and FastHttpUser.

    The server refuses requests without a token.
    """
    token = token_lasting(3600)
    tokens = IdTokens("https://x.run.app", fetch=lambda audience: token)
    plan = ["--users", "4", "--spawn-rate", "4", "--duration", "3s", "--runs", str(tmp_path), "--workers", "1"]
    with TokenServer(tokens) as served, counting_server(bearer=token) as server:
        for name, value in served.environment.items():
            monkeypatch.setenv(name, value)
        path = str(ROOT / scenario) if "/" in scenario else scenario
        lt("run", "-s", path, "-t", server.url, *plan)
    folder = find_run(tmp_path, "latest")
    rows = folder.read_rows(["status", "outcome"])
    assert len(rows) > 5
    assert set(rows.status) == {200}
    for base, _, names in os.walk(folder.path):
        for name in names:
            assert token.encode() not in (Path(base) / name).read_bytes(), name
