"""A verb that is interrupted at any moment ends in time, with an exit code of the table, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from loadtest.core.exit_codes import ExitCode
from loadtest.emulator.cgroups import CGROUP_ROOT
from tests.conftest import started

TRIALS = int(os.environ.get("LT_KILLS", "24"))
"""Number of random kills; 24 take about 4 min on 2 cores. LT_KILLS=200 runs the whole sweep."""

AT_ONCE = 2
SEED = int(os.environ.get("LT_KILLS_SEED", "20261126"))
WITHIN_S = 200.0
"""Time limit for a run of 3 s that is interrupted, or one of whose processes is killed, on a busy machine."""

GONE_WITHIN_S = 45.0
"""A master or worker whose parent is gone ends by itself after 30 s at the latest (loadtest/recorder/parent.py)."""

BEFORE_PYTHON_S = 1.0
"""How long the interpreter itself may take to start. Until then, a signal has the system's default effect."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGSTOP)
INTERRUPTS = SIGNALS[:3]
PLAN = ("--users", "2", "--spawn-rate", "2", "--duration", "3s", "--workers", "1")
RUN = ("run", "-s", "ramp300", *PLAN)
EMULATE = ("emulate", "--port", "0")


@dataclass(frozen=True)
class Kill:
    """The signal, its receiver and its time. `again_s` is the time until the verb itself gets another interrupt."""

    verb: tuple[str, ...]
    who: str
    what: signal.Signals
    at_s: float
    again_s: float | None = None
    goes_on: bool = False

    def __str__(self) -> str:
        again = "" if self.again_s is None else f", again after {self.again_s:.1f} s"
        return f"{' '.join(self.verb[:1] + self.verb[-2:])}: {self.who} {self.what.name} at {self.at_s:.1f} s{again}"


def random_kill(number: int) -> Kill:
    """Return the trial with this number. In half of the trials, the signal is sent in the first 3 s."""
    choose = random.Random(SEED + number)
    verb, processes = choose.choice(
        (
            ((*RUN, "-t", "local"), ("lt", "master", "worker", "service")),
            ((*RUN, "-t", "local"), ("lt", "master", "worker", "service")),
            ((*RUN, "-t", "emulator"), ("lt", "master", "emulator", "haproxy", "service")),
            (EMULATE, ("lt", "haproxy", "service")),
        )
    )
    return Kill(
        verb,
        choose.choice(processes),
        choose.choice(SIGNALS),
        choose.uniform(0.0, choose.choice((3.0, 10.0))),
        choose.uniform(0.0, 2.0) if choose.random() < 0.3 else None,
        choose.random() < 0.5,
    )


def _named(process: psutil.Process) -> str:
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    if "target_service" in words:
        return "service"
    if words and Path(words[0]).name == "haproxy":
        return "haproxy"
    if any(word in ("loadtest.emulator", ".emulator.__main__") for word in words):
        return "emulator"
    return "master" if "--master" in words else "worker" if "--worker" in words else ""


def _family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _marks(home: Path) -> set[str]:
    """Return the marks of the emulators that have created their folder in the given folder.

    Their cgroups carry these marks.
    """
    found = set()
    for path in home.glob("lt-emulator-*/owner.json"):
        try:
            found.add(str(json.loads(path.read_text("utf-8"))["mark"]))
        except (OSError, ValueError):  # the folder is just being removed
            continue
    return found


def _cgroups(marks: set[str]) -> list[str]:
    return [str(path) for mark in marks for path in CGROUP_ROOT.glob(f"**/*{mark}") if path.is_dir()]


def _send(pid: int, what: signal.Signals, *, goes_on: bool) -> None:
    os.kill(pid, what)
    if what is signal.SIGSTOP and goes_on:
        time.sleep(1.0)
        os.kill(pid, signal.SIGCONT)


def trial(kill: Kill, where: Path) -> str:
    """Run the trial, and return what was wrong with its end; "" if nothing was wrong."""
    home = Path(tempfile.mkdtemp(prefix="k-", dir="/tmp"))  # a short path for sockets
    try:
        return _trial(kill, where, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _trial(kill: Kill, where: Path, home: Path) -> str:
    words = (*kill.verb, "--runs", str(where / "runs")) if kill.verb[0] == "run" else kill.verb
    family: dict[int, psutil.Process] = {}
    marks: set[str] = set()
    with started(*words, env={"TMPDIR": str(home)}) as process:
        time.sleep(kill.at_s)
        family |= {member.pid: member for member in _family(process.pid)}
        marks |= _marks(home)
        hit = (
            process.pid
            if kill.who == "lt"
            else next((p for p, member in family.items() if _named(member) == kill.who), None)
        )
        if hit is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                _send(hit, kill.what, goes_on=kill.goes_on or kill.who == "lt")
        if kill.again_s is not None or kill.verb[0] == "emulate":
            time.sleep(kill.again_s if kill.again_s is not None else 2.0)
            family |= {member.pid: member for member in _family(process.pid)}
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        deadline_s = time.monotonic() + WITHIN_S
        while process.poll() is None and time.monotonic() < deadline_s:
            family |= {member.pid: member for member in _family(process.pid)}
            marks |= _marks(home)
            time.sleep(0.2)
        if process.poll() is None:
            return f"{kill}: still running after {WITHIN_S:g} s: {[_named(member) for member in family.values()]}"
        out, err = process.communicate()
    return _problems(kill, home, list(family.values()), marks, process.returncode, out + err)


def _problems(kill: Kill, home: Path, family: Sequence[psutil.Process], marks: set[str], code: int, said: str) -> str:
    """Return what was wrong. Processes, folders and cgroups get GONE_WITHIN_S to disappear."""
    killed = signal.SIGKILL is kill.what and kill.who in ("lt", "emulator")  # no process is left that could clean up
    forced = kill.again_s is not None
    left: list[psutil.Process] = []
    folders: list[str] = []
    cgroups: list[str] = []
    give_up_s = time.monotonic() + GONE_WITHIN_S
    while time.monotonic() < give_up_s:
        left = [member for member in family if member.is_running() and member.status() != "zombie"]
        folders = [] if killed or forced else sorted(entry.name for entry in home.iterdir())
        cgroups = [] if killed or forced else _cgroups(marks)
        if not (left or folders or cgroups):
            break
        time.sleep(0.2)
    codes = {*ExitCode, -signal.SIGKILL}
    if kill.at_s < BEFORE_PYTHON_S and not (said or family):
        codes.add(-kill.what)  # the signal came before our first line was executed
    found = [
        *(["traceback"] if "Traceback" in said else []),
        *([f"left {[(spike.pid, _named(spike)) for spike in left]}"] if left else []),
        *([f"folders {folders}"] if folders else []),
        *([f"cgroups {cgroups}"] if cgroups else []),
        *([] if code in codes else [f"exit {code}"]),
    ]
    return f"{kill}: {', '.join(found)}\n{said[-1500:]}" if found else ""


def _all(kills: Sequence[Kill], where: Path) -> list[str]:
    """Run all trials, AT_ONCE at a time. Print how each trial ended, and return what was wrong."""

    def killed_run(number: int) -> str:
        wrong = trial(kills[number], where / str(number))
        print(number, wrong or f"good: {kills[number]}", flush=True)
        return wrong

    with ThreadPoolExecutor(AT_ONCE) as pool:
        ended = list(pool.map(killed_run, range(len(kills))))
    print(f"{len(kills)} kills, seed {SEED}: {Counter('bad' if why else 'good' for why in ended)}")
    return [why for why in ended if why]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(6 * 3600)
def test_random_kills_end_in_good_order(tmp_path: Path) -> None:
    failed = _all([random_kill(number) for number in range(TRIALS)], tmp_path)
    assert not failed, "\n".join(failed)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("verb", [(*RUN, "-t", "local"), EMULATE], ids=["run", "emulate"])
def test_an_interrupt_in_the_first_seconds_leaves_nothing(verb: tuple[str, ...], tmp_path: Path) -> None:
    """Each of three signals is sent at four moments. An emulator that still runs 2 s later gets another interrupt."""
    choose = random.Random(SEED)
    kills = [Kill(verb, "lt", what, choose.uniform(0.0, 4.0)) for _ in range(4) for what in INTERRUPTS]
    failed = _all(kills, tmp_path)
    assert not failed, "\n".join(failed)
