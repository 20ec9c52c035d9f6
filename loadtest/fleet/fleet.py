"""Start a Locust master and its workers as processes, watch them, stop them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

from ..core.addresses import LOOPBACK, free_port
from ..core.errors import FleetError
from ..recorder.messages import FOLDER_VARIABLE, PARENT_VARIABLE
from ..recording.folder import RunFolder
from .scenario import locust_environment

RECORDER = Path(__file__).parent.parent / "recorder" / "plugin.py"

STOP_TIMEOUT_S = 10
"""How long users may finish what they began when the run ends; what takes longer is cut off and not recorded."""

END_S = STOP_TIMEOUT_S + 15.0
"""How long the fleet may take to end after it was told: the stop time-out, the last frames, Locust's own good-byes."""

ALONE_S = 5.0
"""A master whose workers have all ended ends by itself, or, when they were killed, is told to after this long."""


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What the fleet is to run. None leaves it to the scenario.

    Attributes:
        locustfile: of the scenario.
        host: the target's base URL.
        workers: processes started on this machine.
        expect_workers: workers to wait for in all; the ones beyond `workers` join from other machines.
        bind: the address the master listens on for workers.
        port: the port of it; 0 takes a free one.
        join_timeout_s: how long to wait for all the workers.
        ui_port: of Locust's own web page on loopback; None for none.
        environment: variables for every process beside this one's own.
    """

    locustfile: Path
    host: str
    workers: int
    expect_workers: int
    users: int | None = None
    spawn_rate: float | None = None
    duration_s: float | None = None
    seed: int = 1
    bind: str = LOOPBACK
    port: int = 0
    join_timeout_s: float = 60.0
    ui_port: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


class Fleet:
    """A master and its local workers. Ends with the `with` block, whatever happens in it."""

    def __init__(self, plan: FleetPlan, folder: RunFolder) -> None:
        self.plan = plan
        self.folder = folder
        self.port = plan.port or free_port(plan.bind)
        self._log: IO[bytes] | None = None
        self._master: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []
        self._alone_since_s: float | None = None

    def __enter__(self) -> Fleet:
        """Start it."""
        self.startup()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what is left of it."""
        self.kill()

    def startup(self) -> None:
        """Start every process; they find each other by themselves.

        Raises:
            FleetError: a process could not be started.
        """
        plan = self.plan
        require_free(plan.bind, self.port, option="--port")
        if plan.ui_port is not None:
            require_free(LOOPBACK, plan.ui_port, option="--ui")
        self._log = self.folder.log.open("ab")
        common = ["-f", f"{plan.locustfile},{RECORDER}", "--loglevel", "INFO"]
        master = [*common, "--master", "--master-bind-host", plan.bind, "--master-bind-port", str(self.port)]
        master += [
            "--expect-workers",
            str(plan.expect_workers),
            "--expect-workers-max-wait",
            str(int(plan.join_timeout_s)),
        ]
        master += ["--host", plan.host, "--stop-timeout", str(STOP_TIMEOUT_S), "--enable-rebalancing", "--only-summary"]
        master += ["--exit-code-on-error", "0"]
        for option, value in (
            ("--users", plan.users),
            ("--spawn-rate", plan.spawn_rate),
            ("--run-time", plan.duration_s),
        ):
            master += [] if value is None else [option, f"{value:.15g}"]  # never 1e+06: Locust wants digits
        if plan.ui_port is None:
            master += ["--headless"]
        else:
            master += ["--web-host", LOOPBACK, "--web-port", str(plan.ui_port), "--autostart", "--autoquit", "1"]
        worker = [*common, "--worker", "--master-host", LOOPBACK if plan.bind == "0.0.0.0" else plan.bind]
        worker += ["--master-port", str(self.port)]
        self._master = self._start(master, {FOLDER_VARIABLE: str(self.folder.path.resolve())})
        self._workers = [self._start(worker, {}) for _ in range(plan.workers)]

    def _start(self, arguments: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [sys.executable, "-m", "locust", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is ours to pass on, once and in order
                env={
                    **locust_environment(),
                    **self.plan.environment,
                    **environment,
                    PARENT_VARIABLE: str(os.getpid()),
                    "LT_SEED": str(self.plan.seed),
                },
            )
        except OSError as error:
            raise FleetError(f"Locust could not be started ({error}): try `python -m locust --version`.") from error

    def pids(self) -> tuple[int, ...]:
        """Return the process ids, the master's first."""
        return tuple(process.pid for process in (self._master, *self._workers) if process is not None)

    def running(self) -> bool:
        """Whether the run is still going on; a master that has lost all its workers is told to end."""
        assert self._master is not None
        if self._master.poll() is not None:
            return False
        if self.plan.expect_workers > len(self._workers) or any(worker.poll() is None for worker in self._workers):
            self._alone_since_s = None
        elif self._alone_since_s is None:
            self._alone_since_s = time.monotonic()
        elif time.monotonic() - self._alone_since_s > ALONE_S:
            self._master.terminate()
        return True

    def finish(self) -> int:
        """Wait for the end of a fleet whose master has ended, and return the master's exit status (−9 for SIGKILL)."""
        assert self._master is not None
        code = self._master.wait()
        give_up_s = time.monotonic() + END_S
        for worker in self._workers:
            if code != 0 and worker.poll() is None:
                worker.terminate()
            try:
                worker.wait(timeout=max(0.1, give_up_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        return code

    def stop(self) -> None:
        """Ask the fleet to end: users finish what they began, the last rows are collected. Returns at once."""
        if self._master is not None and self._master.poll() is None:
            self._master.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End every process now."""
        for process in (self._master, *self._workers):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        if self._log is not None:
            self._log.close()

    def last_words(self, lines: int = 12) -> str:
        """Return the end of the fleet's log, for an error's text."""
        try:
            text = self.folder.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.strip().splitlines()[-lines:])


def require_free(host: str, port: int, *, option: str) -> None:
    """Return when this process could listen on the port.

    Raises:
        FleetError: another process does; the text names the option to change.
    """
    with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise FleetError(
                f"`{option} {port}`: cannot listen there ({error.strerror}). Choose another port."
            ) from error
