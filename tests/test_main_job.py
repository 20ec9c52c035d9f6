"""The main job end to end: real Locust processes, a real server that counts, and a comparison of the rows with its
count.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from loadtest.fleet.fleet import free_port
from loadtest.recording.catalogue import find_run
from loadtest.recording.folder import RunFolder
from tests.conftest import ROOT, Until, counting_server, lt, started


def recorded(runs: Path) -> RunFolder:
    return find_run(runs, "latest")


def slow(*values: object) -> object:
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        slow(str(ROOT / "tests/wild/http_user.py"), ["--users", "6", "--spawn-rate", "6", "--duration", "4s"]),
        slow(str(ROOT / "tests/wild/sequential_fast.py"), ["--users", "6", "--spawn-rate", "6", "--duration", "4s"]),
        slow(str(ROOT / "tests/wild/custom_shape.py"), []),
        ("ramp300", ["--users", "20", "--spawn-rate", "20", "--duration", "4s"]),
        slow("arrival300", ["--users", "20", "--spawn-rate", "20", "--duration", "4s"]),
        slow("tutorial", ["--users", "20", "--spawn-rate", "20", "--duration", "4s"]),
    ],
    ids=lambda value: Path(value).stem if isinstance(value, str) else "",
)
def test_every_request_is_one_row(scenario: str, words: list[str], tmp_path: Path) -> None:
    """A run has as many rows as requests that the server itself has read."""
    with counting_server(delay_ms=[1, 3, 30]) as server:
        done = lt("run", "-s", scenario, "-t", server.url, "--workers", "2", "--runs", str(tmp_path), *words)
        fails = (
            "sequential_fast" in scenario
        )  # it finds half of its answers wrong: more than the implied objective allows
        assert done.code == (1 if fails else 0), done.err
        assert len(recorded(tmp_path).read_rows(["start"])) == server.count() > 30


SHAPELESS = """
from locust import FastHttpUser, between, task


class Visitor(FastHttpUser):
    wait_time = between(0.5, 1.5)

    @task
    def visit(self):
        self.client.get("/hit")
"""


def test_a_ramp_that_is_cut_short_ends_without_a_burst_and_without_a_loss(tmp_path: Path) -> None:
    """Locust's master continues to start users while the workers stop theirs.

    No user may be replaced during that time.
    """
    scenario = tmp_path / "shapeless.py"
    scenario.write_text(SHAPELESS)
    plan = ("--users", "100", "--spawn-rate", "10", "--duration", "5s", "--workers", "1", "--runs", str(tmp_path))
    with counting_server() as server:
        done = lt("run", "-s", str(scenario), "-t", server.url, *plan)
        assert done.code == 0, done.err
        folder = recorded(tmp_path)
        rows = folder.read_rows(["start"])
        assert len(rows) == server.count()
    (worker,) = folder.read_run().workers
    assert worker.rows_sent == worker.rows_received == len(rows)
    # About 40 users that wait 1 s between two requests send 40 requests a second, which are 4 in a tenth of a second.
    # In addition, 10 new users start once a second.
    last_100_ms = (rows.start > rows.start.max() - pd.Timedelta("100ms")).sum()
    assert last_100_ms < 25


@pytest.mark.parametrize("target", ["local", slow("emulator")])
def test_a_company_proxy_is_not_used_for_this_machine_itself(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On many machines, the environment names a proxy without exceptions.

    The proxy here never answers. The load does not use the proxy either.
    """
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound but not listening, so it refuses connections
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        plan = ("--users", "5", "--spawn-rate", "5", "--duration", "3s")
        done = lt("run", "-s", "ramp300", "-t", target, *plan, "--runs", str(tmp_path))
    assert done.code == 0, done.err
    assert set(recorded(tmp_path).read_rows(["outcome"]).outcome) == {"ok"}


@pytest.mark.slow
def test_a_failed_check_and_an_error_status_are_told_apart(tmp_path: Path) -> None:
    """A status of 400 or more is http_error. An answer that the scenario rejects is check_failed."""
    scenario = str(ROOT / "tests/wild/sequential_fast.py")
    words = ["--users", "4", "--spawn-rate", "4", "--duration", "3s"]
    with counting_server(status=503, every=5) as server:
        lt("run", "-s", scenario, "-t", server.url, "--workers", "1", "--runs", str(tmp_path), *words)
    rows = recorded(tmp_path).read_rows()
    assert set(rows[rows.status == 503].outcome) == {"http_error"}
    bought = rows[(rows.status == 200) & (rows.name == "/predict")]
    assert set(bought.outcome) == {"check_failed"}
    assert set(bought.error) == {"CatchResponseError('too low')"} or set(bought.error) == {"too low"}


def test_a_scenario_runs_with_locust_alone() -> None:
    """`locust -f scenarios/ramp300.py` works without the recorder, and its options override the plan."""
    with counting_server() as server:
        words = ["-f", "scenarios/ramp300.py", "--headless", "--host", server.url, "-u", "5", "-r", "5", "-t", "3s"]
        done = subprocess.run(
            [sys.executable, "-m", "locust", *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert 5 <= server.count() <= 25  # 5 users send at most one request/s each for 3 s, plus the rounding of ticks
    assert "/predict" in done.stderr + done.stdout


def test_ctrl_c_keeps_and_reports_the_recorded_rows(tmp_path: Path, until: Until) -> None:
    """One Ctrl-C ends the run early. The exit code is 130 and the outcome is interrupted. Every request is still a row,
    and no process is left.
    """
    with counting_server() as server:
        words = ["-t", server.url, "--users", "10", "--spawn-rate", "10", "--duration", "60s", "--runs", str(tmp_path)]
        with started("run", "-s", "ramp300", *words) as process:
            until(lambda: server.count() > 20, "load to flow")
            os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=60)
        folder = recorded(tmp_path)
        assert process.returncode == 130, err
        assert folder.read_run().outcome.value == "interrupted"
        assert len(folder.read_rows(["start"])) == server.count()
        assert str(folder.path) in out


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["run", "-s", "nosuch"], 2, "there is no such scenario or file. Bundled:"),
        (["run", "-s", "ramp300", "-t", "http://127.0.0.1:9"], 4, "nothing answers there"),
        (["run", "-s", "ramp300", "-t", "ftp://x"], 2, "give local, emulator, cloud, or a URL"),
        (["run", "-s", "ramp300", "--workers", "0"], 2, "must be at least 1"),
        (["run", "-s", "ramp300", "--users", "0"], 2, "must be at least 1"),
        (["run", "-s", "ramp300", "--duration", "soon"], 2, "give a duration such as 90s"),
        (["run", "-s", "ramp300", "-t", "http://example.com"], 2, "is on another machine"),
        (["report", "nosuch"], 2, "No run is recorded"),
    ],
)
def test_an_invalid_option_gets_a_sentence_with_a_cure(
    words: list[str], code: int, sentence: str, tmp_path: Path
) -> None:
    """Invalid input gets the documented exit code and one sentence. There is no traceback, and nothing is written."""
    done = lt(*words, "--runs", str(tmp_path / "runs"))
    assert (done.code, "Traceback" in done.err) == (code, False), done.err
    assert sentence in " ".join(done.err.split())
    assert not (tmp_path / "runs").exists()


def test_an_unwritable_runs_folder_is_reported_before_load_is_sent(tmp_path: Path) -> None:
    """A file is in the place of the runs folder: the exit code is 4, and the server received no prediction."""
    (tmp_path / "runs").write_text("in the way")
    with counting_server() as server:
        done = lt("run", "-s", "ramp300", "-t", server.url, "--duration", "3s", "--runs", str(tmp_path / "runs"))
        assert done.code == 4
        assert "--runs DIR" in done.err
        assert server.count() == 0


def test_a_locustfile_that_cannot_be_imported_is_reported_with_file_and_line(tmp_path: Path) -> None:
    """The sentence contains the error, the file and the line."""
    (tmp_path / "broken.py").write_text("from locust import User\n\nraise ValueError('half done')\n")
    done = lt("run", "-s", str(tmp_path / "broken.py"), "--runs", str(tmp_path / "runs"))
    assert done.code == 2
    assert "ValueError: half done" in done.err
    assert "line 3" in done.err


def test_help_imports_neither_locust_nor_catboost() -> None:
    """`lt.py --help` and `lt.py report --help` import only light modules."""
    for words in (["--help"], ["report", "--help"], ["run", "--help"]):
        code = (
            f"import sys, runpy; sys.argv = ['lt.py', *{words!r}]\n"
            "try: runpy.run_path('lt.py', run_name='__main__')\n"
            "except SystemExit: pass\n"
            "heavy = {'locust', 'gevent', 'catboost', 'grpc', 'pandas', 'pyarrow', 'numpy', 'fastapi'}\n"
            "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_locusts_own_page_runs_besides_the_recording(tmp_path: Path, until: Until) -> None:
    """`--ui PORT` serves Locust's web page at the printed address.

    The run ends by itself, and its requests are recorded as always.
    """
    port = free_port()
    plan = ["--users", "5", "--spawn-rate", "5", "--duration", "5s", "--workers", "1", "--runs", str(tmp_path)]
    with counting_server() as server:
        with started("run", "-s", "ramp300", "-t", server.url, "--ui", str(port), *plan) as process:
            assert process.stderr is not None
            printed = (re.search(rf"http://127\.0\.0\.1:{port}\S*", line) for line in process.stderr)
            address = next(found for found in printed if found)[0]
            page = until(lambda: page_at(address), "Locust's page")
            _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "locust" in str(page).lower()
        assert len(recorded(tmp_path).read_rows(["start"])) == server.count() > 0


@pytest.mark.parametrize("option", ["--ui", "--port"])
def test_a_busy_port_is_reported_with_a_cure(option: str, tmp_path: Path) -> None:
    """Another process uses the port: the exit code is 4, the option is named, nothing is recorded, no load is sent."""
    with counting_server() as server:
        port = server.url.rsplit(":", 1)[1]
        done = lt("run", "-s", "ramp300", "-t", server.url, option, port, "--duration", "3s", "--runs", str(tmp_path))
        assert done.code == 4
        assert f"`{option} {port}`: cannot listen there" in done.err
        assert "Choose another port" in done.err
        assert list(tmp_path.iterdir()) == []
        assert server.count() == 0


def test_an_address_of_another_machine_is_reported_before_anything_is_recorded(tmp_path: Path) -> None:
    with counting_server() as server:
        words = ("-s", "ramp300", "-t", server.url, "--duration", "3s", "--runs", str(tmp_path))
        done = lt("run", *words, "--bind", "203.0.113.1")
        assert done.code == 4
        assert "`--bind 203.0.113.1`: this machine has no such address" in done.err
        assert list(tmp_path.iterdir()) == []


def page_at(url: str) -> str | None:
    """Return the page that an address serves to a browser that keeps cookies; None if nothing is served."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    try:
        with browser.open(url, timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return None
