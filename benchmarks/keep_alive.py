"""Count failures when the server closes idle connections: `python -m benchmarks.keep_alive [--rounds 3]`.

Uvicorn closes a connection that was idle for 1 s. The users wait for about 1 s between two POSTs, so many requests are
sent while their connection is being closed. Runs with FastUser and Locust's FastHttpUser alternate; the service counts
the requests that arrive.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import loadtest
from benchmarks.machine import keep, where
from benchmarks.peers.server import free_port

ROOT = Path(__file__).parents[1]
IDLE_S = 1
SCENARIO = """
from locust import FastHttpUser, between, task

from loadtest import FastUser

class Caller({kind}):
    wait_time = between(0.99, 1.01)

    @task
    def predict(self):
        self.client.post("/predict", json={{"amount": 1}})
"""
KINDS = ("FastUser", "FastHttpUser")


@contextmanager
def service() -> Iterator[str]:
    """Run the service until the block ends; yield its URL."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--log-level", "warning", "--port", str(port)]
    command += ["--timeout-keep-alive", str(IDLE_S), "benchmarks.peers.constant_service:app"]
    process = subprocess.Popen(command, cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                count(url)
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def count(url: str) -> int:
    """Return how many predictions the service has answered."""
    with urllib.request.urlopen(f"{url}/count") as answer:
        return int(answer.read())


def measure(kind: str, url: str, folder: Path, *, users: int, length_s: int) -> tuple[int, int, int]:
    """Return three numbers of one run: the requests, the failed requests, and the requests the service counted."""
    scenario = folder / f"{kind}.py"
    scenario.write_text(SCENARIO.format(kind=kind))
    runs = folder / "runs"
    known, before = set(runs.glob("*")), count(url)
    command = [sys.executable, str(ROOT / "lt.py"), "run", "-s", str(scenario), "-t", url, "--yes"]
    command += ["--users", str(users), "--spawn-rate", str(users), "--duration", f"{length_s}s", "--workers", "1"]
    subprocess.run([*command, "--runs", str(runs)], capture_output=True, check=False)  # exit code 1: missed objective
    (new,) = {path for path in runs.glob("*") if path.is_dir()} - known
    outcomes = Counter(loadtest.open_run(new).rows.outcome)
    return outcomes.total(), outcomes.total() - outcomes["ok"], count(url) - before


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--users", type=int, default=25)
    parser.add_argument("--length", type=int, default=20, help="seconds of each run")
    arguments = parser.parse_args()
    sums = {kind: [0, 0, 0] for kind in KINDS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with service() as url:
            for _ in range(arguments.rounds):
                for kind in KINDS:
                    run = measure(kind, url, folder, users=arguments.users, length_s=arguments.length)
                    sums[kind] = [total + more for total, more in zip(sums[kind], run, strict=True)]
    how = "`python -m benchmarks.keep_alive`: POSTs 1 s apart; uvicorn closes connections that were "
    how += f"idle for {IDLE_S} s; {arguments.users} users, {arguments.rounds} alternating rounds."
    lines = [
        "## Idle connections that the server closes",
        "",
        how,
        "",
        "| user | requests | failed | the service's count |",
        "|---|---|---|---|",
        *(f"| {kind} | {sent:,} | {failed:,} | {counted:,} |" for kind, (sent, failed, counted) in sums.items()),
        "",
        f"Load average {os.getloadavg()[0]:.1f}. {where('locust', 'gevent')}",
    ]
    keep("keep_alive", "\n".join(lines))


if __name__ == "__main__":
    main()
