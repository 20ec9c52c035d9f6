"""Collect the answers to a scenario's requests before the load, in a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL

from ..core.answers import AnswerCheck
from ..core.errors import FleetError
from ..recorder.messages import PARENT_VARIABLE
from ..users.answers import Reference
from .scenario import LAUNCH, Request

TIMEOUT_S = 120.0
"""Maximum total time for loading the scenario, sending each request alone, and sending each request again."""

LAST_LINES = 6


def take_reference(
    locustfile: Path,
    out: Path,
    *,
    request: Request,
    host: str | None,
    check: AnswerCheck,
    forced: bool,
    seed: int,
    environment: Mapping[str, str],
) -> Reference:
    """Write the reference answers to `out` for the master, and return them.

    The arguments are the same as in `learn.learn`.

    Raises:
        FleetError: no answer can be compared; the message says why, and what to do.
    """
    asked = {
        "request": request.model_dump(),
        "host": host,
        "ignore": check.ignore,
        "tolerance": check.tolerance,
        "forced": forced,
    }
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, str(LAUNCH), ".fleet.learn", "-f", str(locustfile), str(out), json.dumps(asked)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,  # so that everything that the scenario starts ends with it
            env={**os.environ, **environment, PARENT_VARIABLE: str(os.getpid()), "LT_SEED": str(seed)},
        )
        try:
            process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise FleetError(
                f"--check-answers: the answers before the load were not collected within {TIMEOUT_S:.0f} s."
            ) from None
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, SIGKILL)
            process.wait()
        said.seek(0)
        words = said.read().decode(errors="replace").strip().splitlines()
    if not out.exists():
        last = words[-1] if process.returncode == 4 and words else "\n".join(words[-LAST_LINES:])
        raise FleetError(last or "--check-answers: the process that collects the answers before the load ended.")
    return Reference.decode(out.read_bytes())
