"""Start, query and stop an emulator from synchronous code. The emulator runs as a separate process."""

from __future__ import annotations

import http.client
import json
import selectors
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from pydantic import TypeAdapter

from ..core import cloud_run
from ..core.errors import EmulatorError
from ..core.extras import require
from .model import EmulatorOptions, RevisionTemplate, ServiceKey

STOP_WITHIN_S = 20.0
STOPPED_S = 20.0
"""If the emulator's process is paused (SIGSTOP) for longer than this during its start, the start counts as failed."""
_LAST_WORDS = 2000  # characters
_LAUNCH = Path(__file__).resolve().parents[1] / "launch.py"


@dataclass(frozen=True, slots=True)
class EmulatorConfig:
    """The configuration of an emulator process.

    Attributes:
        front_port: the port of the service on 127.0.0.1; 0 takes a free port.
    """

    template: RevisionTemplate = field(default_factory=RevisionTemplate)
    key: ServiceKey = field(default_factory=lambda: ServiceKey(cloud_run.SERVICE))
    options: EmulatorOptions = field(default_factory=EmulatorOptions)
    front_port: int = 0

    def to_json(self) -> str:
        """Return the configuration as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> EmulatorConfig:
        """Parse the output of `to_json`."""
        return TypeAdapter(EmulatorConfig).validate_json(line)


@dataclass(frozen=True, slots=True)
class StartResult:
    """The result of a start: addresses and access token, or why it failed."""

    url: str = ""
    api_port: int = 0
    pid: int = 0
    token: str = field(default="", repr=False)
    failed: str = ""

    def to_json(self) -> str:
        """Return the result as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> StartResult:
        """Parse the output of `to_json`."""
        return TypeAdapter(StartResult).validate_json(line)


class EmulatorHandle:
    """A running emulator; a context manager that stops it.

        with EmulatorHandle.start(EmulatorConfig(RevisionTemplate(cpu=None)), log=folder / "emulator.log") as emulator:
            ...  # load emulator.url; read metrics from emulator.api_endpoint
            state = emulator.state()

    Attributes:
        url: the base URL of the service.
        api_port: the port of Google's APIs and of the state, on 127.0.0.1.
        token: the access token of the API port, sent as `Authorization: Bearer TOKEN`.
    """

    def __init__(self, process: subprocess.Popen[str], answer: StartResult) -> None:
        self._process = process
        self.url = answer.url
        self.api_port = answer.api_port
        self.token = answer.token

    @classmethod
    def start(cls, config: EmulatorConfig, *, log: Path | None = None) -> EmulatorHandle:
        """Start an emulator, and return when its service is READY and has been scaled to its minimum (zero by default).

        Args:
            config: the configuration.
            log: the file for the emulator's events; None to discard them.

        Raises:
            EmulatorError: the emulator cannot start, or the deployment failed. The message contains the last lines of
                the process's output, and all processes have ended.
        """
        require("emulator", "The local Cloud Run")
        if not (config.template.command or config.options.command):
            require("service", "The bundled service, which the local Cloud Run runs without `--command`,")
        with log.open("a+b") if log else tempfile.TemporaryFile() as events:
            process = subprocess.Popen(
                [sys.executable, str(_LAUNCH), ".emulator.__main__"],  # the working folder may have its own `loadtest`
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=events,
                text=True,
                start_new_session=True,  # Ctrl-C goes to the parent process, which stops the emulator
            )
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(config.to_json() + "\n")
                process.stdin.flush()
                line = _first_line(process)
            except BaseException:
                cls(process, StartResult()).stop()
                raise
            if line:
                answer = StartResult.from_json(line)
            else:
                events.seek(0)
                answer = StartResult(
                    failed=f"its process ended: {events.read().decode(errors='replace')[-_LAST_WORDS:]}"
                )
        handle = cls(process, answer)
        if answer.failed:
            handle.stop()
            raise EmulatorError(f"The emulator could not deploy the service: {answer.failed}")
        return handle

    @property
    def api_endpoint(self) -> str:
        """The endpoint for Google's clients."""
        return f"127.0.0.1:{self.api_port}"

    def why_stuck(self) -> str:
        """Return why the emulator no longer works, as a sentence; "" while it works.

        Only the process is checked, and not the port.
        """
        code = self._process.poll()
        if code is not None:
            return f"the emulator's process ended ({code}) during the run"
        if _is_paused(self._process.pid):
            return "the emulator was paused during the run (its process was stopped): it did not scale or record"
        return ""

    def state(self) -> dict[str, Any]:
        """Return the emulator's current state; docs/emulator.md lists the keys.

        Raises:
            EmulatorError: the emulator does not answer.
        """
        with closing(http.client.HTTPConnection(self.api_endpoint, timeout=10)) as connection:
            try:
                connection.request("GET", "/state")
                found: dict[str, Any] = json.load(connection.getresponse())
                return found
            except (OSError, ValueError, http.client.HTTPException) as error:
                raise EmulatorError(
                    f"The emulator at {self.api_endpoint} did not return its state: {error}."
                ) from error

    def stop(self) -> None:
        """Stop the emulator and wait until everything has ended. A second call does nothing."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()  # the emulator stops when its stdin is closed
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its child processes end together with it
            self._process.wait()
        if self._process.returncode < 0:  # the process was killed and could not clean up
            from .leftovers import sweep

            sweep()

    def __enter__(self) -> EmulatorHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _first_line(process: subprocess.Popen[str]) -> str:
    """Return the first line that a process prints; "" if it ends without printing a line.

    The emulator itself limits how long a deployment takes. A paused emulator cannot enforce its own limit, so this
    function limits the pause.

    Raises:
        EmulatorError: the process was paused for longer than `STOPPED_S`.
    """
    assert process.stdout is not None
    last_running_s = time.monotonic()
    with selectors.DefaultSelector() as selector:  # select.select fails on descriptors from 1024 up
        selector.register(process.stdout, selectors.EVENT_READ)
        while not selector.select(0.5):
            now_s = time.monotonic()
            if not _is_paused(process.pid):
                last_running_s = now_s
            elif now_s - last_running_s > STOPPED_S:
                raise EmulatorError(
                    f"The emulator was paused during its start (its process was stopped, SIGSTOP) for {STOPPED_S:g} s, "
                    "and was ended. Nothing was run; start the run again."
                )
    return process.stdout.readline()


def _is_paused(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    except psutil.Error:
        return False
