"""Processes that join a run, fail in it or are killed are reported by name. The tests use real processes, and compare
with the server's count.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from loadtest.core.addresses import free_port
from loadtest.core.exit_codes import ExitCode
from loadtest.recording.catalogue import find_run
from loadtest.recording.run import Outcome, Run
from tests.cases.harness import lt_run
from tests.conftest import Until, counting_server, started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SHORT = ("--users", "2", "--spawn-rate", "2", "--duration", "4s", "--workers", "1")

CALLER = """
from locust import FastHttpUser, constant, events, task


class Caller(FastHttpUser):
    wait_time = constant(0.1)

    @task
    def call(self):
        self.client.get("/it")
"""


def written(folder: Path, text: str) -> str:
    path = folder / "locustfile.py"
    path.write_text(text)
    return str(path)


def test_requests_counted_without_an_event_are_reported_by_endpoint(tmp_path: Path) -> None:
    """A scenario writes into Locust's totals by itself: there are more requests than rows, the run is degraded, and
    `GET /ghost` is named.
    """
    ghost = CALLER + '        self.environment.stats.log_request("GET", "/ghost", 1.0, 0)\n'
    with counting_server() as there:
        ran = lt_run("-s", written(tmp_path, ghost), "-t", there.url, *SHORT, runs=tmp_path / "runs", timeout_s=200)
        assert len(ran.rows()) == there.count() > 0
    assert (ran.done.code, ran.run.outcome) == (ExitCode.UNDECIDED, Outcome.DEGRADED), ran.said
    (difference,) = ran.run.totals_differences
    assert (difference.name, difference.rows, difference.locust) == ("/ghost", 0, there_called(ran.run))
    (reason,) = ran.run.reasons
    assert f"count {difference.locust} requests of GET /ghost, the rows 0" in reason
    assert "GET /ghost" in ran.said


def there_called(run: Run) -> int:
    """Return how many requests the workers began. The scenario wrote one entry for `GET /ghost` per request."""
    return sum(worker.begun or 0 for worker in run.workers)


def test_a_plain_locust_worker_gets_no_users(tmp_path: Path, until: Until) -> None:
    """A plain worker joins a master that has begun, and is refused.

    Every request that the server read is in the rows.
    """
    port, file = free_port(), written(tmp_path, CALLER)
    plain = [sys.executable, "-m", "locust", "-f", file, "--worker", "--master-port", str(port)]
    words = (
        "-s",
        file,
        "--users",
        "6",
        "--spawn-rate",
        "6",
        "--duration",
        "20s",
        "--workers",
        "1",
        "--port",
        str(port),
    )
    with counting_server() as there:
        with started("run", "-t", there.url, *words, "--runs", str(tmp_path / "runs")) as run:
            until(lambda: there.count() > 6, "load", timeout_s=90)
            joined = subprocess.run(plain, capture_output=True, text=True, timeout=100, check=False)
            _, err = run.communicate(timeout=120)
        folder = find_run(tmp_path / "runs", "latest")
        record = folder.read_run()
        assert len(folder.read_rows(["start"])) == there.count()
    assert "it did not send lt's handshake: a plain `locust --worker` records nothing" in [
        refusal.name for refusal in record.refusals
    ]
    assert len(record.workers) == 1
    assert (run.returncode, record.outcome) in ((0, Outcome.COMPLETE), (3, Outcome.DEGRADED)), err
    assert "quit" in (joined.stdout + joined.stderr).lower()


def test_a_master_that_expects_workers_does_not_count_a_plain_one(tmp_path: Path, until: Until) -> None:
    """The master waits for another worker until the join timeout, says which worker was refused and which one is
    missing, and sends nothing.
    """
    port, file = free_port(), written(tmp_path, CALLER)
    plain = [sys.executable, "-m", "locust", "-f", file, "--worker", "--master-port", str(port)]
    words = ("-s", file, "--users", "2", "--duration", "3s", "--workers", "1", "--expect-workers", "2")
    with counting_server() as there:
        fleet = ("--port", str(port), "--join-timeout", "40s", "--runs", str(tmp_path / "runs"))
        with started("run", "-t", there.url, *words, *fleet) as run:
            until(lambda: list((tmp_path / "runs").glob("*/run.json")), "the run's folder", timeout_s=60)
            subprocess.run(plain, capture_output=True, timeout=150, check=False)
            _, err = run.communicate(timeout=150)
        assert there.count() == 0
    assert run.returncode == ExitCode.UNUSABLE, err
    assert "1 of 2 workers joined within 40 s" in " ".join(err.split())


@pytest.mark.parametrize(
    ("code", "where", "told"),
    [
        ("    def on_start(self):\n        raise KeyError('token')\n", "on_start", "KeyError"),
        ("@events.test_start.add_listener\ndef log_in(**_):\n    raise KeyError('token')\n", "listener", "KeyError"),
    ],
)
def test_errors_before_the_first_request_are_reported(code: str, where: str, told: str, tmp_path: Path) -> None:
    """The message has file and line, and the run does not pass."""
    text = CALLER + ("\n" + code if code.startswith(" ") else "\n\n" + code)
    with counting_server() as there:
        ran = lt_run("-s", written(tmp_path, text), "-t", there.url, *SHORT, runs=tmp_path / "runs", timeout_s=200)
    assert {error.where for error in ran.run.task_errors} == {where}, ran.said
    assert "locustfile.py" in ran.run.task_errors[0].traceback
    assert told in ran.said
    assert ran.done.code in (ExitCode.MISSED, ExitCode.UNDECIDED), ran.said


def test_an_error_in_a_workers_init_is_reported_as_such(tmp_path: Path) -> None:
    """The error ends the worker before the load begins, or when it begins.

    The scenario's error is shown, not a lost worker.
    """
    init = "\n\n@events.init.add_listener\ndef prepare(environment, **_):\n"
    init += '    if "Worker" in type(environment.runner).__name__:\n'
    init += '        raise SystemExit("no licence for this worker")\n'
    with counting_server() as there:
        ran = lt_run(
            "-s", written(tmp_path, CALLER + init), "-t", there.url, *SHORT, runs=tmp_path / "runs", timeout_s=200
        )
    assert ran.done.code in (ExitCode.MISSED, ExitCode.UNUSABLE), ran.said
    assert ran.run.outcome is Outcome.DEGRADED, ran.said
    assert "the scenario's init failed with sys.exit(no licence for this worker)" in ran.said
    assert "was lost" not in ran.said
    assert "Traceback" not in ran.done.err


@contextmanager
def run_under_way(words: tuple[str, ...], runs: Path, until: Until) -> Iterator[subprocess.Popen[str]]:
    def has_begun() -> bool:
        return bool(list(runs.glob("*/run.json"))) and find_run(runs, "latest").read_run().load_start is not None

    with started("run", *words, "--runs", str(runs)) as run:
        until(has_begun, "the load", timeout_s=90)
        time.sleep(2)  # during the load
        yield run


def test_a_worker_that_is_ended_from_outside_is_reported_as_such(tmp_path: Path, until: Until) -> None:
    """One of two workers gets SIGTERM.

    This worker sends its rows, the other worker takes over its users, and the run says which worker ended and when.
    """
    words = ("-s", "ramp300", "--users", "4", "--spawn-rate", "4", "--duration", "12s", "--workers", "2")
    with counting_server() as there:
        with run_under_way((*words, "-t", there.url), tmp_path, until) as run:
            pid = find_run(tmp_path, "latest").read_run().workers[0].pid
            assert pid is not None
            os.kill(pid, signal.SIGTERM)
            _, err = run.communicate(timeout=120)
        folder = find_run(tmp_path, "latest")
        record = folder.read_run()
        missing = sum(worker.rows_missing_at_most or 0 for worker in record.workers)
        assert len(folder.read_rows(["start"])) <= there.count() <= len(folder.read_rows(["start"])) + missing
    assert (run.returncode, record.outcome) == (ExitCode.UNDECIDED, Outcome.DEGRADED), err
    (ended,) = [worker for worker in record.workers if worker.pid == pid]
    assert any(ended.name in reason and "SIGTERM" in reason for reason in record.reasons), record.reasons


def test_a_frozen_emulator_is_noticed_and_the_run_ends(tmp_path: Path, until: Until) -> None:
    """The process that scales and reports gets SIGSTOP.

    The run says since when reports are missing, and ends in time.
    """
    words = (
        "-s",
        "ramp300",
        "-t",
        "emulator",
        "--users",
        "2",
        "--spawn-rate",
        "2",
        "--duration",
        "12s",
        "--workers",
        "1",
    )
    with run_under_way(words, tmp_path, until) as run:
        children = psutil.Process(run.pid).children(recursive=True)
        (emulator,) = [child for child in children if ".emulator.__main__" in child.cmdline()]
        emulator.suspend()
        begin_s = time.monotonic()
        _, err = run.communicate(timeout=200)
    assert time.monotonic() - begin_s < 100
    record = find_run(tmp_path, "latest").read_run()
    assert (run.returncode, record.outcome) == (ExitCode.UNDECIDED, Outcome.DEGRADED), err
    assert "emulator" in " ".join(record.reasons), record.reasons
    assert "Traceback" not in err
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
