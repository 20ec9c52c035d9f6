"""Start a Locust master and its workers as processes, watch them, and stop them."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from types import TracebackType
from typing import IO

import psutil

from ..core.addresses import LOOPBACK, free_port, is_loopback
from ..core.errors import FleetError
from ..recorder.messages import (
    ANSWERS_VARIABLE,
    BOUNDS_VARIABLE,
    FOLDER_VARIABLE,
    PARENT_VARIABLE,
    SECRET_VARIABLE,
    UI_SECRET_VARIABLE,
)
from ..recording.folder import RunFolder
from ..recording.paths import FILE_MODE
from .join import host_in_url
from .plan import FleetOptions, FleetPlan
from .scenario import LAUNCH

STOP_TIMEOUT_S = 10
"""How long users may take to finish their tasks at the end of the run. Requests that take longer are cut off."""

END_S = STOP_TIMEOUT_S + 15.0
"""How long the fleet may take to end after it was asked to stop. This time includes the stop timeout, the last frames,
and Locust's shutdown."""

ALONE_S = 5.0
"""A master whose workers have all ended should end by itself. If the master does not end within this time (because the
workers were killed), it is stopped."""

STOPPED_S = 20.0
"""A master whose process is stopped (SIGSTOP) for this long is killed, so that the run ends."""

SILENT_S = 300.0
"""A master that is running but has recorded nothing for this long is killed; under load a master writes every
second."""

IMPORT_S = 60.0
"""How long the master may take to import the scenario before it waits for its workers."""


class Fleet:
    """A master and its local workers. The processes end with the `with` block, also after an exception."""

    def __init__(self, plan: FleetPlan, folder: RunFolder) -> None:
        self.plan = plan
        self.folder = folder
        self.port = plan.options.port or free_port(plan.options.bind)
        self._log: IO[bytes] | None = None
        self._master: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []
        self._alone_since_s: float | None = None
        self._ui_secret = secrets.token_urlsafe(32)
        self._stopped_since_s: float | None = None
        self._stop_sent_s: float | None = None
        self._began = False
        self._grown = (0, 0.0)  # the number of recorded bytes, and the time at which this number last grew
        self.reasons: list[str] = []
        """Sentences that say why the master had to be ended."""

    @property
    def ui_url(self) -> str:
        """The address of Locust's own page with this run's key, without which the page does not answer."""
        return f"http://{LOOPBACK}:{self.plan.options.ui_port}/?key={self._ui_secret}"

    def __enter__(self) -> Fleet:
        """Start the fleet."""
        self.startup()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes that are still running."""
        self.kill()

    def startup(self) -> None:
        """Start all processes; the workers connect to the master.

        Raises:
            FleetError: a process could not be started.
        """
        plan, options = self.plan, self.plan.options
        if not plan.join_secret and not is_loopback(host_in_url(options.bind)):
            raise FleetError(
                f"`--bind {options.bind}`: other machines can connect to this address, and no join secret is set."
            )
        # checked again, because another program may have taken a port since the run's start
        require_ports(options, self.port)
        self._log = self.folder.log.open("ab")
        self.folder.log.chmod(FILE_MODE)  # the log may contain what a scenario prints
        self._started_s = time.monotonic()
        environment = {
            FOLDER_VARIABLE: str(self.folder.path.resolve()),
            BOUNDS_VARIABLE: plan.bounds(),
            UI_SECRET_VARIABLE: self._ui_secret,
            **({} if plan.answers is None else {ANSWERS_VARIABLE: str(plan.answers)}),
        }
        self._master = self._start(self._master_arguments(), environment)
        self._workers = [self._start(self._worker_arguments(), {}) for _ in range(options.workers)]

    def _master_arguments(self) -> list[str]:
        plan, options, load = self.plan, self.plan.options, self.plan.scenario.load_for_locust()
        arguments = ["--master", "--master-bind-host", options.bind, "--master-bind-port", str(self.port)]
        arguments += ["--expect-workers", str(options.expect_workers)]
        arguments += ["--expect-workers-max-wait", str(int(options.join_timeout_s))]
        arguments += ["--stop-timeout", str(STOP_TIMEOUT_S)]
        arguments += ["--enable-rebalancing", "--only-summary", "--exit-code-on-error", "0"]
        for option, value in (
            ("--users", load.users),
            ("--spawn-rate", load.spawn_rate),
            ("--run-time", load.duration_s),
        ):
            # without an exponent such as 1e+06, because Locust needs digits
            arguments += [] if value is None else [option, f"{value:.15g}"]
        arguments += [] if plan.host is None else ["--host", plan.host]
        if options.ui_port is None:
            arguments += ["--headless"]
        else:
            arguments += ["--web-host", LOOPBACK, "--web-port", str(options.ui_port), "--autostart", "--autoquit", "1"]
        return self._for_the_scenario(arguments)

    def _worker_arguments(self) -> list[str]:
        host = LOOPBACK if self.plan.options.bind == "0.0.0.0" else self.plan.options.bind
        return self._for_the_scenario(["--worker", "--master-host", host, "--master-port", str(self.port)])

    def _for_the_scenario(self, arguments: list[str]) -> list[str]:
        """Return the arguments in an order in which no option takes the next argument as its value."""
        own = self.plan.scenario.arguments
        classes = next((index for index, word in enumerate(own) if word.startswith("-")), len(own))
        return [*own[:classes], "-f", str(self.plan.scenario.path), "--loglevel", "INFO", *arguments, *own[classes:]]

    def _start(self, arguments: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [sys.executable, str(LAUNCH), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches only this process, which passes it on once
                env={
                    **os.environ,
                    **self.plan.environment,
                    **environment,
                    **({SECRET_VARIABLE: self.plan.join_secret} if self.plan.join_secret else {}),
                    PARENT_VARIABLE: str(os.getpid()),
                    "LT_SEED": str(self.plan.options.seed),
                },
            )
        except OSError as error:
            raise FleetError(f"Locust could not be started ({error}): try `python -m locust --version`.") from error

    def pids(self) -> tuple[int, ...]:
        """Return the process ids, the master's first."""
        return tuple(process.pid for process in (self._master, *self._workers) if process is not None)

    def running(self) -> bool:
        """Return whether the run is still in progress. A fleet that cannot continue is stopped or killed.

        Raises:
            FleetError: the run cannot begin.
        """
        assert self._master is not None
        now_s = time.monotonic()
        if self._master.poll() is not None:
            return False
        if not self._began:
            self._look_at_the_start(now_s)
        self._end_when_alone(now_s)
        if why := self._overdue(now_s):
            self.reasons.append(why)
            self._master.kill()
        return True

    def _look_at_the_start(self, now_s: float) -> None:
        """Raise an error if a worker has ended before the load, or if the master has not begun in time."""
        self._began = self.folder.read_run().load_start is not None
        if self._began or self._stop_sent_s is not None:
            return
        ended = [worker.returncode for worker in self._workers if worker.poll()]  # 0 means that the master ended it
        if ended:
            raise FleetError(f"A load generator ended with status {ended[0]} before the load:\n{self.last_log_lines()}")
        if now_s - self._started_s > IMPORT_S + self.plan.options.join_timeout_s:
            raise FleetError(
                f"Locust's master did not begin in {now_s - self._started_s:.0f} s:\n{self.last_log_lines()}"
            )

    def _end_when_alone(self, now_s: float) -> None:
        """Stop a master that has lost all its workers."""
        assert self._master is not None
        if self.plan.options.expect_workers > len(self._workers) or any(
            worker.poll() is None for worker in self._workers
        ):
            self._alone_since_s = None
        elif self._alone_since_s is None:
            self._alone_since_s = now_s
        elif now_s - self._alone_since_s > ALONE_S:
            self._alone_since_s = now_s
            self.stop()

    def _overdue(self, now_s: float) -> str | None:
        """Return why the master has to be killed; None if it works or has ended."""
        assert self._master is not None
        try:
            stopped = psutil.Process(self._master.pid).status() == psutil.STATUS_STOPPED
        except psutil.Error:  # the process has ended in the meantime
            return None
        if not stopped:
            self._stopped_since_s = None
        elif self._stopped_since_s is None:
            self._stopped_since_s = now_s
        elif now_s - self._stopped_since_s > STOPPED_S:
            return f"Locust's master was stopped (SIGSTOP) for {STOPPED_S:.0f} s and was killed"
        if self._stop_sent_s is not None and now_s - self._stop_sent_s > END_S:
            return f"Locust's master did not end within {END_S:.0f} s after it was asked to stop, and was killed"
        recorded = sum(path.stat().st_size for path in (self.folder.spool, self.folder.load) if path.exists())
        if recorded != self._grown[0] or not self._began:
            self._grown = recorded, now_s
        elif now_s - self._grown[1] > SILENT_S:
            return f"Locust's master recorded nothing for {SILENT_S:.0f} s and was killed"
        return None

    def finish(self) -> int:
        """Wait for the workers after the master has ended, and return the master's exit status (−9 for SIGKILL)."""
        assert self._master is not None
        code = self._master.wait()
        give_up_s = time.monotonic() + END_S
        for worker in self._workers:
            if code != 0 and worker.poll() is None:
                worker.terminate()
            try:
                worker.wait(timeout=max(0.1, give_up_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                _kill(worker)
        return code

    def stop(self) -> None:
        """Ask the fleet to end, and return at once. Users finish their tasks, and the last rows are collected."""
        if self._master is not None and self._master.poll() is None:
            self._stop_sent_s = self._stop_sent_s or time.monotonic()
            self._master.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill every process now, with all processes that the scenario has started."""
        for process in (self._master, *self._workers):
            if process is not None and process.poll() is None:
                _kill(process)
        if self._log is not None:
            self._log.close()

    def last_log_lines(self) -> str:
        """Return the last twelve lines of the fleet's log, for an error's text."""
        try:
            text = self.folder.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.strip().splitlines()[-12:])


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def require_ports(options: FleetOptions, port: int = 0) -> None:
    """Check that the master can listen on its ports.

    Args:
        options: name the address, and the ports of `--port` and `--ui`.
        port: the master's port if it is chosen already.

    Raises:
        FleetError: a port is taken; the text names the option to change.
        UnusableError: this machine has no such address.
    """
    _require_free(options.bind, port or options.port or free_port(options.bind), option="--port")
    if options.ui_port is not None:
        _require_free(LOOPBACK, options.ui_port, option="--ui")


def _require_free(host: str, port: int, *, option: str) -> None:
    with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise FleetError(
                f"`{option} {port}`: cannot listen there ({error.strerror}). Choose another port."
            ) from error
