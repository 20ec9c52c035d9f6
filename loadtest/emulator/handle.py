"""Start, read and stop an emulator from a synchronous process; it runs as a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import tempfile
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
_LAST_WORDS = 2000  # characters
_LAUNCH = Path(__file__).resolve().parents[1] / "launch.py"


@dataclass(frozen=True, slots=True)
class EmulatorConfig:
    """What an emulator process is to do.

    Attributes:
        front_port: where the service answers on 127.0.0.1; 0: a free port.
    """

    template: RevisionTemplate = field(default_factory=RevisionTemplate)
    key: ServiceKey = field(default_factory=lambda: ServiceKey(cloud_run.SERVICE))
    options: EmulatorOptions = field(default_factory=EmulatorOptions)
    front_port: int = 0

    def to_json(self) -> str:
        """Return it as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> EmulatorConfig:
        """Return what `to_json` wrote."""
        return TypeAdapter(EmulatorConfig).validate_json(line)


@dataclass(frozen=True, slots=True)
class StartResult:
    """What it answers: where it is and the access token of its API port, or why it failed."""

    url: str = ""
    api_port: int = 0
    pid: int = 0
    token: str = field(default="", repr=False)
    failed: str = ""

    def to_json(self) -> str:
        """Return it as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> StartResult:
        """Return what `to_json` wrote."""
        return TypeAdapter(StartResult).validate_json(line)


class EmulatorHandle:
    """A running emulator; a context manager that stops it.

        with EmulatorHandle.start(EmulatorConfig(RevisionTemplate(cpu=None)), log=folder / "emulator.log") as emulator:
            ...  # load emulator.url; read metrics from emulator.api_endpoint
            state = emulator.state()

    Attributes:
        url: where the service answers.
        api_port: of Google's surfaces and the state, on 127.0.0.1.
        token: what the API port asks for, as `Authorization: Bearer TOKEN`.
    """

    def __init__(self, process: subprocess.Popen[str], answer: StartResult) -> None:
        self._process = process
        self.url = answer.url
        self.api_port = answer.api_port
        self.token = answer.token

    @classmethod
    def start(cls, config: EmulatorConfig, *, log: Path | None = None) -> EmulatorHandle:
        """Start one and return once its service is READY, scaled to its minimum (zero by default).

        Args:
            config: what to do.
            log: where its events go; None: nowhere that stays.

        Raises:
            EmulatorError: it cannot start or the deployment failed, with the process's last lines; nothing is left.
        """
        require("emulator", "The local Cloud Run")
        if not (config.template.command or config.options.command):
            require("service", "The bundled service, which the local Cloud Run runs without `--command`,")
        with log.open("a+b") if log else tempfile.TemporaryFile() as events:
            process = subprocess.Popen(
                [sys.executable, str(_LAUNCH), ".emulator.__main__"],  # the working folder may hold a `loadtest`
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
                line = process.stdout.readline()
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
        """Where Google's clients are to be pointed."""
        return f"127.0.0.1:{self.api_port}"

    def why_stuck(self) -> str:
        """Return why the emulator no longer works, as a sentence; "" while it does. Asks its process, not its port."""
        code = self._process.poll()
        if code is not None:
            return f"the emulator's process ended ({code}) during the run"
        with contextlib.suppress(psutil.Error):
            if psutil.Process(self._process.pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP):
                return "the emulator was paused during the run (its process was stopped): it did not scale or record"
        return ""

    def state(self) -> dict[str, Any]:
        """Return its state as it is now; docs/emulator.md lists the keys.

        Raises:
            EmulatorError: it does not answer.
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
        """Stop everything; returns once nothing is left. A second call does nothing."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()  # the end of its stdin is its word to stop
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its children die with it; the next emulator removes its cgroups
            self._process.wait()

    def __enter__(self) -> EmulatorHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
