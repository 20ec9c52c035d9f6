"""Locustfiles that were not written for lt behave as they do under Locust, with the options of the command line.

Their end is reported correctly.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.cases.harness import CASES, lt_run, server
from tests.conftest import ROOT, Until, lt

SHORT = ("--users", "2", "--spawn-rate", "2", "--duration", "3s", "--workers", "1")


def case(number: str) -> Path:
    (folder,) = CASES.glob(f"{number}-*")
    return folder


def test_a_foreign_shape_is_limited_to_the_requested_users_and_duration(tmp_path: Path) -> None:
    """09: the options of the command line run 3 users for 5 s, although the scenario's shape has 30 users for 30 s."""
    with server() as there:
        words = ("-s", "locustfile.py", "-t", there.url, "--users", "3", "--spawn-rate", "1", "--duration", "5s")
        ran = lt_run(*words, runs=tmp_path, cwd=case("09"))
    assert ran.done.code == 0, ran.said
    assert ran.folder.read_load().users.max() <= 3
    rows = ran.rows("start")
    assert 5 <= len(rows) <= 3 * 8  # 3 users send one request a second each for 5 s, plus some delay of the machine
    assert (rows.start.max() - rows.start.min()).total_seconds() < 8


@pytest.mark.slow
def test_a_worker_that_makes_its_payloads_as_the_test_starts_is_waited_for(tmp_path: Path) -> None:
    """10: a worker that is busy for eight seconds is not lost. Every request is a row, and the run is complete."""
    with server() as there:
        words = ("-s", "locustfile.py", "-t", there.url, "--users", "2", "--spawn-rate", "2", "--duration", "15s")
        ran = lt_run(*words, "--workers", "1", runs=tmp_path, cwd=case("10"))
        assert len(ran.rows()) == there.counts()["/page"] > 10
    assert (ran.done.code, ran.run.outcome) == (0, "complete"), ran.said
    (pause,) = ran.run.pauses
    assert (pause.held_by, round(pause.for_s)) == ("the scenario's test_start listener make_payloads", 8)
    assert "was blocked for" in ran.said
    assert "test_start listener make_payloads blocked" in ran.said + lt(
        "report", str(ran.folder.path), "--format", "text"
    ).out


@pytest.mark.slow
@pytest.mark.parametrize("target", ["none", "grpc://127.0.0.1:{port}", "127.0.0.1:{port}"])
def test_a_grpc_user_runs_against_its_own_host(target: str, tmp_path: Path) -> None:
    """11: with a target of another protocol, or with no target, a class keeps the host that it names."""
    from loadtest.core.addresses import free_port

    port = free_port()
    scenario = tmp_path / "locustfile.py"
    scenario.write_text((case("11") / "locustfile.py").read_text().replace("50099", str(port)))
    ran = lt_run("-s", str(scenario), "-t", target.format(port=port), *SHORT, runs=tmp_path / "runs")
    assert ran.done.code == 0, ran.said
    assert set(ran.rows("outcome").outcome) == {"ok"}
    assert str(port) in ran.run.target.url


@pytest.mark.slow
@pytest.mark.parametrize("file", ["locustfile.py", "prints_at_the_end.py"])
def test_whatever_a_locustfile_prints_or_says_of_itself_it_runs(file: str, tmp_path: Path) -> None:
    """12: the docstring contains a list of objects, and the process prints text as it ends."""
    with server() as there:
        ran = lt_run("-s", file, "-t", there.url, *SHORT, runs=tmp_path, cwd=case("12"))
        assert len(ran.rows()) == sum(there.counts().values()) > 0
    assert ran.done.code == 0, ran.said


@pytest.mark.slow
def test_a_neighbour_called_loadtest_is_the_users_own(tmp_path: Path) -> None:
    """13: a package `loadtest` next to the locustfile is imported, from any folder."""
    with server() as there:
        ran = lt_run("-s", "project/locustfile.py", "-t", there.url, *SHORT, runs=tmp_path, cwd=case("13"))
        assert len(ran.rows()) == there.counts()["/page"] > 0
    assert ran.done.code == 0, ran.said


@pytest.mark.slow
def test_the_exit_code_that_a_scenario_sets_is_its_verdict(tmp_path: Path) -> None:
    """15: no row is missing, so the run is not degraded.

    The exit code is 1, with the scenario's exit code as the reason.
    """
    with server() as there:
        words = ("-s", "locustfile.py", "-t", there.url, *SHORT, "--slo", "error_rate < 60%")
        ran = lt_run(*words, runs=tmp_path, cwd=case("15"))
    assert (ran.done.code, ran.run.outcome, ran.run.reasons) == (1, "complete", [])
    assert ran.run.scenario_exit_code == 1
    assert "the scenario's own exit code: ✗ 1" in ran.said


@pytest.mark.slow
def test_a_scenario_that_ends_the_run_is_named_as_the_reason(tmp_path: Path) -> None:
    """16: the scenario calls `runner.quit()` a few seconds into a run of 40 s.

    The run is not complete, the exit code is 1, and the time and the line of the call are reported.
    """
    with server() as there:
        words = ("-s", "locustfile.py", "-t", there.url, "--users", "2", "--spawn-rate", "2", "--duration", "40s")
        ran = lt_run(*words, runs=tmp_path, cwd=case("16"))
        assert len(ran.rows()) == sum(there.counts().values())
    assert (ran.done.code, ran.run.outcome) == (1, "interrupted"), ran.said
    at_s = ran.run.ended_by_scenario_at_s
    assert at_s is not None
    assert at_s < 30
    lines = (case("16") / "locustfile.py").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "runner.quit()" in text)
    assert f"ended by the scenario at 0:{int(at_s):02d} of 0:40 (locustfile.py, line {line})" in ran.said


def test_a_missing_argument_of_the_scenarios_own_is_named_with_the_way_to_give_it(tmp_path: Path) -> None:
    """17 a: the exit code is 2 before anything starts, and the message contains a command line with the argument."""
    ran = lt_run("-s", "needs_an_argument.py", "-t", "http://127.0.0.1:9", *SHORT, runs=tmp_path, cwd=case("17"))
    assert ran.done.code == 2
    assert "--tenant" in ran.said
    assert "-- --tenant TENANT" in ran.said


@pytest.mark.slow
def test_an_argument_of_the_scenarios_own_goes_after_two_dashes(tmp_path: Path) -> None:
    """17 a: with the argument, the scenario runs."""
    with server() as there:
        words = ("-s", "needs_an_argument.py", "-t", there.url, *SHORT, "--", "--tenant", "a")
        ran = lt_run(*words, runs=tmp_path, cwd=case("17"))
    assert ran.done.code == 0, ran.said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "environment", "named"),
    [
        ("conf", {}, "locust.conf: lt does not use `processes`, `headless`"),
        ("conf_master", {}, "locust.conf: lt does not use `master`, `expect-workers`"),
        (".", {"LOCUST_MODE_MASTER": "true", "LOCUST_PROCESSES": "3"}, "LOCUST_MODE_MASTER"),
    ],
)
def test_settings_that_would_break_the_fleet_are_left_out_by_name(
    folder: str, environment: dict[str, str], named: str, tmp_path: Path
) -> None:
    """17 b, c: Locust's own configuration does not reach the fleet, a message says so, and no process is left."""
    with server() as there:
        words = ("-s", str(case("17") / "locustfile.py"), "-t", there.url, *SHORT)
        ran = lt_run(*words, runs=tmp_path, cwd=case("17") / folder, **environment)
    assert ran.done.code == 0, ran.said
    assert named in ran.said
    port = str(ran.folder.path)
    assert not [process for process in psutil.process_iter(["environ"]) if port in str(process.info["environ"])]


@pytest.mark.slow
def test_a_worker_elsewhere_gets_the_scenario_with_its_modules(tmp_path: Path) -> None:
    """18: `lt worker` in an empty folder runs a scenario that is split into packages."""
    from loadtest.core.addresses import free_port

    port = free_port()
    with server() as there:
        worker = subprocess.Popen(
            [sys.executable, str(ROOT / "lt.py"), "worker", "--master", f"127.0.0.1:{port}", "--processes", "1"],
            cwd=case("18") / "elsewhere",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            words = ("-s", "locustfile.py", "-t", there.url, *SHORT[:6], "--expect-workers", "1", "--port", str(port))
            ran = lt_run(*words, "--join-timeout", "60s", runs=tmp_path, cwd=case("18") / "project")
            said, _ = worker.communicate(timeout=60)
        finally:
            worker.kill()
            worker.wait()
        assert len(ran.rows()) == there.counts()["/page"] > 0
    assert (ran.done.code, worker.returncode) == (0, 0), ran.said + said


@pytest.mark.slow
def test_a_worker_that_cannot_load_the_scenario_says_so_at_both_ends(tmp_path: Path) -> None:
    """18: the scenario's data file is not sent to the worker.

    The worker and the master report the missing file before the join timeout.
    """
    from loadtest.core.addresses import free_port

    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    (project / "people.csv").write_text("ada\n")
    text = "from locust import FastHttpUser, task\nNAMES = open('people.csv').read()\n\n"
    (project / "feeder.py").write_text(text + "class One(FastHttpUser):\n    @task\n    def ask(self):\n        pass\n")
    port = free_port()
    with server() as there:
        worker = subprocess.Popen(
            [sys.executable, str(ROOT / "lt.py"), "worker", "--master", f"127.0.0.1:{port}", "--processes", "1"],
            cwd=elsewhere,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            words = ("-s", "feeder.py", "-t", there.url, *SHORT[:6], "--expect-workers", "1", "--port", str(port))
            ran = lt_run(*words, "--join-timeout", "10m", runs=tmp_path / "runs", cwd=project)
            said, _ = worker.communicate(timeout=60)
        finally:
            worker.kill()
            worker.wait()
    assert (ran.done.code, worker.returncode) == (4, 4), ran.said + said
    assert "cannot load the scenario: FileNotFoundError" in ran.said
    assert "people.csv" in said


HOSTS = ("-s", "locustfile.py", *SHORT)


def two_services(folder: Path, first: str, other: str) -> Path:
    """Write case 20's locustfile for two servers."""
    text = (case("20") / "locustfile.py").read_text()
    (folder / "locustfile.py").write_text(text.replace("127.0.0.1:18111", first).replace("127.0.0.1:18112", other))
    return folder


def test_classes_with_hosts_of_their_own_are_not_sent_to_another(tmp_path: Path) -> None:
    """20: a target in addition to two named hosts is refused with exit code 2 and advice. Nothing is sent."""
    folder = two_services(tmp_path, "127.0.0.1:9", "127.0.0.1:10")
    ran = lt_run(*HOSTS, "-t", "http://127.0.0.1:9", runs=tmp_path / "runs", cwd=folder)
    assert ran.done.code == 2
    for word in ("Api", "LogIn", "--target none", "--override-hosts"):
        assert word in ran.said
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_without_a_target_every_class_calls_its_own_host(tmp_path: Path) -> None:
    """20: `--target none` does this. With `--override-hosts` everything goes to the target."""
    with server() as first, server() as other:
        folder = two_services(tmp_path, first.address, other.address)
        ran = lt_run(*HOSTS, "-t", "none", runs=tmp_path / "runs", cwd=folder)
        assert ran.done.code == 0, ran.said
        assert set(first.counts()) == {"/api"}
        assert set(other.counts()) == {"/login"}
        assert first.counts()["/api"] + other.counts()["/login"] == len(ran.rows())
        before = sum(other.counts().values())
        ran = lt_run(*HOSTS, "-t", first.url, "--override-hosts", runs=tmp_path / "runs", cwd=folder)
        assert ran.done.code == 0, ran.said
        assert set(first.counts()) == {"/api", "/login"}
        assert sum(other.counts().values()) == before


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_as_its_fleet_starts_leaves_no_process(
    signal_number: int, tmp_path: Path, until: Until
) -> None:
    """The run is killed or interrupted while it waits for a worker that never comes.

    All processes end within seconds.
    """
    words = ["run", "-s", str(case("12") / "locustfile.py"), "-t", "none", "--workers", "1", "--expect-workers", "2"]
    text = (case("12") / "locustfile.py").read_text().replace("    wait", '    host = "http://127.0.0.1:9"\n    wait')
    (tmp_path / "locustfile.py").write_text(text)
    words[2] = str(tmp_path / "locustfile.py")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "lt.py"), *words, "--runs", str(tmp_path / "runs"), "--join-timeout", "10m"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        fleet = until(lambda: _two_children(process.pid), "the fleet's processes")
        os.kill(process.pid, signal_number)
        process.wait(timeout=30)
        until(lambda: not any(child.is_running() for child in fleet), "the fleet to end", timeout_s=10)  # type: ignore[attr-defined]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _two_children(pid: int) -> list[psutil.Process] | None:
    """Return the master and the worker below a process once both run."""
    try:
        children = [child for child in psutil.Process(pid).children() if "--loglevel" in child.cmdline()]
    except psutil.Error:  # a process that ended between two queries
        return None
    return children if len(children) == 2 else None
