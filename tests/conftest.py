"""Provide small real parts for tests: polling with a deadline, a server that counts, the command line."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

# Examples are the same in every run, so that a failing test fails again. There is no time limit, because machines are
# busy.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # If pytest runs in the background, it ignores Ctrl-C, and the processes that tests start would ignore it too.
    # Restore the default.
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
T = TypeVar("T")
Until = Callable[..., object]


@pytest.fixture(scope="session")
def until() -> Until:
    """Return `until(condition, what, timeout_s=30)`: poll a condition until it is true, or fail with `what`."""

    def poll(condition: Callable[[], T], what: str, timeout_s: float = 30.0) -> T:
        give_up_s = time.monotonic() + timeout_s
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > give_up_s:
                pytest.fail(f"waited {timeout_s:g} s for {what}")
            time.sleep(0.02)

    return poll


@pytest.fixture
def many_open_files() -> Iterator[None]:
    """Give new files descriptors from 1024 up, which `select.select` refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1300), hard))
    except ValueError:
        pytest.skip(f"at most {hard} files may be open here")
    try:
        with ExitStack() as open_files:
            while open_files.enter_context(Path(os.devnull).open()).fileno() < 1100:
                pass
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@dataclass(frozen=True)
class CountingServer:
    """A running `tests/counting_server.py`."""

    url: str

    def count(self) -> int:
        """Return how many requests the server has read."""
        with urllib.request.urlopen(self.url + "/stats", timeout=10) as answer:
            return int(json.load(answer)["requests"])

    def latencies_ms(self) -> list[float]:
        """Return, for each request, the time between reading it and writing its answer."""
        with urllib.request.urlopen(self.url + "/latencies", timeout=10) as answer:
            return [float(value) for value in json.load(answer)]


@contextmanager
def counting_server(**script: object) -> Iterator[CountingServer]:
    """Run the server with a script for its answers."""
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "counting_server.py"), json.dumps(script)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        yield CountingServer(f"http://127.0.0.1:{int(server.stdout.readline())}")
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


@dataclass(frozen=True)
class Done:
    """The result of a command."""

    code: int
    out: str
    err: str


def lt(*words: str, timeout_s: float = 90.0) -> Done:
    """Run `python lt.py WORDS` to its end."""
    with started(*words) as process:
        out, err = process.communicate(timeout=timeout_s)
    return Done(process.returncode, out, err)


@contextmanager
def started(*words: str, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Start `python lt.py WORDS` in a separate session, and end its process group at the end of the block.

    `env` adds variables to the environment of this process.
    """
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "lt.py"), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
