"""Compare the load generator's measurements with known values: latencies, pacing, a stall.

    python -m benchmarks.accuracy [--rounds 3] [--seconds 6]

* Known latencies: a server with blocking threads sleeps for given times and reports in Server-Timing how long each
  request really took. The difference from the measured latency, request by request, comes from the network and the load
  generator.
* Pacing: 500 requests/s from 50 users, in lockstep and evenly spread.
* Lateness: how long after its due time each open-loop arrival is sent. The lateness of k6 and k9
  (benchmarks/peers/requirements.txt) is measured at the server, against an even grid that begins with the earliest
  arrivals.
* Stall: 200 arrivals/s at a server that answers in 1 ms and stalls for 1 s every 5 s. The true percentiles are computed
  from the schedule of stalls.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.generator import program_of
from benchmarks.machine import keep, where
from loadtest.recording.frames import SpoolReader
from loadtest.recording.rows import rows_of

ROOT = Path(__file__).parent.parent
PEERS = ROOT / "benchmarks" / "peers"
DELAYS_MS = (1, 1, 1, 1, 1, 1, 2, 2, 5, 20)
RATE, USERS = 500, 50
LATENESS_RATES = (500, 1_000, 3_000)
WARM_S = 2.0
KINDS = {
    "spread": "FastUser, `spread_throughput`",
    "lockstep": "FastUser, `constant_throughput`",
    "stock": "FastHttpUser, `constant_throughput`",
}


@contextmanager
def serving(script: Path, *words: str) -> Iterator[str]:
    """Run one of the project's test servers (it prints its port) until the block ends; yield its URL."""
    process = subprocess.Popen([sys.executable, str(script), *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


def rows(kind: str, url: str, *, rate: float, users: int, seconds: float) -> pd.DataFrame:
    """Run Locust headless with users of that kind and return the rows of `seconds`, after WARM_S."""
    with tempfile.TemporaryDirectory() as folder:
        spool = Path(folder) / "rows"
        # No --run-time: Locust counts it from before its start, which takes seconds on a busy machine.
        words = f"-m locust -f {PEERS / 'pacing_locustfile.py'} --headless --only-summary -L ERROR -s 5".split()
        words += f"-u {users} -r {users} --host {url}".split()
        env = {"KIND": kind, "RATE": str(rate), "USERS": str(users), "ROWS_FILE": str(spool), "PYTHONPATH": str(ROOT)}
        running = subprocess.Popen(
            [sys.executable, *words], env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        give_up_s = time.monotonic() + 60
        try:
            while not (spool.exists() and spool.stat().st_size):
                if time.monotonic() > give_up_s:
                    raise SystemExit(f"{kind}: no request within a minute")
                time.sleep(0.1)
            time.sleep(seconds + WARM_S)
        finally:
            running.terminate()
            running.wait()
        table = pd.concat([rows_of(frame).to_pandas() for frame in SpoolReader(spool)])
    begin = table.start.min() + pd.Timedelta(seconds=WARM_S)
    within: pd.DataFrame = table[(table.start >= begin) & (table.start < begin + pd.Timedelta(seconds=seconds))]
    return within


@dataclass(frozen=True)
class Pace:
    """The result of one round with one kind of user, in ms; `over` is the difference from the server's own times, if
    the server reports them."""

    per_s: float
    p50_ms: float
    p99_ms: float
    over_p99_ms: float


def pace(kind: str, seconds: float) -> Pace:
    """Measure one kind of user against the server that sleeps 1 ms."""
    with serving(PEERS / "delaying_server.py", "1") as url:
        found = rows(kind, url, rate=RATE, users=USERS, seconds=seconds)
    span_s = (found.start.max() - found.start.min()).total_seconds()
    server_us = found.server_us.astype(float)
    p50, p99 = np.percentile(found.latency_us, (50, 99)) / 1000
    own99 = np.nanpercentile(server_us, 99) / 1000 if server_us.notna().any() else np.nan
    return Pace(len(found) / span_s, p50, p99, p99 - own99)


def pacing_lines(rounds: int, seconds: float) -> list[str]:
    """Return the table of pacing."""
    found: dict[str, list[Pace]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind, label in KINDS.items():
            found[kind].append(pace(kind, seconds))
            print(label, found[kind][-1], file=sys.stderr)
    lines = [
        "| 500 requests/s of 50 users, server sleeps 1 ms | requests/s | p50 ms | p99 ms | p99 above the server's p99 |"
    ]
    lines.append("|---|---|---|---|---|")
    for kind, of in found.items():
        middle = {
            name: statistics.median(getattr(latency_ms, name) for latency_ms in of)
            for name in Pace.__dataclass_fields__
        }
        over = [latency_ms.over_p99_ms for latency_ms in of]
        shown = (
            ""
            if np.isnan(over).any()
            else f"{middle['over_p99_ms']:.2f} ms (rounds {min(over):.2f} to {max(over):.2f})"
        )
        lines.append(
            f"| {KINDS[kind]} | {middle['per_s']:.0f} | {middle['p50_ms']:.2f} | {middle['p99_ms']:.2f} | {shown} |"
        )
    return lines


def known_lines(seconds: float) -> list[str]:
    """Return the comparison with known latencies."""
    with serving(PEERS / "delaying_server.py", *map(str, DELAYS_MS)) as url:
        found = rows("spread", url, rate=200, users=40, seconds=seconds)
    lines = [f"| server sleeps {'/'.join(map(str, DELAYS_MS))} ms in turn, 200 requests/s | p50 ms | p95 ms | p99 ms |"]
    lines.append("|---|---|---|---|")
    for label, column in (("as measured by the server", found.server_us), ("as recorded", found.latency_us)):
        percentiles = np.percentile(column.astype(float), (50, 95, 99)) / 1000
        lines.append(f"| {label} | " + " | ".join(f"{value:.2f}" for value in percentiles) + " |")
    over = (found.latency_us - found.server_us.astype(float)) / 1000
    lines.append("")
    lines.append(
        f"Difference per request, recorded minus the server's own: "
        f"median {over.median():.2f} ms, minimum {over.min():.2f} ms."
    )
    return lines


def lateness_lines(seconds: float) -> list[str]:
    """Return how late open-loop arrivals are sent."""
    lines = ["| open loop, arrivals/s | arrivals | late p50 ms | late p99 ms | load average |", "|---|---|---|---|---|"]
    for rate in LATENESS_RATES:
        with serving(ROOT / "tests" / "counting_server.py", "{}") as url:
            found = rows("open", url, rate=rate, users=rate // 10, seconds=seconds)
        p50, p99 = np.percentile(found.late_us.astype(float), (50, 99)) / 1000
        lines.append(f"| {rate:,} | {len(found):,} | {p50:.2f} | {p99:.2f} | {os.getloadavg()[0]:.1f} |")
        print(lines[-1], file=sys.stderr)
    return lines


def arrivals_ms(words: Sequence[str], env: dict[str, str], rate: int, seconds: float) -> np.ndarray:
    """Return how late each arrival of `seconds`, after WARM_S, reached the test server, in ms.

    The grid is fitted to the earliest hundredth of the arrivals. The lateness includes the server's own delay, which is
    the same for all generators.
    """
    script = PEERS / "arrival_server.py"
    server = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = f"http://127.0.0.1:{int(server.stdout.readline())}"
    length = {
        "HOLD_S": f"{seconds + WARM_S + 1:.0f}",
        "TARGET": url,
        "RATE": str(rate),
        "PAYLOAD": f"{PEERS}/payload.json",
    }
    filled = [word.format(target=url) for word in words]
    quiet = subprocess.DEVNULL
    running = subprocess.Popen(filled, env={**os.environ, **length, **env}, stdout=quiet, stderr=quiet)
    with suppress(subprocess.TimeoutExpired):
        running.wait(timeout=seconds + WARM_S + 6)
    running.terminate()
    running.wait()
    server.terminate()
    came_s = np.sort(np.array(server.communicate()[0].split(), dtype=np.int64) / 1e9)
    came_s = came_s[(came_s >= came_s[0] + WARM_S) & (came_s < came_s[0] + WARM_S + seconds)]
    late_s = came_s - np.arange(len(came_s)) / rate
    return np.asarray(np.maximum(0.0, late_s - np.quantile(late_s, 0.01)) * 1000)


def peers_lines(seconds: float, folder: Path) -> list[str]:
    """Return how late open-loop arrivals reach a server, for our users and for the other generators that are
    installed."""
    ours = f"{sys.executable} -m locust -f {PEERS}/pacing_locustfile.py --headless --only-summary -L ERROR -s 5 -u 1"
    env = {"KIND": "open", "USERS": "1", "ROWS_FILE": str(folder / "rows"), "PYTHONPATH": str(ROOT)}
    run = ["run", "--quiet", "-e", "TARGET={target}"]
    generators = {
        "OpenLoopUser, FastUser, recorded": ([*ours.split(), "-r", "1", "--host", "{target}"], env),
        "k6": ([program_of("k6"), *run, str(PEERS / "k6.js")], {}),
        "k9, declarative": ([program_of("k9"), *run, str(PEERS / "k9_plan.py")], {}),
        "k9, script": ([program_of("k9"), *run, str(PEERS / "k9_script.py")], {}),
    }
    lines = ["| arrivals as the server saw them | per s | arrivals | late p50 ms | late p99 ms | load average |"]
    lines.append("|---|---|---|---|---|---|")
    for rate in LATENESS_RATES:
        for name, (words, own) in generators.items():
            if shutil.which(words[0]) is None:
                continue
            late_ms = arrivals_ms(words, own, rate, seconds)
            p50, p99 = np.percentile(late_ms, (50, 99))
            load = os.getloadavg()[0]
            lines.append(f"| {name} | {rate:,} | {len(late_ms):,} | {p50:.2f} | {p99:.2f} | {load:.1f} |")
            print(lines[-1], file=sys.stderr)
    return lines


def stall_lines() -> list[str]:
    """Return the comparison under a stall of 1 s in every 5."""
    script = json.dumps({"delay_ms": [1], "stall_s": 1, "every_s": 5})
    arrivals_s = np.arange(0, 5, 1 / 200)
    truth = np.percentile(np.maximum(1 - arrivals_s, 0) * 1000 + 1, (50, 95, 99))
    lines = [
        "| server stalls 1 s every 5 s, 200 arrivals/s for 20 s | requests | p50 ms | p95 ms | p99 ms |",
        "|---|---|---|---|---|",
    ]
    lines.append(
        "| true values, from the schedule of stalls | 4000 | " + " | ".join(f"{value:.0f}" for value in truth) + " |"
    )
    for kind, users, label in (
        ("open", 20, "open loop (`OpenLoopUser`, `FastUser`)"),
        ("stock", 20, "closed loop: FastHttpUser, `constant_throughput`, 20 users"),
    ):
        with serving(ROOT / "tests" / "counting_server.py", script) as url:
            found = rows(kind, url, rate=200, users=users, seconds=20)
        response_us = found.latency_us + found.late_us.fillna(0).astype(float)
        percentiles = np.percentile(response_us, (50, 95, 99)) / 1000
        lines.append(f"| {label} | {len(found)} | " + " | ".join(f"{value:.0f}" for value in percentiles) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each run, except the run with stalls")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        beside = peers_lines(options.seconds, Path(folder))
    text = [
        "## Measured and known values",
        "",
        f"`python -m benchmarks.accuracy`: loopback, medians of {options.rounds} rounds that alternate.",
        "",
        *pacing_lines(options.rounds, options.seconds),
        "",
        *known_lines(options.seconds),
        "",
        *lateness_lines(options.seconds),
        "",
        *beside,
        "",
        *stall_lines(),
        "",
        where("locust", "gevent", "numpy") + f" · load average {os.getloadavg()[0]:.1f} (ours included)",
    ]
    keep("accuracy", "\n".join(text))


if __name__ == "__main__":
    main()
