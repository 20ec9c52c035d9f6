"""Whatever happens to the master or to `lt` itself during the load, the run reports it and never passes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import psutil
import pytest

from loadtest.core.exit_codes import ExitCode
from loadtest.recording.catalogue import find_run
from loadtest.recording.run import Outcome
from tests.conftest import Until, counting_server, lt, started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

STRUCK_AT_S = 3.0
PLAN = ("--users", "2", "--spawn-rate", "2", "--duration", "10s", "--workers", "1")


@contextmanager
def run_struck(runs: Path, until: Until) -> Iterator[tuple[Popen[str], psutil.Process]]:
    """Yield `lt run` and its master once the load has lasted for STRUCK_AT_S."""

    def elapsed_s() -> float:
        folders = [path for path in runs.glob("*/run.json") if path.exists()]
        start = find_run(runs, "latest").read_run().load_start if folders else None
        return 0.0 if start is None else time.time() - start.timestamp()

    with (
        counting_server() as server,
        started("run", "-s", "ramp300", "-t", server.url, *PLAN, "--runs", str(runs)) as run,
    ):
        until(lambda: elapsed_s() > STRUCK_AT_S, "three seconds of load", timeout_s=60)
        (master,) = [child for child in psutil.Process(run.pid).children() if "--master" in child.cmdline()]
        yield run, master


def ended(run: Popen[str], runs: Path) -> tuple[int, Outcome, str]:
    """Wait until a run has ended by itself; return its exit code, its outcome, the reasons, and its report."""
    _, err = run.communicate(timeout=120)
    folder = find_run(runs, "latest")
    record = folder.read_run()
    assert "Traceback" not in err
    assert folder.report.exists()
    return run.returncode, record.outcome, "; ".join(record.reasons)


@pytest.mark.parametrize("what", [signal.SIGINT, signal.SIGTERM])
def test_a_master_that_is_ended_from_outside_is_reported(what: signal.Signals, tmp_path: Path, until: Until) -> None:
    """At 3 s of 10, Locust ends properly with status 0, but the run is not complete."""
    with run_struck(tmp_path, until) as (run, master):
        master.send_signal(what)
        code, outcome, reasons = ended(run, tmp_path)
    assert (code, outcome) == (ExitCode.UNDECIDED, Outcome.DEGRADED)
    assert "something else stopped it" in reasons


def test_a_master_whose_only_worker_was_killed_is_ended_for_that(tmp_path: Path, until: Until) -> None:
    """Locust's master then ends by itself. Nothing else has stopped it."""
    with run_struck(tmp_path, until) as (run, _):
        (worker,) = [child for child in psutil.Process(run.pid).children() if "--worker" in child.cmdline()]
        worker.kill()
        code, outcome, reasons = ended(run, tmp_path)
    assert (code, outcome) == (ExitCode.UNDECIDED, Outcome.DEGRADED)
    assert "its process has ended" in reasons
    assert "the Locust master ended at" in reasons
    assert "something else" not in reasons


def test_a_master_that_was_paused_is_reported(tmp_path: Path, until: Until) -> None:
    """The master was stopped for 7 s, during which the load went on without control."""
    with run_struck(tmp_path, until) as (run, master):
        master.suspend()
        time.sleep(7)  # what is tested
        master.resume()
        code, outcome, reasons = ended(run, tmp_path)
    assert (code, outcome) == (ExitCode.UNDECIDED, Outcome.DEGRADED)
    assert "the master was paused for 7 s" in reasons or "the master was paused for 6 s" in reasons


def test_a_master_that_is_stopped_for_good_ends_the_run(tmp_path: Path, until: Until) -> None:
    """The run ends within a time limit, with a message."""
    with run_struck(tmp_path, until) as (run, master):
        master.suspend()
        code, outcome, reasons = ended(run, tmp_path)
    assert (code, outcome) == (ExitCode.UNDECIDED, Outcome.DEGRADED)
    assert "was stopped (SIGSTOP) for 20 s and was killed" in reasons


def test_a_second_interrupt_forces_the_end(tmp_path: Path, until: Until) -> None:
    """The report is written, and says that rows may be missing."""
    with run_struck(tmp_path, until) as (run, master):
        master.suspend()  # so that the first interrupt is not enough
        run.send_signal(signal.SIGINT)
        time.sleep(1)
        run.send_signal(signal.SIGINT)
        code, outcome, reasons = ended(run, tmp_path)
    assert (code, outcome) == (ExitCode.INTERRUPTED, Outcome.INTERRUPTED)
    assert "a second Ctrl-C forced the end" in reasons


def test_a_killed_lt_leaves_nothing_but_a_run_that_can_be_reported(tmp_path: Path, until: Until) -> None:
    """Master and workers end within seconds. The first report of the run detects that it is incomplete."""
    with run_struck(tmp_path, until) as (run, _):
        family = psutil.Process(run.pid).children(recursive=True)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        until(
            lambda: not [member for member in family if member.is_running() and member.status() != "zombie"],
            "their end",
            45,
        )
    report = lt("report", "latest", "--runs", str(tmp_path), "--format", "text")
    record = find_run(tmp_path, "latest").read_run()
    # A request that was in flight when the process was killed counts as failed. If there are few requests, this may be
    # more than 1 %.
    assert report.code in (ExitCode.UNDECIDED, ExitCode.MISSED), report
    assert "Traceback" not in report.err
    assert record.outcome is not Outcome.COMPLETE
