"""A run is interrupted at any moment: it ends in time, with a code of the table, no traceback, and nothing left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from loadtest.core.exit_codes import ExitCode
from tests.conftest import started

TRIALS = int(os.environ.get("LT_KILLS", "200"))
SEED = 20261126
WITHIN_S = 90.0
"""For a run of 3 s that is interrupted, or one of whose processes is killed, on a busy machine."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGSTOP)
PROCESSES = ("lt", "master", "worker", "service")


def _named(process: psutil.Process) -> str:
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    if "target_service" in words:
        return "service"
    return "master" if "--master" in words else "worker" if "--worker" in words else ""


def _family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def trial(number: int, where: Path) -> str:
    """Run once, send one signal at a random moment to a random process, and return how it ended; "" is well."""
    choose = random.Random(SEED + number)
    who, what, at_s = choose.choice(PROCESSES), choose.choice(SIGNALS), choose.uniform(0.0, 9.0)
    runs = where / str(number)
    plan = ("--users", "2", "--spawn-rate", "2", "--duration", "3s", "--workers", "1", "--runs", str(runs))
    with started("run", "-s", "ramp300", *plan) as process:
        time.sleep(at_s)
        family = _family(process.pid)
        hit = process.pid if who == "lt" else next((one.pid for one in family if _named(one) == who), None)
        if hit is not None and process.poll() is None:
            os.kill(hit, what)
            if (what is signal.SIGSTOP and choose.random() < 0.5) or (what is signal.SIGSTOP and who == "lt"):
                time.sleep(1.0)
                os.kill(hit, signal.SIGCONT)
        try:
            _, err = process.communicate(timeout=WITHIN_S)
        except subprocess.TimeoutExpired:
            return f"{who} {what.name} at {at_s:.1f} s: still running after {WITHIN_S:g} s"
    give_up_s = time.monotonic() + 30
    while (left := [one for one in family if one.is_running() and one.status() != "zombie"]) and (
        time.monotonic() < give_up_s
    ):
        time.sleep(0.2)
    folders = sorted(one.name for one in Path(os.environ["TMPDIR"]).iterdir())
    problems = [
        *(["traceback"] if "Traceback" in err else []),
        *([f"left {[one.pid for one in left]}"] if left else []),
        *([f"folders {folders}"] if folders and not (who == "lt" and what is signal.SIGKILL) else []),
        *([] if process.returncode in {*ExitCode, -signal.SIGKILL} else [f"exit {process.returncode}"]),
    ]
    return f"{who} {what.name} at {at_s:.1f} s: {', '.join(problems)}\n{err[-600:]}" if problems else ""


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)
def test_random_kills_end_in_good_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LT_KILLS=20 for fewer than 200."""
    (tmp_path / "t").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    ended = []
    for number in range(TRIALS):
        ended.append(trial(number, tmp_path))
        print(number, ended[-1] or "good", flush=True)
    failed = [why for why in ended if why]
    print(f"{TRIALS} kills, seed {SEED}: {Counter('bad' if why else 'good' for why in ended)}")
    assert not failed, "\n".join(failed)
