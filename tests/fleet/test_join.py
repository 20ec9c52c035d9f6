"""Who may join a run: workers of other machines need its secret, which is made, printed once, and asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.core.addresses import free_port
from loadtest.core.errors import FleetError, UsageError
from loadtest.fleet.fleet import Fleet, FleetPlan
from loadtest.fleet.join import invitation, join_secret
from loadtest.recorder.messages import SECRET_VARIABLE
from loadtest.recording.catalogue import find_run
from loadtest.recording.folder import RunFolder
from tests.conftest import Until, counting_server, lt, started

GIVEN = "0123456789abcdef"


@pytest.mark.parametrize("bind", ["0.0.0.0", "10.0.0.2", "::", "fe80::1", "master.internal"])
def test_off_loopback_a_secret_is_made(bind: str) -> None:
    """128 bits, and another one for each run; the environment's goes before it."""
    made = {join_secret(bind, {}) for _ in range(5)}
    assert (len(made), {len(thread) for thread in made}) == (5, {32})
    assert join_secret(bind, {SECRET_VARIABLE: GIVEN}) == GIVEN


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_on_loopback_none_is_needed(bind: str) -> None:
    """Only programs of this machine can connect; where one is set, they need it too."""
    assert join_secret(bind, {}) == ""
    assert join_secret(bind, {SECRET_VARIABLE: GIVEN}) == GIVEN


@pytest.mark.parametrize("short", ["", "x", GIVEN[:-1]])
def test_a_short_secret_is_refused(short: str) -> None:
    """It could be guessed from the proof that a worker sends."""
    with pytest.raises(UsageError, match=f"has {len(short)} characters: give at least 16"):
        join_secret("0.0.0.0", {SECRET_VARIABLE: short})


def test_a_fleet_does_not_listen_off_loopback_without_one(tmp_path: Path) -> None:
    """Whoever makes its plan."""
    plan = FleetPlan(locustfile=tmp_path / "x.py", host=None, workers=1, expect_workers=1, bind="0.0.0.0")
    with pytest.raises(FleetError, match="no join secret is set"), Fleet(plan, RunFolder(tmp_path)):
        pass


def test_the_command_for_the_other_machines_pastes() -> None:
    """With the secret where it was made, with the variable's name where it was given: that one is not printed."""
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
    """One without is told what to set, and gets no users; the run is complete without it."""
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
