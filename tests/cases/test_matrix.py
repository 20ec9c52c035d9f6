"""No request is lost and no failing run passes, for every kind of client × every way a target misbehaves × every end.

One run has all five kinds of clients. Their numbers of rows and of missing requests are compared with the server's
count.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import trustme

from loadtest.core.addresses import free_port
from loadtest.core.errors import LoadTestError
from loadtest.recording.catalogue import find_run
from tests.cases.harness import CASES, Ran
from tests.conftest import ROOT, Done

CLIENTS = ("Fast", "Open", "Stock", "StockFast", "Custom")
USERS_OF_A_KIND = 2
LOAD_S = 4
EVENT_S = 1.0
"""Time from the beginning of the load until the server restarts, the name disappears, or the network is cut."""
CUT_SHORT_S = 2.0
"""Time from the beginning of the load until the run is interrupted, or a worker is killed."""
START_S = 150.0
"""Time limit for the imports of four processes on a busy machine."""
WALL_S = 90.0
"""Time limit from the beginning of the load. It covers load, stop timeout (10 s), last frames (10 s) and report."""
PATIENT_S = 60.0
HASTY_S = 1.0


@dataclass(frozen=True)
class Behaviour:
    """The behaviour of a target.

    Attributes:
        path: the path on the misbehaving server.
        timeout_s: how long the clients wait; if that is longer than the run, the row is `unanswered`.
        at_event: the control path that the server gets EVENT_S after the load began, or `hosts` or `link` for a fault
            of the network.
        outcomes: every kind of client has one of these at least once.
        fails: whether more than 1 % fail.
    """

    path: str
    timeout_s: float
    outcomes: frozenset[str]
    at_event: str = ""
    tls: bool = False
    fails: bool = True


def failing(path: str, *outcomes: str, timeout_s: float = HASTY_S, at_event: str = "", tls: bool = False) -> Behaviour:
    return Behaviour(path, timeout_s, frozenset(outcomes), at_event=at_event, tls=tls)


BEHAVIOURS = {
    "hang": failing("/hang", "unanswered", timeout_s=PATIENT_S),
    "hang after 5": failing("/hang-after/5", "timeout"),
    "close": failing("/close", "connection"),
    "reset": failing("/reset", "connection"),
    "garbage": failing("/garbage", "connection"),
    "half a head": failing("/half", "timeout"),
    "endless body": failing("/endless", "timeout", "unanswered", "connection"),
    "1 byte/s": failing("/drip", "timeout", "unanswered"),
    "wrong length": failing("/short", "connection"),
    "bad TLS": failing("/ok", "connection", at_event="/_break", tls=True),
    "429": failing("/status/429", "http_error"),
    "503": failing("/status/503", "http_error"),
    "restart": failing("/ok", "connection", at_event="/_down/2"),
    "DNS gone": failing("/bye", "connection", "ok", at_event="hosts"),  # FastUser resolves a name once
    "network cut": failing("/ok", "timeout", "connection", at_event="link"),
    "slow then fine": Behaviour("/slow-then-fine/3/300", 10.0, frozenset({"ok"}), fails=False),
}
ENDS = ("plan", "SIGINT", "worker killed")


@dataclass
class Place:
    """Where the server and the load run, and how to run commands there.

    Attributes:
        of_server, of_load: `ip netns exec NAME`, which precedes the commands of the server or the load, or nothing.
        host: the server's name in the load.
        bind: the address on which it listens.
    """

    of_server: tuple[str, ...] = ()
    of_load: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    bind: str = "127.0.0.1"
    events: dict[str, Callable[[], None]] = field(default_factory=dict)


@contextmanager
def place_for(event: str) -> Iterator[Place]:
    """Provide loopback, or network namespaces in which a name can be removed or a link can be cut."""
    if event not in ("hosts", "link"):
        yield Place()
        return
    if os.geteuid():
        pytest.skip("network namespaces need root")
    near, far = f"ltm{os.getpid()}a", f"ltm{os.getpid()}b"
    etc = Path("/etc/netns") / near
    with ExitStack() as undo:
        for name in (near, far):
            if subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True).returncode:
                pytest.skip("this machine makes no namespaces")
            undo.callback(subprocess.run, ["ip", "netns", "del", name], check=False)
            subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        inside = ("ip", "netns", "exec", near)
        if event == "hosts":
            etc.mkdir(parents=True)
            undo.callback(etc.rmdir)
            for name, text in (
                ("hosts", "127.0.0.1 localhost target.test\n"),
                ("resolv.conf", "nameserver 127.0.0.1\n"),
            ):
                (etc / name).write_text(text)
                undo.callback((etc / name).unlink)
            gone = "127.0.0.1 localhost\n"
            yield Place(inside, inside, "target.test", events={"hosts": lambda: void((etc / "hosts").write_text(gone))})
            return
        link = ["ip", "-n", near, "link"]
        subprocess.run([*link, "add", "near", "type", "veth", "peer", "name", "far", "netns", far], check=True)
        for name, end, address in ((near, "near", "10.99.0.1/24"), (far, "far", "10.99.0.2/24")):
            subprocess.run(["ip", "-n", name, "addr", "add", address, "dev", end], check=True)
            subprocess.run(["ip", "-n", name, "link", "set", end, "up"], check=True)
        cut = ["ip", "-n", far, "link", "set", "far", "down"]
        outside = ("ip", "netns", "exec", far)
        yield Place(
            outside,
            inside,
            "10.99.0.2",
            "0.0.0.0",
            events={"link": lambda: void(subprocess.run(cut, check=True))},
        )


def void(_: object) -> None:
    """Ignore a value."""


class Target:
    """The misbehaving server in a separate process."""

    def __init__(self, place: Place, folder: Path, *, tls: bool) -> None:
        self.place = place
        self.port = free_port()
        self.url = f"{'https' if tls else 'http'}://{place.host}:{self.port}"
        self.authority = folder / "authority.pem"
        words = [str(self.port), place.bind]
        if tls:
            authority = trustme.CA()
            authority.cert_pem.write_to_path(str(self.authority))
            certificate = folder / "certificate.pem"
            authority.issue_cert(place.host).private_key_and_cert_chain_pem.write_to_path(str(certificate))
            words.append(str(certificate))
        self._process = subprocess.Popen(
            [*place.of_server, sys.executable, "-m", "tests.misbehaving", *words], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def ask(self, path: str) -> bytes:
        """Request a control path from where the server runs, and return the answer. Wait while the server restarts."""
        call = "import sys,urllib.request as u;print(u.urlopen(sys.argv[1]).read().decode())"
        command = [*self.place.of_server, sys.executable, "-c", call, f"http://127.0.0.1:{self.port}{path}"]
        give_up_s = time.monotonic() + START_S
        while True:
            asked = subprocess.run(command, check=False, capture_output=True, timeout=20)
            if asked.returncode == 0:
                return asked.stdout
            assert time.monotonic() < give_up_s, asked.stderr.decode()

    def counts(self) -> dict[str, int]:
        """Return the number of requests that the server has read from each client."""
        found = json.loads(self.ask("/_counts"))
        return {path.partition("?")[2]: count for path, count in found.items() if "?" in path}

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True)
class Cell:
    """The results of one run."""

    ran: Ran
    wall_s: float
    left: list[psutil.Process]


def drive(target: Target, behaviour: Behaviour, end: str, folder: Path) -> Cell:
    """Run the load with the behaviour's event, end it in the given way, and return the result."""
    place = target.place
    runs = folder / "runs"
    environment = {**os.environ, "LT_TEST_PATH": behaviour.path, "LT_TEST_TIMEOUT_S": str(behaviour.timeout_s)}
    if behaviour.tls:
        environment |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(target.authority))
    users = str(len(CLIENTS) * USERS_OF_A_KIND)
    load_s = 15 * LOAD_S if end == "SIGINT" else LOAD_S  # on a busy machine the signal could come after the plan's end
    options = ["--users", users, "--spawn-rate", users, "--duration", f"{load_s}s", "--workers", "2", "--yes"]
    options += ["--no-check", "--join-timeout", f"{START_S:.0f}s"]
    words = [sys.executable, str(ROOT / "lt.py"), "run", "-s", str(CASES / "matrix_scenario.py"), "-t", target.url]
    with (folder / "out").open("w+") as out:
        process = subprocess.Popen(
            [*place.of_load, *words, *options, "--runs", str(runs)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            started_s = wait_for_load(process, runs, folder / "out")
            family = psutil.Process(process.pid).children(recursive=True)
            if behaviour.at_event:
                time.sleep(max(0.0, started_s + EVENT_S - time.monotonic()))
                place.events.get(behaviour.at_event, lambda: void(target.ask(behaviour.at_event)))()
            if end != "plan":
                time.sleep(max(0.0, started_s + CUT_SHORT_S - time.monotonic()))
                cut_short(process, end, runs)
            process.wait(timeout=2 * WALL_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        wall_s = time.monotonic() - started_s
        _, left = psutil.wait_procs(family, timeout=10)
    return Cell(Ran(Done(process.returncode, (folder / "out").read_text(), ""), runs), wall_s, left)


def wait_for_load(process: subprocess.Popen[bytes], runs: Path, out: Path) -> float:
    """Wait until the load has begun, and return the time."""
    give_up_s = time.monotonic() + START_S
    while time.monotonic() < give_up_s:
        assert process.poll() is None, out.read_text()
        with suppress(LoadTestError):  # there is no run yet, or an incomplete record
            if runs.exists() and find_run(runs, "latest").read_run().load_start is not None:
                return time.monotonic()
        time.sleep(0.05)
    raise AssertionError(f"no load began: {out.read_text()}")


def cut_short(process: subprocess.Popen[bytes], end: str, runs: Path) -> None:
    if end == "SIGINT":
        process.send_signal(signal.SIGINT)
        return
    pids = [worker.pid for worker in find_run(runs, "latest").read_run().workers]
    assert len(pids) == 2
    assert pids[0] is not None
    os.kill(pids[0], signal.SIGKILL)


def check(cell: Cell, behaviour: Behaviour, end: str, read: Mapping[str, int]) -> None:
    """Assert that no request is lost, the verdict is right, the run ended in time, and nothing is left."""
    run, rows = cell.ran.run, cell.ran.rows("name", "outcome")
    by_client = {name: int(count) for name, count in rows.groupby("name", observed=True).size().items()}
    missing = sum(worker.rows_missing_at_most or 0 for worker in run.workers)
    resent = sum(worker.resent for worker in run.workers)
    refused = sum(refusal.count for refusal in run.refusals if refusal.lost)
    told = f"{run.outcome} {run.reasons} read {dict(read)} rows {by_client} missing {missing} resent {resent}"
    told += f"\n{cell.ran.said[-3000:]}"
    for name in CLIENTS:
        # a Custom client reports a request when it ends, so a killed worker has not reported the requests that were in
        # flight
        under_way = USERS_OF_A_KIND if name == "Custom" and end == "worker killed" else 0
        assert by_client.get(name, 0) + missing + refused + resent + under_way >= read.get(name, 0), told
        assert by_client.get(name, 0) + refused > 0 or end != "plan", told
    assert run.sealed is not None, told
    assert len(rows) == run.sealed.rows == sum(worker.rows_received for worker in run.workers), told
    whole = [worker for worker in run.workers if worker.rows_sent is not None]
    assert all(worker.rows_sent == worker.rows_received for worker in whole), told
    begun, sent = (sum(getattr(worker, name) for worker in whole) for name in ("begun", "rows_sent"))
    assert begun == sent + refused, told
    assert run.starts_not_known == ["CUSTOM"] or refused or end != "plan", told
    killed = [worker for worker in run.workers if worker.rows_sent is None]
    assert len(killed) == (end == "worker killed"), told
    check_outcomes(cell, behaviour, end, told)
    assert cell.wall_s < WALL_S, told
    assert not cell.left, told


def check_outcomes(cell: Cell, behaviour: Behaviour, end: str, told: str) -> None:
    rows = cell.ran.rows("name", "outcome")
    failed = float((rows.outcome != "ok").mean())
    assert (failed > 0.01) == behaviour.fails, told
    if end == "plan":
        for name, of_client in rows.groupby("name", observed=True):
            found = set(of_client.outcome)
            # the events of a Custom client have no response, so a rejected status is recorded as check_failed
            if name == "Custom":
                found = {"http_error" if outcome == "check_failed" else outcome for outcome in found}
            assert found & behaviour.outcomes, f"{name} has {found}\n{told}"
    codes = {"plan": {1} if behaviour.fails else {0}, "SIGINT": {130}, "worker killed": {1, 3} - {0}}[end]
    assert cell.ran.done.code in codes, f"exit {cell.ran.done.code} of {codes}: {told}"
    outcomes = {"plan": {"complete", "degraded"} if behaviour.fails else {"complete"}, "SIGINT": {"interrupted"}}
    assert cell.ran.run.outcome.value in outcomes.get(end, {"degraded"}), told
    if behaviour.fails or end != "plan":
        assert "Yes" not in cell.ran.said, told


IN_CI = {("hang", "plan"), ("hang after 5", "plan"), ("reset", "plan"), ("hang", "SIGINT"), ("hang", "worker killed")}
"""Cells that CI runs too. The other combinations belong to the sweep."""

CELLS = [
    pytest.param(name, end, marks=() if (name, end) in IN_CI else pytest.mark.long, id=f"{name}-{end}")
    for name in BEHAVIOURS
    for end in ENDS
]


@pytest.mark.slow
@pytest.mark.timeout(2 * START_S + WALL_S)
@pytest.mark.parametrize(("name", "end"), CELLS)
def test_no_request_vanishes_and_no_failing_run_passes(name: str, end: str, tmp_path: Path) -> None:
    """Rows and missing requests add up to the server's count. A run with more than 1 % failed requests never passes."""
    behaviour = BEHAVIOURS[name]
    with place_for(behaviour.at_event) as place:
        target = Target(place, tmp_path, tls=behaviour.tls)
        try:
            cell = drive(target, behaviour, end, tmp_path)
            check(cell, behaviour, end, target.counts())
        finally:
            target.close()
