"""The service as a process: how it starts, what it logs, and how it ends."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from http.client import HTTPResponse
from pathlib import Path

from target_service.schema import EXAMPLES
from tests.target_service.conftest import ROOT, ServiceProcess, wait_for

Start = Callable[..., ServiceProcess]

BODY = json.dumps(EXAMPLES[0]).encode()


def half_a_request(service: ServiceProcess) -> socket.socket:
    """Send a prediction's head and a part of its body, so that the request is in flight until the rest is sent."""
    connection = service.connect()
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(BODY)}\r\n\r\n"
    connection.sendall(head.encode() + BODY[:10])
    return connection


def stats(service: ServiceProcess) -> dict[str, int]:
    counted: dict[str, int] = json.loads(service.request("GET", "/stats")[2])
    return counted


def test_it_answers_from_the_moment_its_port_opens_and_counts_what_it_answers(start: Start) -> None:
    service = start()
    service.wait_until_open()
    statuses = [service.request("POST", "/predict", body)[0] for body in (BODY, BODY, b"{}")]
    assert statuses == [200, 200, 422]
    assert stats(service) == {"requests": 3, "predictions": 2, "in_flight_max": 1}
    assert service.stop()[0] == 0


def test_an_answer_comes_in_one_piece(start: Start) -> None:
    """If head and body were sent separately, they would wake the client twice."""
    service = start()
    service.wait_until_open()
    for _ in range(20):
        connection = half_a_request(service)
        connection.sendall(BODY[10:])
        assert connection.recv(65536).endswith(b"}")
        connection.close()


def test_requests_that_wait_for_each_other_are_in_flight_together(start: Start) -> None:
    service = start()
    service.wait_until_open()
    waiting = [half_a_request(service) for _ in range(5)]
    wait_for(lambda: stats(service)["in_flight_max"] == 5)  # the request to /stats is not counted
    for connection in waiting:
        connection.sendall(BODY[10:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.close()
    assert stats(service) == {"requests": 5, "predictions": 5, "in_flight_max": 5}


def test_sigterm_finishes_the_request_in_flight_takes_no_more_and_exits_with_0(start: Start) -> None:
    service = start()
    service.wait_until_open()
    in_flight = half_a_request(service)
    wait_for(lambda: stats(service)["in_flight_max"] == 1)
    service.process.send_signal(signal.SIGTERM)

    def refuses() -> bool:
        try:
            service.connect().close()
        except OSError:
            return True
        return False

    wait_for(refuses)
    assert service.process.poll() is None
    in_flight.sendall(BODY[10:])
    answer = HTTPResponse(in_flight)
    answer.begin()
    assert answer.status == 200
    assert 0 < json.loads(answer.read())["default_probability"] < 1
    in_flight.close()
    code, out, errors = service.end()
    assert (code, errors) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert all(line["severity"] == "INFO" for line in lines)
    assert not any("httpRequest" in line for line in lines)  # no access log unless it is requested


def test_sigterm_while_it_starts_exits_with_0(start: Start) -> None:
    service = start()
    wait_for(lambda: bound(service.port))
    assert service.stop()[0] == 0


def bound(port: int) -> bool:
    """Whether a process has bound the port, even if nothing listens on it yet."""
    with socket.socket() as mine:
        try:
            mine.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def test_the_access_log_has_a_line_for_each_request_in_cloud_runs_form(start: Start) -> None:
    service = start(ACCESS_LOG="1")
    service.wait_until_open()
    sizes = [len(service.request(*asked)[2]) for asked in (("POST", "/predict", BODY), ("GET", "/nowhere"))]
    service.request("GET", "/stats")
    code, out, _ = service.stop()
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    asked = [line for line in lines if "httpRequest" in line]
    assert [line["message"] for line in asked] == ["POST /predict 200", "GET /nowhere 404"]
    assert [line["severity"] for line in asked] == ["INFO", "WARNING"]
    for line, size in zip(asked, sizes, strict=True):
        request = line["httpRequest"]
        assert request["responseSize"] == str(size)
        assert request["remoteIp"] == "127.0.0.1"
        assert float(request["latency"].removesuffix("s")) > 0
        assert line["time"].endswith("+00:00")


def test_a_busy_port_is_a_sentence_and_exit_code_4(start: Start) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, out, errors = start(PORT=str(port)).end()
        assert (code, out) == (4, "")
        assert f"Port {port}" in errors
        assert "Traceback" not in errors
        verb = [sys.executable, "lt.py", "serve", "--port", str(port)]
        served = subprocess.run(verb, capture_output=True, text=True, check=False, cwd=ROOT)
        assert served.returncode == 4
        assert f"Port {port}" in served.stderr
        assert f"--port {port + 1}" in served.stderr
        assert "Traceback" not in served.stderr


def test_a_missing_model_is_a_sentence_with_the_command_that_makes_it(start: Start, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "target_service", tmp_path / "target_service", ignore=shutil.ignore_patterns("*.cbm"))
    code, _, errors = start(cwd=tmp_path).end()
    assert code == 4
    assert "python -m target_service.train" in errors
    assert "Traceback" not in errors


def test_a_port_that_is_no_number_is_a_sentence(start: Start) -> None:
    code, _, errors = start(PORT="http").end()
    assert code == 4
    assert "PORT=http" in errors
    assert "Traceback" not in errors


def test_the_verb_serves_and_ends_like_the_image(start: Start) -> None:
    service = start(command=("lt.py", "serve", "--port", "{port}"))
    service.wait_until_open()
    assert service.request("POST", "/predict", BODY)[0] == 200
    service.process.send_signal(signal.SIGINT)
    assert service.end()[0] == 0
