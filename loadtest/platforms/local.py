"""Run the bundled service, or another command, on this machine as the target of a run."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, ClassVar

from ..core.addresses import LOOPBACK, free_port
from ..core.console import Console
from ..core.errors import TargetError, UsageError
from ..core.extras import require
from ..core.quantities import argv_of, with_variables
from ..core.redaction import redact
from ..recording.capabilities import LOCAL, Capabilities
from ..recording.run import TargetRecord
from .base import Platform, ScenarioNeeds, Target, TargetOptions
from .probe import Found, ask

START_S = 60.0
"""Time limit of the service's start. On a busy machine, importing CatBoost has taken 10 s."""

STOP_S = 10.0


class Local(Platform):
    """One process of the bundled service, or of a command that uses $PORT, on a free port of this machine."""

    kind: ClassVar[str] = "local"
    capabilities: ClassVar[Capabilities] = LOCAL

    @contextmanager
    def open(self, options: TargetOptions, *, needs: ScenarioNeeds, console: Console) -> Iterator[Target]:
        """Start the service. The service ends with the block, together with the processes that it started.

        Raises:
            UsageError: the command is invalid.
            TargetError: the service ended or did not answer in time; the message contains the last line that it
                printed.
        """
        del needs
        if options.command is None:
            require("service", "The bundled service (`--target local`)")
        port = free_port()
        words = [sys.executable, "-m", "target_service"] if options.command is None else _words(options.command, port)
        with tempfile.TemporaryFile() as output:
            try:
                service = subprocess.Popen(
                    words,
                    cwd=Path(__file__).parents[2] if options.command is None else None,
                    env={**os.environ, "PORT": str(port)},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=_end_with_parent,  # noqa: PLW1509 - a single system call; no other thread is busy
                )
            except OSError as error:
                raise UsageError(f"`{options.command}`: cannot be started: {error.strerror or error}.") from None
            try:
                url = f"http://{LOOPBACK}:{port}"
                with console.status(f"waiting for {options.command or 'the bundled service'} to answer"):
                    _wait_for(url, service, output)
                record = TargetRecord(kind=self.kind, url=url, service=redact(options.command or "target_service"))
                yield Target(record)
            finally:
                _end(service)


def _words(command: str, port: int) -> list[str]:
    """Return a command's arguments, with the port in place of $PORT."""
    try:
        return with_variables(argv_of(command), {"PORT": str(port)})
    except ValueError as error:
        raise UsageError(f"`--command`: {error}.") from None


def _end(service: subprocess.Popen[bytes]) -> None:
    """End a service together with its whole process group, which it leads."""
    service.terminate()
    with suppress(subprocess.TimeoutExpired):
        service.wait(timeout=STOP_S)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(service.pid, signal.SIGKILL)
    service.wait()


def _end_with_parent() -> None:
    """Make the kernel send SIGTERM to the service when this process ends (Linux).

    This function runs in the child process before the service is executed.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _wait_for(url: str, service: subprocess.Popen[bytes], output: IO[bytes]) -> None:
    give_up_s = time.monotonic() + START_S
    while time.monotonic() < give_up_s:
        if service.poll() is not None:
            raise TargetError(f"The target service ended with status {service.returncode}: {_last_line(output)}")
        if ask(url + "/healthz", timeout_s=1.0).found is Found.HTTP:
            return
        time.sleep(0.05)
    raise TargetError(f"The target service did not answer within {START_S:.0f} s: {_last_line(output)}")


def _last_line(output: IO[bytes]) -> str:
    output.seek(0)
    text = output.read().decode(errors="replace").strip()
    return text.splitlines()[-1] if text else "it printed nothing"
