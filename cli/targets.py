"""Make the target of a run ready and take it down again, whichever kind it is."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from loadtest.fleet import LOOPBACK, free_port
from loadtest.options import RunOptions
from recording.errors import TargetError
from recording.folder import RunFolder
from recording.run import TargetRecord

START_S = 60.0
"""How long the service may take to start: importing CatBoost on a busy machine has taken 10 s."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something to send load to.

    Attributes:
        record: what `run.json` keeps of it.
        environment: variables that the Locust processes need to reach it.
        collect: called with the run folder after the load, while the target still is up.
    """

    record: TargetRecord
    environment: Mapping[str, str] = field(default_factory=dict)
    collect: Callable[[RunFolder], None] = lambda folder: None


@contextmanager
def local_service() -> Iterator[Target]:
    """Run the bundled service on a free port of this machine for as long as the block lasts.

    Raises:
        TargetError: it ended or did not answer in time; the text has its last words.
    """
    port = free_port()
    with tempfile.TemporaryFile() as words:
        service = subprocess.Popen(
            [sys.executable, "-m", "target_service"],
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            url = f"http://{LOOPBACK}:{port}"
            _wait_for(url, service, words)
            yield Target(TargetRecord(kind="local", url=url, service="target_service"))
        finally:
            service.terminate()
            try:
                service.wait(timeout=10)
            except subprocess.TimeoutExpired:
                service.kill()
                service.wait()


def _wait_for(url: str, service: subprocess.Popen[bytes], words: object) -> None:
    give_up_s = time.monotonic() + START_S
    while time.monotonic() < give_up_s:
        if service.poll() is not None:
            raise TargetError(f"The target service ended with status {service.returncode}: {_last(words)}")
        if answers(url + "/healthz", timeout_s=1.0) is None:
            return
        time.sleep(0.05)
    raise TargetError(f"The target service did not answer within {START_S:.0f} s: {_last(words)}")


def _last(words: object) -> str:
    words.seek(0)  # type: ignore[attr-defined]
    text = words.read().decode(errors="replace").strip()  # type: ignore[attr-defined]
    return text.splitlines()[-1] if text else "it said nothing"


@contextmanager
def given_url(options: RunOptions) -> Iterator[Target]:
    """Take the URL the user named, after making sure that something answers there.

    Raises:
        TargetError: nothing answers.
    """
    assert options.url is not None
    why = answers(options.url + "/", timeout_s=10.0)
    if why is not None:
        raise TargetError(f"`--target {options.url}`: nothing answers there ({why}). Is the service running?")
    yield Target(TargetRecord(kind="url", url=options.url))


def answers(url: str, *, timeout_s: float) -> str | None:
    """Return None when anything answers at `url`, whatever its status; else why not."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url), timeout=timeout_s):
            return None
    except urllib.error.HTTPError:
        return None
    except urllib.error.URLError as error:
        return str(error.reason)
    except OSError as error:
        return str(error)
