"""Measure the CPU of 300 users at one request a second each: `python -m benchmarks.low_rate [--rounds 3] [--hold 16]`.

At this rate a generator sleeps between any two requests, and waking up costs more than the requests. The benchmark
compares all processes of `lt run` with all processes of Locust with FastHttpUser, in alternating rounds. Each has two
workers. Both send evenly, at the times of `spread_throughput`. FastHttpUser is also measured in lockstep, which is what
`constant_throughput` does with users that start together. One wake-up then serves half of all users, but real users
never send such a load. A bare loop (benchmarks/peers/bare_loop.py) shows what two wake-ups per request cost by
themselves.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.machine import keep, where
from benchmarks.peers.server import Server, nginx
from benchmarks.users import PEERS_OF_OURS, ROOT, SCENARIO, SPAWN_PER_S, watched

USERS = 300
OURS, EVEN, LOCKSTEP, BARE = "FastUser, all of `lt run`", "FastHttpUser", "FastHttpUser in lockstep", "a bare loop"
FAST = PEERS_OF_OURS[0]


def cores_of(words: list[str], env: Mapping[str, str], server: Server, hold_s: int) -> float:
    """Return how many cores a generator's processes use while its users run."""
    running = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, cwd=ROOT, env={**os.environ, **env}
    )
    seen = watched(running, server, USERS, hold_s)
    running.wait()
    if seen is None or abs(seen.sent_ratio - 1) > 0.05:
        raise SystemExit(f"{' '.join(words)}: the plan was not held ({seen}).")
    return seen.cores


def bare_cores(server: Server, seconds: int) -> float:
    """Return how many cores the bare loop uses at the same rate."""
    words = [sys.executable, str(ROOT / "benchmarks/peers/bare_loop.py"), urlsplit(server.plain).netloc]
    done = subprocess.run(
        [*words, str(USERS), str(seconds)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    requests, cpu_s = map(float, done.stdout.split())
    return cpu_s / requests * USERS


def round_of(server: Server, runs: Path, hold_s: int) -> dict[str, float]:
    """Measure each once."""
    length_s = hold_s + 1
    ours = [sys.executable, str(ROOT / "lt.py"), "run", "-s", str(SCENARIO), "-t", server.plain, "--yes"]
    ours += ["--users", str(USERS), "--spawn-rate", str(SPAWN_PER_S), "--duration", f"{length_s}s"]
    ours += ["--workers", "2", "--runs", str(runs)]
    fast = [word.format(target=server.plain, users=USERS, length=length_s) for word in FAST.words]
    return {
        OURS: cores_of(ours, {}, server, hold_s),
        EVEN: cores_of(fast, {**FAST.env, "EVEN": "1"}, server, hold_s),
        LOCKSTEP: cores_of(fast, FAST.env, server, hold_s),
        BARE: bare_cores(server, hold_s // 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hold", type=int, default=16, help="seconds after the last user came")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nginx").mkdir()
        with nginx(folder / "nginx") as server:
            found = [round_of(server, folder / "runs", arguments.hold) for _ in range(arguments.rounds)]
    how = (
        f"`python -m benchmarks.low_rate`: {USERS} users, each sends a request per second; nginx on loopback; medians "
    )
    how += f"of {arguments.rounds} rounds that alternate. CPU is the CPU time of all processes of the generator."
    lines = [
        "## Few requests",
        "",
        how,
        "",
        f"| generator | cores | µs of CPU per request | × {EVEN} |",
        "|---|---|---|---|",
    ]
    for kind in found[0]:
        cores = statistics.median(each[kind] for each in found)
        ratios = [each[kind] / each[EVEN] for each in found]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(f"| {kind} | {cores:.3f} | {cores / USERS * 1e6:.0f} | {ratio} |")
    load = f"Load average {os.getloadavg()[0]:.1f} (the generators included)."
    keep("low_rate", "\n".join([*lines, "", f"{load} {where('locust', 'gevent')}"]))


if __name__ == "__main__":
    main()
