"""Start processes that end when the emulator ends, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

_PR_SET_PDEATHSIG = 1  # prctl.h


def owner_name(pid: int | None = None) -> str:
    """Return the name of a process for all time: its pid and when it started.

    Raises:
        psutil.NoSuchProcess: it is gone.
    """
    process = psutil.Process(pid)
    try:  # in clock ticks since the machine started: unlike a time of day it never shifts when the clock is set
        return f"{process.pid}-{Path(f'/proc/{process.pid}/stat').read_text().rpartition(')')[2].split()[19]}"
    except OSError:  # no /proc: macOS
        return f"{process.pid}-{round(process.create_time() * 100)}"


def is_alive(name: str) -> bool:
    """Whether the process that `owner_name` named is still there (a zombie is not)."""
    try:
        pid = int(name.split("-", maxsplit=1)[0])
        return owner_name(pid) == name and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (ValueError, psutil.Error):
        return False


def emulators_room() -> Path:
    """Return the folder in which every emulator of this user has its own."""
    return Path(tempfile.gettempdir()) / f"lt-emulator-{os.getuid()}"


class ProcessSupervisor:
    """The processes of one emulator.

    A child dies with the emulator's main thread (Linux: PR_SET_PDEATHSIG) and is in a session of its own, so that
    Ctrl-C reaches the emulator alone. Its name stands as a file in `room/children` while it lives: what an emulator
    that was killed left behind, grandchildren included, the next one finds there and ends (`sweep`).
    """

    def __init__(self) -> None:
        self.room = Path(emulators_room() / owner_name())
        self._libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def startup(self) -> None:
        """Make the room."""
        self.room.parent.mkdir(mode=0o700, exist_ok=True)
        (self.room / "children").mkdir(parents=True, exist_ok=True)

    async def start(
        self,
        argv: Sequence[str],
        *,
        stdout: IO[bytes] | int = DEVNULL,
        stderr: IO[bytes] | int = DEVNULL,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        cgroup_files: Sequence[Path] = (),
    ) -> Process:
        """Start `argv`, inside the cgroups whose `cgroup.procs` are given.

        Raises:
            OSError: there is no such program, or it may not be run.
        """
        joins = [os.open(path, os.O_WRONLY) for path in cgroup_files]
        mother = os.getpid()
        libc = self._libc

        def in_the_child() -> None:  # between fork and exec: nothing but system calls
            for fd in joins:
                os.write(fd, b"0")
            if libc is not None:
                libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != mother:  # it died before the line above
                    os._exit(1)

        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=env,
                pass_fds=tuple(pass_fds),
                start_new_session=True,
                preexec_fn=in_the_child,
            )
        finally:
            for fd in joins:
                os.close(fd)
        with contextlib.suppress(psutil.NoSuchProcess):
            (self.room / "children" / owner_name(process.pid)).touch()
        return process

    async def wait(self, process: Process) -> int:
        """Return its exit code once it has ended; its whole session is ended with it."""
        code = await process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        for path in (self.room / "children").glob(f"{process.pid}-*"):
            path.unlink(missing_ok=True)
        return code

    def shutdown(self) -> None:
        """Remove the room."""
        shutil.rmtree(self.room, ignore_errors=True)


def sweep() -> list[str]:
    """End what emulators that are gone left behind and return a sentence for each thing found."""
    found = []
    for room in sorted(emulators_room().glob("*-*")):
        if is_alive(room.name):
            continue
        for child in sorted((room / "children").glob("*-*")):
            pid = int(child.name.split("-")[0])
            leads_its_session = _session_of(pid) in (pid, None)
            if is_alive(child.name) or (not psutil.pid_exists(pid) and _session_members(pid)):
                if leads_its_session:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(pid, signal.SIGKILL)
                found.append(f"ended process {pid} of an emulator that is gone")
        shutil.rmtree(room, ignore_errors=True)
        found.append(f"removed {room}")
    return found


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _session_members(session: int) -> list[int]:
    return [pid for pid in psutil.pids() if _session_of(pid) == session]
