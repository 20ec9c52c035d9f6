"""Measure the cost of the live page and how soon it shows a cold start, in pairs of runs with and without the page.

    python -m benchmarks.live [--pairs 4] [--duration 30s]

300 users (closed loop) and 300 arrivals/s (open loop) load the bundled service on this machine, with one worker. CPU is
the CPU time of the process of `lt run` only, during the load. A client polls the page as a browser does. The pairs are
run in the order ABBA. The range of a number over the runs of one kind shows how noisy it is.

For cold starts the target is the local Cloud Run, scaled to zero. The page can show a cold start only when the first
answer of the new instance has come, because the client learns of it only from that answer.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.machine import keep, where
from loadtest.recording.catalogue import find_run
from loadtest.recording.folder import RunFolder

ROOT = Path(__file__).parent.parent
SETTLED_S = 5.0
"""CPU and rows are counted from this many seconds after the start of the load."""

LOADS = {"ramp300": "300 users", "arrival300": "300 arrivals/s"}


@dataclass
class Watched:
    """The observations of one run: CPU over time, the page's count of requests over time, and the time at which the
    page first showed each event."""

    cpu: list[tuple[float, float]] = field(default_factory=list)
    requests: list[tuple[float, int]] = field(default_factory=list)
    events: dict[str, float] = field(default_factory=dict)

    def ratio(self, load_start_s: float, load_end_s: float) -> float:
        """Return the share of a core during the load, without its start and the report at its end."""
        during = [(at, cpu) for at, cpu in self.cpu if load_start_s + SETTLED_S < at < load_end_s - 1]
        return (during[-1][1] - during[0][1]) / (during[-1][0] - during[0][0])


def run(runs: Path, words: Sequence[str], *, live: bool) -> tuple[RunFolder, Watched]:
    """Run once, and return the run's folder and the observations."""
    process = subprocess.Popen(
        [sys.executable, "lt.py", "run", *words, "--runs", str(runs), *(["--live", "0"] if live else [])],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    watched, counter = Watched(), psutil.Process(process.pid)
    for line in process.stderr:
        if found := re.search(r"live page: (\S+)/#key=(\S+)", line):
            threading.Thread(target=follow, args=(found[1], found[2], watched), daemon=True).start()
        if "recorded in" in line:
            break
    threading.Thread(target=process.stderr.read, daemon=True).start()
    while process.poll() is None:
        try:
            watched.cpu.append((time.time(), sum(counter.cpu_times()[:2])))
        except psutil.Error:
            break
        time.sleep(0.25)
    process.wait()
    return find_run(runs, "latest"), watched


def follow(url: str, key: str, watched: Watched) -> None:
    """Poll for updates as the page does, until the run ends."""
    version = have = -1
    while True:
        told = ask(f"{url}/state?after={version}&have={have}", key)
        version, have, now_s = told["version"], told.get("drawn", -1), time.time()
        if told["state"] == "done":
            ask(f"{url}/report", key)
            return
        counts = [re.sub(r"\D", "", tile["small"]) for tile in told["tiles"] if tile["name"] == "requests/s"]
        if counts and counts[0]:
            watched.requests.append((now_s, int(counts[0])))
        for event in told.get("events", ()):
            watched.events.setdefault(event, now_s)


def ask(url: str, key: str) -> dict[str, Any]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        body = answer.read()
    return dict(json.loads(body)) if answer.headers["Content-Type"] == "application/json" else {}


def measure(folder: RunFolder, watched: Watched) -> dict[str, float]:
    """Return the numbers of one run."""
    rows = folder.read_rows(["start", "latency_us", "late_us", "outcome"])
    at_s = rows.start.astype("int64").to_numpy() / 1e9
    kept = (rows.outcome == "ok").to_numpy() & (at_s > at_s.min() + SETTLED_S)
    late_ms = rows.late_us.fillna(0).to_numpy(dtype=float)[kept] / 1000
    response_ms = rows.latency_us.to_numpy(dtype=float)[kept] / 1000 + late_ms
    found = {"CPU of `lt run`, share of a core": watched.ratio(at_s.min(), at_s.max())}
    found |= {f"response time p{100 * q:.0f}, ms": float(np.quantile(response_ms, q)) for q in (0.5, 0.95)}
    if rows.late_us.notna().any():
        found |= {f"lateness p{100 * q:.0f}, ms": float(np.quantile(late_ms, q)) for q in (0.5, 0.95)}
    return found


def pairs(home: Path, scenario: str, duration: str, count: int) -> tuple[list[str], list[float]]:
    """Return the table of one load, and the delays in s from the end of a request until the page counts it."""
    words = ["--scenario", scenario, "--spawn-rate", "150", "--duration", duration, "--workers", "1"]
    found: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    delays: list[float] = []
    for number in range(count):
        for live in (False, True) if number % 2 == 0 else (True, False):
            folder, watched = run(home / f"{scenario}-{number}-{live}", words, live=live)
            found[live].append(measure(folder, watched))
            rows = folder.read_rows(["start", "latency_us"])
            ends = np.sort(rows.start.astype("int64").to_numpy() / 1e9 + rows.latency_us.to_numpy() / 1e6)
            delays += [at - ends[told - 1] for at, told in watched.requests if 0 < told < len(ends)]
    lines = [
        f"| {LOADS[scenario]} | without the page | with the page open | with − without, by pair |",
        "|---|---|---|---|",
    ]
    for name in found[True][0]:
        show: Callable[[float], str] = (lambda x: f"{x:.2%}") if "core" in name else (lambda x: f"{x:.3f}")
        off, on = ([figures[name] for figures in found[live]] for live in (False, True))
        change = [b - a for a, b in zip(off, on, strict=True)]
        texts = [f"{show(statistics.median(of))} ({show(min(of))} to {show(max(of))})" for of in (off, on, change)]
        lines.append(f"| {name} | {' | '.join(texts)} |")
    return lines, delays


def cold_starts(home: Path, count: int) -> list[float]:
    """Return the delays in s from the first answer of each new instance until the page shows it."""
    words = ["--scenario", "ramp300", "--spawn-rate", "20", "--duration", "40s", "--target", "emulator"]
    words += ["--workers", "1"]
    delays = []
    for number in range(count):
        folder, watched = run(home / f"cold-{number}", words, live=True)
        rows = folder.read_rows(["start", "latency_us", "instance"]).dropna(subset=["instance"])
        ends = rows.start.astype("int64") / 1e9 + rows.latency_us / 1e6
        firsts = sorted(ends.groupby(rows.instance.astype(str)).min())
        told = sorted(at for event, at in watched.events.items() if "answered for the first time" in event)
        assert len(firsts) == len(told), (firsts, watched.events)
        delays += [at - first for at, first in zip(told, firsts, strict=True)]
    return delays


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--duration", default="30s")
    options = parser.parse_args()
    command = f"`python -m benchmarks.live`: {options.duration} a run, {options.pairs} pairs in the order ABBA"
    lines = ["## The live page", "", f"{command}; medians (and ranges)."]
    delays: list[float] = []
    with tempfile.TemporaryDirectory() as home:
        for scenario in LOADS:
            table, late = pairs(Path(home), scenario, options.duration, options.pairs)
            lines += ["", *table]
            print(*table, sep="\n", flush=True)
            delays += late
        cold = cold_starts(Path(home), 2)
    counted, shown = (
        f"{statistics.median(of):.1f} s after it, 95 % within {np.quantile(of, 0.95):.1f} s, all by {max(of):.1f} s"
        for of in (delays, cold)
    )
    lines += ["", f"An answer is counted on the page {counted}."]
    lines.append(f"The first answer of each of {len(cold)} new instances of the local Cloud Run is shown {shown}.")
    lines += ["", f"Load average {os.getloadavg()[1]:.1f}. {where('locust', 'numpy')}"]
    keep("live", "\n".join(lines))


if __name__ == "__main__":
    main()
