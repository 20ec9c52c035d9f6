"""Compare two copies of the bundled service with `lt ab` while another process disturbs the machine.

    python -m benchmarks.two_services [--different N] [--same N] [--duration 5m] [--write]

One copy computes every prediction 50 times, and the other computes it 55 times (10 % more work per request) or also 50
times. The disturbing process computes on one core for 1–6 s at a time, with pauses of the same length.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.machine import keep, where
from loadtest.recording.catalogue import find_run
from reports.model import ComparedLine, Report

ROOT = Path(__file__).parent.parent


def _disturb() -> None:
    while True:
        until_s = time.monotonic() + random.uniform(1, 6)
        while time.monotonic() < until_s:
            sum(range(10_000))
        time.sleep(random.uniform(1, 6))


@contextmanager
def disturbance() -> Iterator[None]:
    """Disturb the machine until the block ends."""
    process = multiprocessing.Process(target=_disturb, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def service(repeat: int) -> str:
    """Return the command that starts a copy."""
    return f"env REPEAT={repeat} PYTHONPATH={ROOT} {sys.executable} -m benchmarks.peers.repeating_service"


def compared(repeats: tuple[int, int], *options: str) -> tuple[int, list[ComparedLine], float]:
    """Return the exit code of one `lt ab`, the lines of the steady phase, and how long the load lasted."""
    with tempfile.TemporaryDirectory() as runs:
        words = [sys.executable, str(ROOT / "lt.py"), "ab", "--scenario", "steady", "--runs", runs, "--workers", "1"]
        words += [word for repeat in repeats for word in ("--command", service(repeat))]
        with disturbance():
            done = subprocess.run([*words, *options], capture_output=True, text=True, check=False)
        folder = find_run(Path(runs), "latest")
        report = Report.model_validate_json(folder.summary.read_text(encoding="utf-8"))
    lines = [line for line in report.comparisons[0].lines if line.scope == "steady"]
    return done.returncode, lines, report.runs[0].duration_s


def _row(name: str, code: int, lines: list[ComparedLine], length_s: float) -> str:
    said = {line.statistic: line for line in lines}

    def cell(statistic: str) -> str:
        line = said[statistic]
        if line.low_ratio is None or line.high_ratio is None or line.difference_ratio is None:
            return line.why
        return f"{line.difference_ratio:+.1%} ({line.low_ratio:+.1%} … {line.high_ratio:+.1%}) {line.verdict}"

    return f"| {name} | {length_s:.0f} s | {code} | {cell('p50')} | {cell('mean')} | {cell('p95')} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--different", type=int, default=1, help="runs with 10 %% more work on one side")
    parser.add_argument("--same", type=int, default=10, help="short runs of the same service twice")
    parser.add_argument("--duration", default="5m", help="maximum duration of the runs with a difference")
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/two_services.md")
    given = parser.parse_args()
    margin = ("--margin", "p50=5%", "--users", str(given.users))
    lines = ["| services | duration | exit code | p50 | mean | p95 |", "|---" * 6 + "|"]
    for _ in range(given.different):
        found = compared((50, 55), *margin, "--until-decided", "--max-duration", given.duration)
        lines.append(_row("10 % more work in B", *found))
        print(lines[-1], file=sys.stderr)
    for _ in range(given.same):
        lines.append(_row("the same service twice", *compared((50, 50), *margin, "--duration", "45s")))
        print(lines[-1], file=sys.stderr)
    intro = (
        f"`python -m benchmarks.two_services --different {given.different} --same {given.same}`\n\n"
        f"{where('locust')}\n\nTwo copies of the bundled service, {given.users / 2:g} requests/s each, while another "
        "process computes on one core for some seconds at a time. Exit "
        "code 1: B is slower by more than 5 % at p50; 3: undecided; 0: not slower."
    )
    text = "\n".join(["# Two services in one run", "", intro, "", *lines])
    if given.write:
        keep("two_services", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
