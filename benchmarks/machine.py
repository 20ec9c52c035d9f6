"""Describe the machine of a benchmark, and store its output as a section of the results."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).with_name("results")


def where(*packages: str) -> str:
    """Return one line: day, processor, cores, system, Python, each package with its version, a real-time priority."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    processor = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    parts = [
        f"{datetime.now(UTC):%Y-%m-%d}",
        f"{processor or platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        f"{platform.system()} {platform.release().split('-')[0]}",
        f"Python {platform.python_version()}",
        *(f"{name} {version(name)}" for name in packages),
        *(["real-time priority"] if os.sched_getscheduler(0) != os.SCHED_OTHER else []),  # started with `chrt`
    ]
    return " · ".join(parts)


def keep(name: str, text: str) -> None:
    """Print the section and write it to `benchmarks/results/<name>.md`."""
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text + "\n")
