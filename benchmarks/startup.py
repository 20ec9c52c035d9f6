"""Measure the CPU that `lt` takes to start, and compare it with `locust --help`.

    python -m benchmarks.startup [--rounds 5]

CPU is the user + system time of each command and its children, from the kernel. Each round runs all commands, and
ratios are computed within a round. tests/cli/test_start.py checks which modules must not be imported.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import keep, where
from benchmarks.report import record
from loadtest.recording.folder import RunFolder
from loadtest.recording.seal import fingerprint

ROOT = Path(__file__).parent.parent
PEER = "locust --help"
RUNS, ROWS = 200, 3_000


def cpu_s(words: list[str], page: Path | None = None) -> float:
    """Return the seconds of CPU that a command took. Its exit code may be a verdict, so it is not checked.

    Args:
        words: the words of the command.
        page: a page that the command makes again.
    """
    if page is not None:
        page.unlink(missing_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Modules are compiled once and not at every start, as in an installed `lt`.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    nowhere = subprocess.DEVNULL
    subprocess.run([sys.executable, *words], cwd=ROOT, env=env, stdout=nowhere, stderr=nowhere, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def recorded(home: Path) -> str:
    """Return a folder of RUNS recorded runs."""
    first = record(home / "runs", ROWS)
    first.write_run(first.read_run().model_copy(update={"sealed": fingerprint(first)}))
    for number in range(1, RUNS):
        shutil.copytree(first.path, first.path.with_name(f"{first.path.name}-{number:03}"))
    return str(home / "runs")


def alone(home: Path) -> RunFolder:
    """Return a run that is the only one in its folder."""
    folder = record(home / "alone", ROWS)
    folder.write_run(folder.read_run().model_copy(update={"sealed": fingerprint(folder)}))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        runs, single = recorded(Path(name)), alone(Path(name))
        new = f"lt report (new page, {ROWS:,} rows)"
        commands = {
            PEER: ["-m", "locust", "--help"],
            "lt --help": ["lt.py", "--help"],
            "lt run --help": ["lt.py", "run", "--help"],
            "lt scenarios": ["lt.py", "scenarios"],
            f"lt runs ({RUNS})": ["lt.py", "runs", "--runs", runs],
            "lt report (its page is up to date)": ["lt.py", "report", "latest", "--runs", runs],
            new: ["lt.py", "report", str(single.path)],
        }
        for words in commands.values():
            subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, check=False)
        pages = {new: single.report}
        taken = [{name: cpu_s(words, pages.get(name)) for name, words in commands.items()} for _ in range(rounds)]
    lines = ["## Start time", "", f"`python -m benchmarks.startup`: medians of {rounds} rounds that alternate.", ""]
    lines += [f"| | CPU, s | × {PEER} |", "|---|---|---|"]
    for name in commands:
        median_s = statistics.median(start_s[name] for start_s in taken)
        ratio = statistics.median(start_s[name] / start_s[PEER] for start_s in taken)
        lines.append(f"| `{name}` | {median_s:.2f} | {ratio:.2f} |")
    load = os.getloadavg()[0]
    keep("startup", "\n".join([*lines, "", f"Load average {load:.1f}. {where('locust', 'typer', 'rich')}"]))


if __name__ == "__main__":
    main()
