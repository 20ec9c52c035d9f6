"""Start processes that end when the emulator ends for any reason."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import SubprocessError
from typing import IO

from .cgroups import CgroupError
from .folders import MARK_VARIABLE, end_marked

_PR_SET_PDEATHSIG = 1  # from prctl.h
_NO_JOIN = "The instance cannot join its cgroup"

PASSED_VARIABLES = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "TZ", "TMPDIR", "LANG", "LANGUAGE"),
        *("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "NODE_PATH", "JAVA_HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    }
)
"""The variables of the shell's environment that a process gets, besides LC_*: only those needed to find and run a
program. A container on Cloud Run does not see the deployer's environment, so a service that depends on this environment
must fail in the emulator too."""


def base_environment() -> dict[str, str]:
    """Return the part of this process's environment that is passed to the emulator's processes."""
    return {name: value for name, value in os.environ.items() if name in PASSED_VARIABLES or name.startswith("LC_")}


class ProcessSupervisor:
    """The processes of one emulator.

    A child process ends together with the emulator's main thread (Linux: PR_SET_PDEATHSIG). A child process has its own
    session, so that Ctrl-C reaches only the emulator. The environment of a child process contains the emulator's mark,
    and the process passes on the mark to its own children. `leftovers.sweep` finds the processes of a killed emulator
    by this mark.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._libc = ctypes.CDLL(None) if sys.platform == "linux" else None

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
        """Start `argv` inside the cgroups whose `cgroup.procs` are given. `env` is added to `base_environment`.

        Inside a cgroup the process has normal priority. If the process had real-time priority (as after `chrt lt run`),
        the kernel could refuse to put the process into the cgroup, and would not apply the CPU limit.

        Raises:
            CgroupError: the process may not join a cgroup.
            OSError: the program does not exist or cannot be run.
        """
        joins: list[int] = []
        parent = os.getpid()
        libc = self._libc

        def in_the_child() -> None:  # between fork and exec, only system calls are allowed
            if joins:
                os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            for fd in joins:
                os.write(fd, b"0")
            if libc is not None:
                libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != parent:  # the emulator ended before the line above was executed
                    os._exit(1)

        try:
            for path in cgroup_files:
                try:
                    joins.append(os.open(path, os.O_WRONLY))
                except OSError as error:
                    raise CgroupError(_NO_JOIN, [path], error.strerror) from error
            return await asyncio.create_subprocess_exec(
                *argv,
                stdin=DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**base_environment(), **(env or {}), MARK_VARIABLE: self._mark},
                pass_fds=tuple(pass_fds),
                start_new_session=True,
                preexec_fn=in_the_child,
            )
        except SubprocessError as error:  # raised by in_the_child; the error does not contain the system's reason
            raise CgroupError(_NO_JOIN, cgroup_files) from error
        finally:
            for fd in joins:
                os.close(fd)

    async def wait(self, process: Process) -> int:
        """Wait until the process has ended, end its whole session, and return its exit code."""
        code = await process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        return code

    def shutdown(self) -> None:
        """End processes that left the session of their parent."""
        end_marked(self._mark)
