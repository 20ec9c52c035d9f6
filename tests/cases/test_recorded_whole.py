"""Every request is recorded, and every error of the scenario's code is reported, whatever the scenario and its target
do.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cases.harness import CASES, lt_run
from tests.misbehaving import Misbehaving

SHORT = ("--users", "2", "--spawn-rate", "2", "--duration", "3s", "--workers", "1")


@contextmanager
def case_server(folder: Path) -> Iterator[str]:
    """Run a case's own server, and yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, str(folder / "server.py"), str(port)]) as process:
        give_up_s = time.monotonic() + 20
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < give_up_s
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
        process.kill()


def test_a_listener_that_starts_the_task_over_costs_no_row(tmp_path: Path) -> None:
    """01: the rows equal the server's count, the failures are included, and the run does not pass."""
    (folder,) = CASES.glob("01-*")
    with case_server(folder) as url:
        ran = lt_run("-s", "locustfile.py", "-t", url, *SHORT, runs=tmp_path, cwd=folder)
        with urllib.request.urlopen(f"{url}/_counts") as answer:
            counts = json.load(answer)
    rows = ran.rows("name", "outcome", "status")
    assert dict(rows.groupby("name", observed=True).size()) == {
        name: number for name, number in counts.items() if number
    }
    failed = rows[rows.outcome == "http_error"]
    assert set(failed.name) == {"/bad-order"}
    assert set(failed.status) == {500}
    assert ran.done.code == 1, ran.said


def test_errors_of_a_task_are_reported(tmp_path: Path) -> None:
    """07: every KeyError is counted, with file and line, and the run does not pass."""
    (folder,) = CASES.glob("07-*")
    with case_server(folder) as url:
        ran = lt_run("-s", "locustfile.py", "-t", url, *SHORT, runs=tmp_path, cwd=folder)
    (error,) = ran.run.task_errors
    assert (error.where, error.exception, error.task) == ("task", "KeyError", "apply")
    assert error.count == len(ran.rows()) > 0
    assert "locustfile.py" in error.traceback
    assert ran.done.code == 1, ran.said


@pytest.mark.slow
@pytest.mark.parametrize("user", ["locust:HttpUser", "locust:FastHttpUser", "loadtest:FastUser"])
@pytest.mark.parametrize(
    "path",
    [
        "/hang",
        "/reset",
        *(pytest.param(p, marks=pytest.mark.long) for p in ("/hang-after/5", "/half", "/close", "/garbage", "/status/503")),
    ],
)
def test_begun_is_rows_whatever_the_target_does(user: str, path: str, tmp_path: Path) -> None:
    """Each request that the server read is one row. Requests that hang are `unanswered` and fail the run."""
    module, name = user.split(":")
    scenario = tmp_path / "locustfile.py"
    scenario.write_text(
        f"from locust import constant_pacing, task\nfrom {module} import {name}\n\n\n"
        f"class Caller({name}):\n    wait_time = constant_pacing(0.1)\n\n"
        f"    @task\n    def call(self):\n        self.client.get({path!r}, name='it')\n"
    )
    server = Misbehaving()
    ran = lt_run("-s", str(scenario), "-t", server.url, *SHORT, runs=tmp_path / "runs")
    rows = ran.rows("outcome")
    (worker,) = ran.run.workers
    assert worker.begun == worker.rows_sent == worker.rows_received == len(rows)
    assert len(rows) >= 2
    hangs = path in ("/hang", "/hang-after/5", "/half")
    assert bool((rows.outcome == "unanswered").sum()) == hangs
    assert ran.done.code in (1, 3), ran.said
    server.close()
