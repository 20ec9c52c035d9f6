"""Measure the CPU that `lt` takes to start, beside `locust --help`.

    python -m benchmarks.startup [--rounds 5]

User + system time of each command and its children, from the kernel. Rounds go through all commands in turn, and a
ratio is taken within its round. Modules that must not be imported are held by tests/cli/test_start.py instead.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import keep, where

ROOT = Path(__file__).parent.parent
PEER = "locust --help"


def cpu_s(words: list[str]) -> float:
    """Return the seconds of CPU that a command took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # As where `lt` is installed: modules are compiled once and not at every start.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    nowhere = subprocess.DEVNULL
    subprocess.run([sys.executable, *words], cwd=ROOT, env=env, stdout=nowhere, stderr=nowhere, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as empty:
        commands = {
            PEER: ["-m", "locust", "--help"],
            "lt --help": ["lt.py", "--help"],
            "lt run --help": ["lt.py", "run", "--help"],
            "lt runs (none)": ["lt.py", "runs", "--runs", empty],
            "lt scenarios": ["lt.py", "scenarios"],
        }
        taken = [{name: cpu_s(words) for name, words in commands.items()} for _ in range(rounds)]
    lines = ["## Starting", "", f"`python -m benchmarks.startup`: medians of {rounds} rounds that alternate.", ""]
    lines += [f"| | CPU, s | × {PEER} |", "|---|---|---|"]
    for name in commands:
        median_s = statistics.median(start_s[name] for start_s in taken)
        ratio = statistics.median(start_s[name] / start_s[PEER] for start_s in taken)
        lines.append(f"| `{name}` | {median_s:.2f} | {ratio:.2f} |")
    load = os.getloadavg()[0]
    keep("startup", "\n".join([*lines, "", f"Load average {load:.1f}. {where('locust', 'typer', 'rich')}"]))


if __name__ == "__main__":
    main()
