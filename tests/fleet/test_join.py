"""Joining a run: workers on other machines need the secret of the run. It is generated, printed once, and required."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest.core.addresses import free_port
from loadtest.core.errors import FleetError, UsageError
from loadtest.fleet.fleet import Fleet
from loadtest.fleet.join import invitation, join_secret
from loadtest.fleet.plan import FleetOptions, FleetPlan
from loadtest.fleet.scenario import Scenario
from loadtest.recorder.messages import SECRET_VARIABLE
from loadtest.recording.catalogue import find_run
from loadtest.recording.folder import RunFolder
from tests.conftest import ROOT, Until, counting_server, lt, started

GIVEN = "0123456789abcdef"


@pytest.mark.parametrize("bind", ["0.0.0.0", "10.0.0.2", "::", "fe80::1", "master.internal"])
def test_off_loopback_a_secret_is_made(bind: str) -> None:
    """The secret has 128 bits and is different for each run. A secret in the environment has priority."""
    made = {join_secret(bind, {}) for _ in range(5)}
    assert (len(made), {len(thread) for thread in made}) == (5, {32})
    assert join_secret(bind, {SECRET_VARIABLE: GIVEN}) == GIVEN


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_on_loopback_none_is_needed(bind: str) -> None:
    """Only programs on this machine can connect. If a secret is set, these programs need it too."""
    assert join_secret(bind, {}) == ""
    assert join_secret(bind, {SECRET_VARIABLE: GIVEN}) == GIVEN


@pytest.mark.parametrize("short", ["", "x", GIVEN[:-1]])
def test_a_short_secret_is_refused(short: str) -> None:
    """A short secret could be guessed from the proof that a worker sends."""
    with pytest.raises(UsageError, match=f"has {len(short)} characters: set at least 16"):
        join_secret("0.0.0.0", {SECRET_VARIABLE: short})


def test_a_fleet_does_not_listen_off_loopback_without_one(tmp_path: Path) -> None:
    """The rule applies to every plan of a fleet, no matter which code makes the plan."""
    scenario = Scenario.model_construct(path=tmp_path / "x.py")
    options = FleetOptions(workers=1, expect_workers=1, bind="0.0.0.0")
    plan = FleetPlan(options=options, scenario=scenario, host=None)
    with pytest.raises(FleetError, match="no join secret is set"), Fleet(plan, RunFolder(tmp_path)):
        pass


def test_the_command_for_the_other_machines_pastes() -> None:
    """The command contains the secret if it was generated.

    A secret of the environment is not printed; the command contains the variable's name instead.
    """
    said = [
        invitation(missing=1, bind="10.0.0.2", port=5557, secret="s3", environment={}),
        invitation(missing=1, bind="10.0.0.2", port=7, secret=GIVEN, environment={SECRET_VARIABLE: GIVEN}),
        invitation(missing=1, bind="::", port=7, secret="", environment={}),
    ]
    assert [line.partition("machines: ")[2] for line in said] == [
        "LT_JOIN_SECRET=s3 python lt.py worker --master 10.0.0.2:5557",
        'LT_JOIN_SECRET="$LT_JOIN_SECRET" python lt.py worker --master 10.0.0.2:7',
        "python lt.py worker --master THIS_MACHINE:7",
    ]


@pytest.mark.slow
def test_only_workers_that_know_it_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: Until) -> None:
    """A worker without the secret is refused with a message that says what to set.

    The run is complete without that worker.
    """
    port = str(free_port())
    plan = ("--users", "2", "--spawn-rate", "2", "--duration", "3s", "--runs", str(tmp_path), "--port", port)
    monkeypatch.setenv(SECRET_VARIABLE, GIVEN)
    with counting_server() as server:
        with started("run", "-s", "ramp300", "-t", server.url, *plan, "--expect-workers", "1") as run:
            until(lambda: list(tmp_path.glob("*/run.json")), "the run's folder")
            monkeypatch.delenv(SECRET_VARIABLE)
            refused = lt("worker", "--master", f"127.0.0.1:{port}", "--processes", "1")
            assert (refused.code, "set LT_JOIN_SECRET" in refused.err + refused.out) == (4, True), refused
            monkeypatch.setenv(SECRET_VARIABLE, GIVEN)
            joined = lt("worker", "--master", f"127.0.0.1:{port}", "--processes", "1")
            out, err = run.communicate(timeout=60)
        folder = find_run(tmp_path, "latest")
        assert len(folder.read_rows(["start"])) == server.count() > 0
    record = folder.read_run()
    assert (run.returncode, joined.code, record.outcome.value) == (0, 0, "complete"), err
    assert [worker.lost_at for worker in record.workers] == [None]
    assert GIVEN not in out + err + folder.log.read_text("utf-8") + (folder.path / "run.json").read_text("utf-8")


NAMESPACE, ADDRESS = f"ltj{os.getpid()}", "10.78.0.1"


@pytest.fixture
def off_loopback() -> Iterator[tuple[str, ...]]:
    """Arguments to put before a command. They make ADDRESS a non-loopback address that only this command can see."""
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("needs `ip netns add` (iproute2, root)")
    if subprocess.run(["ip", "netns", "add", NAMESPACE], capture_output=True, check=False).returncode:
        pytest.skip("this machine makes no namespaces")
    try:
        for words in (
            "link set lo up",
            "link add near type veth peer name far",
            f"addr add {ADDRESS}/24 dev near",
            "link set near up",
            "link set far up",
        ):
            subprocess.run(["ip", "-n", NAMESPACE, *words.split()], check=True)
        yield ("ip", "netns", "exec", NAMESPACE)
    finally:
        found = subprocess.run(["ip", "netns", "pids", NAMESPACE], capture_output=True, text=True, check=False).stdout
        for pid in found.split():
            os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=False)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_off_loopback_the_printed_command_joins_and_no_other(
    off_loopback: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a real address, the secret is generated and printed.

    A worker without the secret is refused, and a worker with the secret joins.
    """
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    program = [*off_loopback, sys.executable, str(ROOT / "lt.py")]
    script = str(ROOT / "tests" / "counting_server.py")
    plan = ["--users", "2", "--spawn-rate", "2", "--duration", "3s", "--runs", str(tmp_path), "--yes"]
    fleet = ["--bind", ADDRESS, "--expect-workers", "1", "--join-timeout", "100s"]
    with subprocess.Popen([*off_loopback, sys.executable, script], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        with subprocess.Popen(
            [*program, "run", "-s", "ramp300", "-t", url, *plan, *fleet],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as run:
            assert run.stderr is not None
            invited = next(found for line in run.stderr if (found := re.search(r"LT_JOIN_SECRET=.*", line)))
            given, *_, master = shlex.split(invited[0])
            secret = given.partition("=")[2]
            assert master.startswith(f"{ADDRESS}:")
            worker = [*program, "worker", "--processes", "1", "--master", master]
            for wrong in ({}, {SECRET_VARIABLE: secret[::-1]}):
                refused = subprocess.run(
                    worker, env=os.environ | wrong, capture_output=True, text=True, timeout=60, check=False
                )
                assert refused.returncode == 4, refused
                assert secret not in refused.stdout + refused.stderr
            joined = subprocess.run(
                worker,
                env=os.environ | {SECRET_VARIABLE: secret},
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )
            _, err = run.communicate(timeout=60)
        server.kill()
    record = find_run(tmp_path, "latest").read_run()
    assert (run.returncode, joined.returncode, record.outcome.value) == (0, 0, "complete"), err
    assert sum(worker.rows_received for worker in record.workers) > 0
    assert secret not in find_run(tmp_path, "latest").log.read_text("utf-8")
