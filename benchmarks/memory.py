"""Measure the memory of a run's processes over time: `python -m benchmarks.memory [--minutes 5]`.

If the recorder kept anything per request, its memory would grow with the run: 500 requests/s for 5 minutes are 150,000
requests, which at 100 bytes each would be 15 MB. The benchmark compares the means over 10 s after the first minute and
before the end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import psutil

from benchmarks.machine import keep, where
from loadtest.recording.catalogue import find_run
from tests.conftest import ROOT, counting_server

REQUESTS_PER_S = 500
WORKERS = 2
WINDOW_S = 10.0
TOLERANCE_RATIO = 0.1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="length of the run, above 1")
    minutes = parser.parse_args().minutes
    if minutes <= 1.0:
        parser.error(f"--minutes {minutes:g}: the end is compared with the first minute, so give more than 1")
    with tempfile.TemporaryDirectory() as runs, counting_server() as server:
        samples = recorded(server.url, Path(runs), minutes * 60)
        folder = find_run(Path(runs), "latest")
        rows, outcome = len(folder.read_rows(["start"])), folder.read_run().outcome.value
        counted = server.count()
    text, flat = report(samples, minutes, rows=rows, counted=counted, outcome=outcome)
    keep("memory", text)
    return 0 if flat and rows == counted else 1


def recorded(url: str, runs: Path, duration_s: float) -> dict[str, list[tuple[float, int]]]:
    """Run 500 users with one request per second each; return (s since the first request, RSS in bytes) per process."""
    words = ["run", "-s", "soak", "-t", url, "--users", str(REQUESTS_PER_S), "--spawn-rate", str(REQUESTS_PER_S)]
    words += ["--duration", f"{duration_s:.0f}s", "--workers", str(WORKERS), "--runs", str(runs)]
    samples: dict[str, list[tuple[float, int]]] = defaultdict(list)
    command = subprocess.Popen([sys.executable, str(ROOT / "lt.py"), *words], start_new_session=True)
    begin_s: float | None = None
    while command.poll() is None:
        time.sleep(0.5)
        if begin_s is None:
            began = any(path.stat().st_size for path in runs.glob("*/requests.spool"))
            begin_s = time.monotonic() if began else None
            continue
        for process in (psutil.Process(command.pid), *psutil.Process(command.pid).children()):
            name = role(process)
            if name is not None:
                samples[name].append((time.monotonic() - begin_s, process.memory_info().rss))
    return samples


def role(process: psutil.Process) -> str | None:
    """Return the role of the process in the run; None if it has ended or does not belong to the run."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return None
    if "--master" in words:
        return "master"
    if "--worker" in words:
        return f"worker {process.pid}"
    return "lt run" if any(word.endswith("lt.py") for word in words) else None


def report(
    samples: dict[str, list[tuple[float, int]]], minutes: float, *, rows: int, counted: int, outcome: str
) -> tuple[str, bool]:
    """Return the section of the results, and whether the memory of every process stayed within TOLERANCE_RATIO."""
    end_s = minutes * 60
    windows = ((60.0, 60.0 + WINDOW_S), (end_s - 2 - WINDOW_S, end_s - 2))
    said = (
        f"{REQUESTS_PER_S} requests/s against `tests/counting_server.py`: {rows:,} rows recorded, {counted:,} requests "
        f"counted by the server, outcome {outcome}. The table shows resident memory, means over {WINDOW_S:g} s."
    )
    lines = [
        "# Memory of a run's processes",
        "",
        f"`python -m benchmarks.memory --minutes {minutes:g}`, {where('locust', 'gevent')}",
        "",
        said,
        "",
        f"| process | after minute 1 | at minute {minutes:g} | ratio |",
        "|---|---:|---:|---:|",
    ]
    flat = True
    for number, (name, taken) in enumerate(samples.items()):
        means = [
            sum(inside) / len(inside) / 2**20
            for from_s, to_s in windows
            if (inside := [rss for at_s, rss in taken if from_s <= at_s < to_s])
        ]
        if len(means) < 2:
            continue
        flat = flat and abs(means[1] / means[0] - 1) <= TOLERANCE_RATIO
        shown = f"worker {number}" if name.startswith("worker") else name
        lines.append(f"| {shown} | {means[0]:.1f} MiB | {means[1]:.1f} MiB | {means[1] / means[0]:.3f} |")
    verdict = "yes" if flat else "NO"
    return "\n".join([*lines, "", f"Memory within ±{TOLERANCE_RATIO:.0%}: {verdict}."]), flat


if __name__ == "__main__":
    sys.exit(main())
