"""Run one instance: a process of the service's own command, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..core.addresses import free_port
from ..core.errors import EmulatorError
from ..core.quantities import with_variables
from .cgroups import Cgroup, CgroupError, CgroupManager
from .model import StartupProbe
from .process_supervisor import ProcessSupervisor

TERM_S = 10.0
"""Time from SIGTERM to SIGKILL, as on Cloud Run."""

LAST_LINES = 40
_LINE_BYTES = 2000
_PROBE_EVERY_S = 0.05
INSTANCE_ADDRESS = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
"""The address at which an instance must answer. Cloud Run sends requests from outside the container, so an app that
listens only on 127.0.0.1 never becomes ready on Cloud Run, and must not become ready in the emulator. (macOS has no
second loopback address.)"""

_UNREACHABLE_S = 3.0  # if an instance has listened only on 127.0.0.1 for this long, its start counts as failed
_ON_LOOPBACK = (
    "The container listens only on 127.0.0.1:$PORT, where Cloud Run cannot reach it, so it never becomes ready: let "
    "it listen on 0.0.0.0 (for uvicorn: --host 0.0.0.0)."
)
_LATE = (
    "The container failed to start and listen on the port defined by the PORT=$PORT environment variable within the "
    "allocated timeout ({limit_s:g} s)."
)


class StartError(EmulatorError):
    """The instance did not start. The message contains its last lines of output."""


class State(StrEnum):
    """The state of an instance. `standby` means ready and kept warm, without requests."""

    STARTING = "starting"
    SERVING = "serving"
    STANDBY = "standby"
    STOPPING = "stopping"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Run:
    """The command of an instance and its settings."""

    argv: Sequence[str]
    env: Sequence[tuple[str, str]]
    cpu: float | None
    memory_bytes: int
    cpu_boost: bool
    probe: StartupProbe


class Instance:
    """One instance: its process, its cgroup and its last lines of output.

    Attributes:
        startup_s: time from the start until the startup probe passed; None until then.
        why_gone: why the instance ended, in Cloud Run's wording; "" while it runs and after it was stopped on purpose.
    """

    def __init__(
        self, name: str, slot: int, run: Run, *, supervisor: ProcessSupervisor, cgroups: CgroupManager
    ) -> None:
        self.name = name
        self.slot = slot
        self.port = 0
        self.state = State.STARTING
        self.startup_s: float | None = None
        self.why_gone = ""
        self.started_s = time.monotonic()
        self.lines: deque[str] = deque(maxlen=LAST_LINES)
        self._run = run
        self._supervisor = supervisor
        self._cgroups = cgroups
        self._cgroup: Cgroup | None = None
        self._process: Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()

    async def start(self) -> None:
        """Start the process and wait until the startup probe has passed.

        Raises:
            StartError: the process ended or could not be started in its cgroup, or the probe did not pass in time. No
                process is left.
        """
        run, probe = self._run, self._run.probe
        self.port = free_port("0.0.0.0")
        env = {**dict(run.env), "PORT": str(self.port)}
        try:
            cgroup = self._make_cgroup()
            self._process = await self._supervisor.start(
                with_variables(run.argv, env), stdout=PIPE, stderr=STDOUT, env=env, cgroup_files=cgroup.join_files
            )
        except CgroupError as error:
            await self._end(str(error))
            raise StartError(str(error)) from error
        except OSError as error:
            await self._end(error.strerror or str(error))
            raise StartError(f"{run.argv[0]}: {error.strerror}. Check --command.") from error
        except BaseException:
            # the future is cancelled, so that a task that waits for the instance's end does not wait forever
            await self._end("")
            raise
        cgroup.watch(self._process.pid)
        self._watching = asyncio.create_task(self._watch(self._process))
        await asyncio.sleep(probe.initial_delay_s)
        limit_s = probe.initial_delay_s + probe.period_s * probe.failure_threshold
        unreachable_since_s: float | None = None
        while not await self._answers():
            now_s = time.monotonic()
            if not await self._only_on_loopback():
                unreachable_since_s = None
            elif unreachable_since_s is None:
                unreachable_since_s = now_s
            unreachable = unreachable_since_s is not None and now_s - unreachable_since_s > _UNREACHABLE_S
            if self.state is State.GONE or now_s - self.started_s > limit_s or unreachable:
                why = self.why_gone or (_ON_LOOPBACK if unreachable else _LATE.format(limit_s=limit_s)).replace(
                    "$PORT", str(self.port)
                )
                await self.stop(grace_s=0)
                raise StartError(f"{why} Its last lines:\n{self.last_lines()}")
            await asyncio.sleep(_PROBE_EVERY_S)
        self.startup_s = time.monotonic() - self.started_s
        if self._cgroup is not None:  # the process may have ended just now
            self._cgroup.weigh("serving")

    def _make_cgroup(self) -> Cgroup:
        """Make the cgroup, with the limits of a starting instance.

        Raises:
            CgroupError: the cgroup cannot be created or written.
        """
        try:
            self._cgroup = cgroup = self._cgroups.create(self.name)
            cgroup.limit_memory(self._run.memory_bytes)
            cgroup.weigh("starting")
            if not self._run.cpu_boost:
                cgroup.limit_cpu(self._run.cpu)
        except OSError as error:
            path = error.filename or f"a file of {self.name}'s cgroup"
            raise CgroupError("The instance cannot be limited", [path], error.strerror) from error
        return cgroup

    def admit_cpu(self, cpu: float | None) -> None:
        """Limit the instance to `cpu` vCPU from now on."""
        if self._cgroup is not None:
            self._cgroup.limit_cpu(cpu)

    def cpu_used_s(self) -> float:
        """Return the CPU time used so far, in s."""
        return self._cgroup.cpu_used_s() if self._cgroup is not None else 0.0

    def memory_bytes(self) -> int:
        """Return the memory in use."""
        return self._cgroup.memory_bytes() if self._cgroup is not None else 0

    def end_if_out_of_memory(self) -> None:
        """If the memory limit has killed one of the instance's processes, end the whole instance, as Cloud Run does."""
        if self._cgroup is not None and self._process is not None and self._cgroup.oom_kills():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    @property
    def pid(self) -> int | None:
        """The process id, while the process exists."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def last_lines(self) -> str:
        """Return the last lines of output of the instance."""
        return "\n".join(self.lines) or "(it wrote nothing)"

    async def stop(self, *, grace_s: float = TERM_S) -> None:
        """Stop the process and wait until it has ended: SIGTERM, then SIGKILL after `grace_s`."""
        if self.state is not State.GONE:
            self.state = State.STOPPING
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._gone.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await self._gone.wait()

    async def wait_gone(self) -> None:
        """Wait until the process has ended for any reason."""
        await self._gone.wait()

    async def _answers(self) -> bool:
        probe = self._run.probe
        try:
            async with asyncio.timeout(probe.timeout_s):
                reader, writer = await asyncio.open_connection(INSTANCE_ADDRESS, self.port)
        except (OSError, TimeoutError):
            return False
        try:
            if probe.kind == "tcp":
                return self.state is not State.GONE
            writer.write(f"GET {probe.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            async with asyncio.timeout(probe.timeout_s):
                line = await reader.readline()
            return line.split(b" ")[1:2] != [] and 200 <= int(line.split(b" ")[1]) < 400
        except (OSError, TimeoutError, ValueError):
            return False
        finally:
            writer.close()

    async def _only_on_loopback(self) -> bool:
        """Whether the process listens only on 127.0.0.1."""
        return await _accepts("127.0.0.1", self.port) and not await _accepts(INSTANCE_ADDRESS, self.port)

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        rest = b""
        while chunk := await process.stdout.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-_LINE_BYTES:]
            self.lines.extend(line[:_LINE_BYTES].decode(errors="replace") for line in lines)
        if rest:
            self.lines.append(rest.decode(errors="replace"))

    async def _watch(self, process: Process) -> None:
        reading = asyncio.create_task(self._read(process))
        code = await self._supervisor.wait(process)
        await asyncio.wait([reading], timeout=1.0)  # a child process outside the session may keep the pipe open
        reading.cancel()
        await self._end(self._why(code))

    def _why(self, code: int) -> str:
        if self._cgroup is not None and self._cgroup.oom_kills():
            limit_mib, used_mib = (
                round(size / 2**20) for size in (self._run.memory_bytes, self._cgroup.memory_peak_bytes())
            )
            return (
                f"Memory limit of {limit_mib} MiB exceeded with {max(used_mib, limit_mib)} MiB used. "
                "Consider increasing the memory limit, see https://cloud.google.com/run/docs/configuring/memory-limits"
            )
        if self.state is State.STOPPING:
            return ""
        if code < 0:
            return f"Uncaught signal: {-code} ({signal.strsignal(-code)})."
        return f"Container called exit({code})."

    async def _end(self, why: str) -> None:
        self.why_gone = why
        self.state = State.GONE
        if self._cgroup is not None:
            await asyncio.to_thread(self._cgroup.remove)
            self._cgroup = None
        self._gone.set()


async def _accepts(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(1.0):
            _, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
