"""A run stops at once and says why if the service rejects all of the scenario's requests. An option prevents this."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from loadtest.recording.catalogue import find_run
from tests.conftest import lt

DETAIL = [{"type": "missing", "loc": ["body", "age"], "msg": "Field required", "input": {"api_key": "s3cr3t-value"}}]

SCENARIO = """
from locust import FastHttpUser, constant, task
from loadtest import FastUser

class Fast(FastUser):
    wait_time = constant(0.1)

    @task
    def predict(self):
        self.client.post("/predict", json={})

class Stock(FastHttpUser):
    wait_time = constant(0.1)

    @task
    def read(self):
        self.client.get("/items")
"""


class Strict(BaseHTTPRequestHandler):
    """Answer every GET, and reject every POST in the way in which FastAPI rejects one with a missing field."""

    protocol_version = "HTTP/1.1"
    posts = 0

    def do_GET(self) -> None:
        self._answer(200, {})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).posts += 1
        self._answer(422, {"detail": DETAIL})

    def _answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def strict_service() -> Iterator[str]:
    Strict.posts = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Strict) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("goes_on", [False, True], ids=["stops", "--no-check"])
def test_an_endpoint_that_only_fails_stops_the_run_and_its_answer_is_shown(tmp_path: Path, *, goes_on: bool) -> None:
    scenario = tmp_path / "strict.py"
    scenario.write_text(SCENARIO)
    words = ("--users", "4", "--workers", "1", "--duration", "4s" if goes_on else "60s", "--runs", str(tmp_path))
    with strict_service() as url:
        done = lt("run", "-s", str(scenario), "-t", url, *words, *(["--no-check"] if goes_on else []))
    assert done.code == 1
    said, record = " ".join(done.err.split()), find_run(tmp_path, "latest").read_run()
    stopped = "the first 3 answers of POST /predict all failed with HTTP 422"
    if goes_on:
        assert stopped not in said
        assert record.outcome.value == "complete"
        return
    assert f"✗ {stopped}. body.age: Field required" in said
    assert "`--no-check` lets the load continue anyway" in said
    assert "s3cr3t" not in done.err + done.out
    assert any(stopped in reason for reason in record.reasons)
    assert Strict.posts < 200, "two users with about 10 requests/s each, until lt has noticed"
