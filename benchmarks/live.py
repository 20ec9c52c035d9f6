"""Measure the cost of the live page, and how soon it shows an answer, with paired runs with and without the page.

    python -m benchmarks.live [--rounds 3] [--duration 40s]

300 users load the bundled service on this machine, with one worker. CPU is that of the process of `lt run` only, during
the load; a client polls the page as a browser does. An answer counts as shown when the page's count of all requests
includes it.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.machine import keep, where
from loadtest.recording.catalogue import find_run
from reports.summary.build import build_report

ROOT = Path(__file__).parent.parent
SETTLED_S = 5.0
"""CPU is counted from this many seconds after the start of the load."""


@dataclass
class Watched:
    """The observations of one run: CPU over time, and the page's count of requests over time."""

    cpu: list[tuple[float, float]] = field(default_factory=list)
    told: list[tuple[float, int]] = field(default_factory=list)

    def ratio(self, load_start_s: float, load_end_s: float) -> float:
        """Return the share of a core during the load, without its start and the report at its end."""
        during = [(at, cpu) for at, cpu in self.cpu if load_start_s + SETTLED_S < at < load_end_s - 1]
        return (during[-1][1] - during[0][1]) / (during[-1][0] - during[0][0])


def run(runs: Path, duration: str, *, live: bool) -> Watched:
    """Run once, and return the observations."""
    words = ["run", "--scenario", "ramp300", "--spawn-rate", "100", "--duration", duration, "--workers", "1"]
    words += ["--runs", str(runs), *(["--live", "0"] if live else [])]
    process = subprocess.Popen(
        [sys.executable, "lt.py", *words], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
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
    return watched


def follow(url: str, key: str, watched: Watched) -> None:
    """Poll for updates as the page does, until the run ends."""
    version = -1
    while True:
        told = ask(f"{url}/state?after={version}", key)
        version = told["version"]
        if told["state"] == "done":
            ask(f"{url}/report", key)
            return
        counts = [re.sub(r"\D", "", tile["small"]) for tile in told["tiles"] if tile["name"] == "requests/s"]
        if counts and counts[0]:
            watched.told.append((time.time(), int(counts[0])))


def ask(url: str, key: str) -> dict[str, Any]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        body = answer.read()
    return dict(json.loads(body)) if answer.headers["Content-Type"] == "application/json" else {}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--duration", default="40s")
    options = parser.parse_args()
    ratios: dict[bool, list[float]] = {False: [], True: []}
    p50, p99, late = ({False: [], True: []} for _ in range(3))  # type: ignore[var-annotated] # of floats
    with tempfile.TemporaryDirectory() as home:
        for number in range(options.rounds):
            for live in (False, True) if number % 2 == 0 else (True, False):
                runs = Path(home) / f"{number}-{live}"
                watched = run(runs, options.duration, live=live)
                folder = find_run(runs, "latest")
                summary = build_report([folder.path]).runs[0]
                begin_s = summary.load_start.timestamp()
                ratios[live].append(watched.ratio(begin_s, begin_s + summary.duration_s))
                steady = next(phase for phase in summary.phases if phase.name == "steady")
                by_q = {quantile.q_ratio: quantile.value_ms for quantile in steady.latency}
                p50[live].append(by_q[0.5])
                p99[live].append(by_q[0.99])
                rows = folder.read_rows(["start", "latency_us"])
                ends = np.sort(rows.start.astype("int64").to_numpy() / 1e9 + rows.latency_us.to_numpy() / 1e6)
                late[live] += [at - ends[count - 1] for at, count in watched.told if 0 < count < len(ends)]
    lines = [
        "## The live page",
        "",
        f"`python -m benchmarks.live`: 300 users for {options.duration}, medians of {options.rounds} pairs.",
        "",
        "| | CPU of `lt run`, cores | p50, ms | p99, ms |",
        "|---|---|---|---|",
    ]
    for live, name in ((False, "without the page"), (True, "with the page open")):
        middle = [statistics.median(values[live]) for values in (p50, p99)]
        lines.append(f"| {name} | {statistics.median(ratios[live]):.2%} | {middle[0]:.2f} | {middle[1]:.2f} |")
    delays = sorted(late[True])
    lines += [
        "",
        f"The page shows an answer {statistics.median(delays):.1f} s after it came; at most {delays[-1]:.1f} s.",
    ]
    keep("live", "\n".join([*lines, "", where("locust", "numpy")]))


if __name__ == "__main__":
    main()
