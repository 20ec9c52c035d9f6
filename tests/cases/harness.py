"""Run a case: its server and one `lt` command, and return the result."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from loadtest.core.addresses import free_port
from loadtest.recording.catalogue import find_run
from loadtest.recording.folder import RunFolder
from loadtest.recording.run import Run
from tests.conftest import ROOT, Done

CASES = Path(__file__).parent


@dataclass(frozen=True)
class Server:
    """A running server of a case.

    Attributes:
        address: HOST:PORT.
    """

    address: str

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def counts(self) -> dict[str, int]:
        """Return how many requests the server has read, by path."""
        with urllib.request.urlopen(f"{self.url}/_counts", timeout=10) as answer:
            return dict(json.load(answer))


@contextmanager
def server(script: Path = CASES / "server.py", *before: str) -> Iterator[Server]:
    """Run `python SCRIPT [BEFORE …] PORT` until the block ends; the server listens when the block begins."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(script), *before, str(port)])
    try:
        give_up_s = time.monotonic() + 30
        while not _listens(port):
            assert process.poll() is None, f"{script} has ended"
            assert time.monotonic() < give_up_s, f"{script} does not listen"
            time.sleep(0.02)
        yield Server(f"127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit code and output, and the newest run in its folder of runs."""

    done: Done
    runs: Path

    @property
    def folder(self) -> RunFolder:
        return find_run(self.runs, "latest")

    @property
    def run(self) -> Run:
        return self.folder.read_run()

    def rows(self, *columns: str) -> pd.DataFrame:
        return self.folder.read_rows(list(columns) or ["name", "outcome"])

    @property
    def said(self) -> str:
        """What was printed, with each sequence of whitespace replaced by one space."""
        return " ".join((self.done.out + self.done.err).split())


def lt_run(*words: str, runs: Path, cwd: Path | None = None, timeout_s: float = 100.0, **environment: str) -> Ran:
    """Run `lt run WORDS --runs RUNS` in a working folder, without the check for endpoints that always fail."""
    import os

    done = subprocess.run(
        [sys.executable, str(ROOT / "lt.py"), "run", "--no-check", *split_at_own(words, "--runs", str(runs))],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, **environment},
    )
    return Ran(Done(done.returncode, done.stdout, done.stderr), runs)


def split_at_own(words: tuple[str, ...], *more: str) -> list[str]:
    """Return the arguments with further options inserted before `--`, which begins the scenario's own arguments."""
    own = words.index("--") if "--" in words else len(words)
    return [*words[:own], *more, *words[own:]]
