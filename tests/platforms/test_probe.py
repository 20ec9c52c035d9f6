"""The probe before the load says in a sentence what kind of server answers, and contacts no other host."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtest.core.addresses import free_port
from loadtest.core.errors import TargetError
from loadtest.platforms.base import ScenarioNeeds, TargetOptions
from loadtest.platforms.probe import Answer, Found, ask
from loadtest.platforms.url import Url, judged
from tests.conftest import ROOT, Until, counting_server, lt
from tests.platforms.said import Said

CASE = ROOT / "tests" / "cases" / "08-target-probe"


@contextmanager
def server(kind: str, log: Path, until: Until) -> Iterator[int]:
    """Run the case's server of one kind. Its output goes to `log`."""
    port = free_port()
    with log.open("w") as output:
        process = subprocess.Popen([sys.executable, str(CASE / "server.py"), kind, str(port)], stdout=output)
        try:
            until(lambda: _listens(port), "the server")
            yield port
        finally:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("kind", "found", "warned"),
    [
        ("tls", Found.HTTP, "answers, with a certificate that is not trusted here (self-signed certificate)"),
        ("slow", Found.SLOW, "answers, but not to GET / within"),
        ("silent", Found.SILENT, "accepts connections, but closed the connection for GET / without an answer"),
        ("redirect", Found.HTTP, ""),
    ],
)
def test_a_server_that_answers_get_strangely_is_used_with_a_warning(
    kind: str, found: Found, warned: str, tmp_path: Path, until: Until
) -> None:
    with server(kind, tmp_path / "log", until) as port:
        answer = ask(f"{'https' if kind == 'tls' else 'http'}://127.0.0.1:{port}/", timeout_s=1.0)
        assert answer.found is found
        refusal, warnings = judged(answer, speaks_http=True)
        assert refusal == ""
        assert warned in " ".join(warnings) if warned else not warnings
    assert "elsewhere" not in (tmp_path / "log").read_text(), "a redirect leads to a host that nobody named"


def test_a_server_of_another_protocol_is_refused_only_where_the_scenario_speaks_http(
    tmp_path: Path, until: Until
) -> None:
    with server("grpc", tmp_path / "log", until) as port:
        answer = ask(f"http://127.0.0.1:{port}/", timeout_s=1.0)
    assert answer.found is Found.HTTP2
    assert judged(answer, speaks_http=False) == ("", [])
    assert "uses only HTTP/2 (gRPC?)" in judged(answer, speaks_http=True)[0]


def test_nothing_and_the_wrong_scheme_are_refused() -> None:
    nothing = ask(f"http://127.0.0.1:{free_port()}/", timeout_s=1.0)
    assert nothing.found is Found.NOTHING
    assert (
        "nothing answers there (Connection refused). Is the service running?" in judged(nothing, speaks_http=False)[0]
    )
    with socket.create_server(("127.0.0.1", 0)) as plain:
        threading.Thread(target=lambda: plain.accept()[0].sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")).start()
        wrong = ask(f"https://127.0.0.1:{plain.getsockname()[1]}/", timeout_s=2.0)
    assert wrong.found is Found.NO_TLS
    assert "Is it http:// instead?" in judged(wrong, speaks_http=True)[0]
    assert "Is it https:// instead?" in judged(Answer(Found.TLS), speaks_http=True)[0]


def test_unusual_findings_are_reported_before_the_run() -> None:
    said = Said()
    with (
        counting_server() as plain,
        Url().open(TargetOptions(url=plain.url), needs=ScenarioNeeds(), console=said) as target,
    ):
        assert (target.record.url, said.sentences) == (plain.url, [])
    options = TargetOptions(url=f"http://127.0.0.1:{free_port()}")
    with (
        pytest.raises(TargetError, match="nothing answers there"),
        Url().open(options, needs=ScenarioNeeds(), console=said),
    ):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tls", "slow", "silent", "redirect", "grpc"])
def test_the_case_ends_as_it_should(kind: str, tmp_path: Path, until: Until) -> None:
    """Case 08: every kind of server is put under load, except the last kind.

    For the last kind, there is a message and exit code 4.
    """
    with server(kind, tmp_path / "log", until) as port:
        url = f"{'https' if kind == 'tls' else 'http'}://127.0.0.1:{port}"
        plan = (
            "--users",
            "2",
            "--spawn-rate",
            "2",
            "--duration",
            "3s",
            "--workers",
            "1",
            "--runs",
            str(tmp_path / "r"),
        )
        done = lt("run", "-s", str(CASE / "locustfile.py"), "-t", url, *plan)
    assert "Traceback" not in done.err
    assert "elsewhere" not in (tmp_path / "log").read_text()
    if kind == "grpc":
        assert (done.code, "uses only HTTP/2" in " ".join(done.err.split())) == (4, True)
    else:
        assert done.code in (0, 1, 3), done.err
        assert list((tmp_path / "r").glob("*/requests.parquet"))
