"""What a run reports when a part of it dies. The tests use real processes and kill -9, and compare the rows with the
server's count.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from loadtest.fleet.scenario import LAUNCH
from loadtest.recording.catalogue import find_run
from loadtest.recording.folder import RunFolder
from loadtest.recording.run import Outcome
from tests.conftest import ROOT, Until, counting_server, lt, started

USERS = 40


def processes_of(pid: int, word: str) -> list[psutil.Process]:
    """Return the Locust processes below `pid` whose command line contains `word`."""
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if str(LAUNCH) in child.cmdline() and word in child.cmdline()]


def last_end_s(folder: RunFolder) -> float:
    """Return when the last recorded request ended, in Unix time."""
    rows = folder.read_rows(["start", "latency_us"])
    return float((rows.start.astype("int64") / 1e9 + rows.latency_us / 1e6).max())


def words(url: str, runs: Path, *, duration: str, workers: int = 2) -> list[str]:
    plan = ["--users", str(USERS), "--spawn-rate", str(USERS), "--duration", duration]
    return ["run", "-s", "ramp300", "-t", url, "--workers", str(workers), "--runs", str(runs), *plan]


@pytest.mark.slow
def test_a_killed_worker_makes_the_run_degraded_and_its_users_go_to_the_other(tmp_path: Path, until: Until) -> None:
    """One of two workers is killed with -9. The exit code is 3, the run is `degraded`, all users are back within 10 s,
    and the missing rows are within the stated bound.
    """
    with counting_server() as server:
        with started(*words(server.url, tmp_path, duration="20s")) as process:
            until(lambda: server.count() > 4 * USERS, "load to flow")
            victim = processes_of(process.pid, "--worker")[0]
            killed_s = time.time()
            victim.kill()
            out, err = process.communicate(timeout=90)
        assert process.returncode == 3, err
        folder = find_run(tmp_path, "latest")
        run, counted = folder.read_run(), server.count()
    assert run.outcome is Outcome.DEGRADED
    (lost,) = [worker for worker in run.workers if worker.lost_at is not None]
    assert lost.pid == victim.pid
    assert any(lost.name in reason for reason in run.reasons)
    assert lost.name in out
    bound = lost.rows_missing_at_most
    assert bound is not None
    assert bound <= 3 * USERS  # two flushes for its half of the users, and one request in flight for each of them
    assert 0 <= counted - len(folder.read_rows(["start"])) <= bound
    load = folder.read_load()
    alive = load[(load.worker != lost.name) & (load.time_s > killed_s)]
    assert (alive[alive.users == USERS].time_s.min() - killed_s) < 10


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["master", "parent"])
def test_a_killed_run_is_reportable_up_to_its_last_frame(victim: str, tmp_path: Path, until: Until) -> None:
    """The master or `lt` itself is killed with -9: no process remains, and the last row is within 2 s of the kill."""
    with counting_server() as server:
        with started(*words(server.url, tmp_path, duration="60s")) as process:
            until(lambda: server.count() > 4 * USERS, "load to flow")
            fleet = psutil.Process(process.pid).children(recursive=True)
            (master,) = processes_of(process.pid, "--master")
            killed_s = time.time()
            os.kill(master.pid if victim == "master" else process.pid, signal.SIGKILL)
            process.communicate(timeout=60)
            until(lambda: not any(child.is_running() for child in fleet), "the fleet to end")
        assert process.returncode == (3 if victim == "master" else -signal.SIGKILL)
        folder = find_run(tmp_path, "latest")
        if victim == "parent":
            assert folder.read_run().outcome is Outcome.INTERRUPTED
        done = lt("report", folder.path.name, "--runs", str(tmp_path), "--format", "json")
        reported = json.loads(done.out)["runs"][0]
        counted = server.count()
    assert last_end_s(folder) > killed_s - 2
    rows = len(folder.read_rows(["start"]))
    assert reported["totals"]["requests"] == rows
    answered = int((folder.read_rows(["outcome"]).outcome != "unanswered").sum())
    assert rows >= 4 * USERS - USERS
    assert answered <= counted  # a request that was cut off may never have been read


@pytest.mark.slow
def test_a_stop_condition_ends_the_run_and_says_so(tmp_path: Path) -> None:
    """`--stop-on` ends the run because the server fails: exit code 1, long before the planned end, with the numbers."""
    with counting_server(status=500) as server:
        begin_s = time.monotonic()
        stop = ("--stop-on", "error_rate > 50% for 3s")
        done = lt(*words(server.url, tmp_path, duration="60s", workers=1), "--no-check", *stop)
    assert done.code == 1
    assert time.monotonic() - begin_s < 50
    assert "the value was 100.0%" in " ".join(find_run(tmp_path, "latest").read_run().reasons)


@pytest.mark.slow
def test_a_missed_objective_is_exit_1_and_one_without_data_is_exit_3(tmp_path: Path) -> None:
    """The exit code is the verdict on the objectives. Missing data never passes."""
    with counting_server(delay_ms=[20]) as server:
        short = words(server.url, tmp_path, duration="6s", workers=1)
        assert lt(*short, "--slo", "p95 < 10s", "--slo", "throughput >= 1/s").code == 0
        assert lt(*short, "--slo", "p95 < 1ms").code == 1
    with counting_server(status=500) as server:
        short = words(server.url, tmp_path, duration="6s", workers=1)
        assert lt(*short, "--slo", "p95 < 10s").code == 1  # the implied objective on errors
        assert lt(*short, "--slo", "p95 < 10s", "--no-default-objective", "--no-check").code == 3


def netns(name: str, *command: str) -> list[str]:
    return ["ip", "netns", "exec", name, *command]


def can_make_namespaces() -> bool:
    try:
        made = subprocess.run(["ip", "netns", "add", "lt-probe"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
    if made:
        subprocess.run(["ip", "netns", "del", "lt-probe"], check=True)
    return made


@pytest.mark.slow
@pytest.mark.skipif(not can_make_namespaces(), reason="needs `ip netns add` (iproute2, root)")
def test_a_worker_cut_off_on_another_machine_degrades_the_run(
    tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three network namespaces are connected by veth pairs.

    The link of one worker goes down, the other worker finishes, and the rows
    agree with the service's count.

    lt-m has the master and the service on 10.77.0.1 and 10.77.1.1; lt-a and lt-b have one worker each.
    """
    make = [
        *(f"netns add {name}" for name in ("lt-m", "lt-a", "lt-b")),
        "link add lt-ma type veth peer name lt-am",
        "link add lt-mb type veth peer name lt-bm",
        *(
            f"link set {link} netns {name}"
            for link, name in (("lt-ma", "lt-m"), ("lt-mb", "lt-m"), ("lt-am", "lt-a"), ("lt-bm", "lt-b"))
        ),
        "-n lt-m addr add 10.77.0.1/24 dev lt-ma",
        "-n lt-m addr add 10.77.1.1/24 dev lt-mb",
        "-n lt-a addr add 10.77.0.2/24 dev lt-am",
        "-n lt-b addr add 10.77.1.2/24 dev lt-bm",
    ]
    links = [
        ("lt-m", "lo"),
        ("lt-m", "lt-ma"),
        ("lt-m", "lt-mb"),
        ("lt-a", "lo"),
        ("lt-a", "lt-am"),
        ("lt-b", "lo"),
        ("lt-b", "lt-bm"),
    ]
    running: list[subprocess.Popen[str]] = []
    monkeypatch.setenv("LT_JOIN_SECRET", secrets.token_hex(16))

    def spawn(name: str, *command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            netns(name, *command),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        return process

    def count() -> int:
        done = subprocess.run(
            netns("lt-m", "curl", "-s", f"http://10.77.0.1:{port}/stats"), capture_output=True, text=True, check=True
        )
        return int(json.loads(done.stdout)["requests"])

    try:
        for line in make:
            subprocess.run(["ip", *line.split()], check=True)
        for name, link in links:
            subprocess.run(["ip", "-n", name, "link", "set", link, "up"], check=True)
        subprocess.run(["ip", "-n", "lt-b", "route", "add", "default", "via", "10.77.1.1"], check=True)
        service = spawn("lt-m", sys.executable, "tests/counting_server.py", '{"host": "0.0.0.0"}')
        assert service.stdout is not None
        port = int(service.stdout.readline())
        plan = ["--users", str(USERS), "--spawn-rate", str(USERS), "--duration", "25s", "--runs", str(tmp_path)]
        master = spawn(
            "lt-m",
            sys.executable,
            "lt.py",
            "run",
            "-s",
            "ramp300",
            "-t",
            f"http://10.77.0.1:{port}",
            "--yes",
            *plan,
            "--expect-workers",
            "2",
            "--bind",
            "0.0.0.0",
            "--port",
            "5557",
            "--join-timeout",
            "60s",
        )
        for name, address in (("lt-a", "10.77.0.1"), ("lt-b", "10.77.1.1")):
            spawn(name, sys.executable, "lt.py", "worker", "--master", f"{address}:5557", "--processes", "1")
        until(lambda: count() > 5 * USERS, "load from both", timeout_s=60)
        subprocess.run(["ip", "-n", "lt-m", "link", "set", "lt-mb", "down"], check=True)
        out, _ = master.communicate(timeout=90)
        assert master.returncode == 3, out
        folder = find_run(tmp_path, "latest")
        run = folder.read_run()
        (lost,) = [worker for worker in run.workers if worker.lost_at is not None]
        assert "no sign of life" in str(lost.lost_why)
        assert all(worker.clock_uncertainty_us is not None for worker in run.workers)
        assert lost.rows_missing_at_most is not None
        rows = folder.read_rows(["start", "worker"])
        assert set(rows.worker) == {worker.name for worker in run.workers}
        assert 0 <= count() - len(rows) <= lost.rows_missing_at_most
    finally:
        for process in reversed(running):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        for name in ("lt-m", "lt-a", "lt-b"):
            for pid in subprocess.run(
                ["ip", "netns", "pids", name], capture_output=True, text=True, check=False
            ).stdout.split():
                os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@pytest.mark.slow
def test_an_open_loop_reads_a_stall_as_it_is_and_a_closed_loop_is_named_one(tmp_path: Path) -> None:
    """The server stalls for 1 s every 5 s, at 100 evenly spread arrivals/s. The p99 of the response time is within 2 %
    of the p99 that follows from the schedule of stalls.

    Arrivals are even over time. One arrival in five is due during a stall, and waits for the rest of that second. So
    the responses above x ms (x ≥ the service's own) are (1000 − x) / 5000 of all, and p99 = 1000 − 0.01 × 5000 = 950
    ms.
    """
    truth_ms = 1000 - 0.01 * 5000
    plan = ["--users", "100", "--spawn-rate", "100", "--duration", "41s", "--runs", str(tmp_path)]
    with counting_server(stall_s=1, every_s=5) as server:
        scenario = tmp_path / "even.py"
        scenario.write_text((ROOT / "scenarios/arrival300.py").read_text().replace("poisson = True", "poisson = False"))
        assert lt("run", "-s", str(scenario), "-t", server.url, *plan).code == 0
        rows = find_run(tmp_path, "latest").read_rows()
        assert len(rows) == server.count()
    begin = rows.start.min()
    whole = rows[(rows.start >= begin + pd.Timedelta("1s")) & (rows.start < begin + pd.Timedelta("41s"))]
    p99_ms = float((whole.latency_us + whole.late_us).quantile(0.99)) / 1000
    assert p99_ms == pytest.approx(truth_ms, rel=0.02)
    with counting_server(stall_s=1, every_s=5) as server:
        assert lt("run", "-s", "ramp300", "-t", server.url, *plan[:4], "--duration", "6s", *plan[6:]).code == 0
    page = lt("report", "latest", "--runs", str(tmp_path), "--format", "text").out
    assert "closed" in page.lower()


@pytest.mark.slow
def test_known_latencies_are_reported_as_they_are(tmp_path: Path) -> None:
    """The server waits 0.5 s (185 of 200), 1 s (10) or 2 s (5).

    p50, p95 and p99 equal those that the server measured itself.

    The tolerance is 0.1 %, or 3 ms: a timer's resolution (1 ms) on both sides and one turn of a busy machine's
    scheduler. benchmarks/accuracy.py measures the difference more precisely.
    """
    delays = [500.0] * 185 + [1000.0] * 10 + [2000.0] * 5  # each percentile is in the middle of its group
    random.Random(7).shuffle(delays)
    plan = ["--users", "60", "--spawn-rate", "60", "--duration", "30s", "--runs", str(tmp_path)]
    with counting_server(delay_ms=delays) as server:
        assert lt("run", "-s", "arrival300", "-t", server.url, *plan).code == 0
        rows = find_run(tmp_path, "latest").read_rows()
        truth_ms = server.latencies_ms()
    assert len(rows) == len(truth_ms) > 1000
    for share in (0.5, 0.95, 0.99):
        truth = float(np.quantile(truth_ms, share))
        assert float(rows.latency_us.quantile(share)) / 1000 == pytest.approx(truth, rel=0.001, abs=3.0)


@pytest.mark.slow
def test_a_stall_of_4_s_lasts_4_s_in_the_series(tmp_path: Path) -> None:
    """A server answers nothing for 4 s, once. The report's p95 by second shows a stall of 4 s ± 1 s."""
    plan = ["--users", "50", "--spawn-rate", "50", "--duration", "20s", "--runs", str(tmp_path)]
    with counting_server(stall_s=4, every_s=14) as server:  # the first stall is nearly over when the fleet is ready
        assert lt("run", "-s", "arrival300", "-t", server.url, *plan).code == 0
        rows = find_run(tmp_path, "latest").read_rows()
    second = rows.start.dt.floor("s")
    by_second = (rows.latency_us / 1e6).groupby(second).quantile(0.95)
    slow = by_second[by_second > 0.1]
    stalls = (slow.index.to_series().diff() > pd.Timedelta("2s")).cumsum()
    longest = slow.groupby(stalls).size().max()
    assert 3 <= longest <= 5
