"""Measure what a report costs: time, memory and page size for an hour at 300 requests/s, and memory at ten times it.

    python -m benchmarks.report            # 1.08 M rows and 10 M rows; writes benchmarks/results/report.md
    python -m benchmarks.report --quick    # 0.1 M rows and 1 M rows, printed only

Each report is made by `python lt.py report RUN` in a process of its own; its memory is the peak of that process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import keep, where
from loadtest.recording.folder import RunFolder
from loadtest.recording.readers import ROW_GROUP_ROWS
from loadtest.recording.rows import SCHEMA
from loadtest.recording.run import LoadModel, Outcome, PlanPoint, Run, ScenarioRecord, TargetRecord

ROOT = Path(__file__).parent.parent
START = datetime(2026, 8, 17, 10, 15, tzinfo=UTC)
RATE_PER_S = 300
LIMITS = {"seconds": 5.0, "MB of memory": 400.0, "KB of page": 400.0}
GROWTH_LIMIT = 1.5
ROUNDS = 3


@dataclass(frozen=True)
class Cost:
    """What one report took."""

    rows: int
    seconds: float
    cpu_seconds: float
    memory_mb: float
    page_kb: float


def record(runs: Path, rows: int) -> RunFolder:
    """Write a run of `rows` requests at RATE_PER_S: lognormal latencies with a slow drift, a spike every 20 min."""
    seconds = rows // RATE_PER_S
    run = Run(
        id=f"20260817T101500Z-bench{rows}-cloud",
        scenario=ScenarioRecord(
            name=f"bench{rows}",
            load_model=LoadModel.CLOSED,
            plan=[PlanPoint(at_s=0, users=300), PlanPoint(at_s=seconds, users=300)],
        ),
        target=TargetRecord(kind="cloud", url="https://benchmark.invalid", region="europe-west1"),
        objectives=["p95(steady) < 300ms", "error_rate < 1%"],
        start=START,
        load_start=START,
        end=START + timedelta(seconds=seconds),
        outcome=Outcome.COMPLETE,
    )
    folder = RunFolder.create(runs, run)
    rng = np.random.default_rng(1)
    with pq.ParquetWriter(folder.rows, SCHEMA, compression="zstd") as writer:
        for first in range(0, rows, ROW_GROUP_ROWS):
            writer.write_batch(_batch(rng, first, min(ROW_GROUP_ROWS, rows - first)))
    _load(folder, seconds)
    return folder


def _batch(rng: np.random.Generator, first: int, count: int) -> pa.RecordBatch:
    at_s = (first + np.arange(count)) / RATE_PER_S
    level = 40_000 * (1 + 0.1 * np.sin(at_s / 200)) * np.where((at_s % 1200 > 600) & (at_s % 1200 < 640), 4, 1)
    start_ns = int(START.timestamp()) * 10**9 + (at_s * 1e9).astype(np.int64)
    failed = rng.random(count) < 0.0005

    def words(index: np.ndarray, values: list[str], mask: np.ndarray | None = None) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32), mask=mask), pa.array(values))

    zeros = np.zeros(count)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(start_ns).cast(SCHEMA.field("start").type),
            pa.array((level * rng.lognormal(0, 0.35, count)).astype(np.int64)),
            pa.nulls(count, pa.int64()),
            words(zeros, ["/predict"]),
            words(zeros, ["POST"]),
            pa.array(np.where(failed, 503, 200).astype(np.int16)),
            words(failed, ["ok", "http_error"]),
            words(zeros, ["503 Service Unavailable"], ~failed),
            pa.array(np.full(count, 43)),
            words(rng.integers(0, 12, count), [f"instance-{at}" for at in range(12)]),
            pa.array((at_s * 1000).astype(np.int64)),
            pa.array(rng.integers(3000, 5000, count)),
            words(zeros, ["worker-1"]),
        ],
        schema=SCHEMA,
    )


def _load(folder: RunFolder, seconds: int) -> None:
    begin = int(START.timestamp())
    folder.append_load(
        [
            {
                "time_s": begin + at,
                "worker": "worker-1",
                "planned_users": 300,
                "users": 300,
                "in_flight": 12,
                "cpu_ratio": 0.2,
                "loop_lag_ms": 3,
                "refused": 0,
            }
            for at in range(seconds)
        ]
    )


def measure(folder: RunFolder, rows: int) -> Cost:
    """Make the report of a run in a process of its own."""
    folder.summary.unlink(missing_ok=True)
    words = [sys.executable, str(ROOT / "lt.py"), "report", str(folder.path)]
    begin = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)  # the peak of this process alone; RUSAGE_CHILDREN is of all before it
    seconds = time.monotonic() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1, 3):
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Cost(rows, seconds, cpu_seconds, usage.ru_maxrss / 1024, folder.report.stat().st_size / 1000)


def table(small: Cost, large: Cost) -> str:
    """Return the result as Markdown."""
    limits = ", ".join(f"≤ {limit:g} {name}" for name, limit in LIMITS.items())
    return "\n".join(
        [
            "| rows | run | seconds | of CPU | MB of memory | KB of page |",
            "|---:|---|---:|---:|---:|---:|",
            _row(small),
            _row(large),
            "",
            f"Limits for the first line: {limits}.",
            f"Memory of the second: {large.memory_mb / small.memory_mb:.2f} × the first, limit {GROWTH_LIMIT} ×.",
        ]
    )


def _row(cost: Cost) -> str:
    hours = cost.rows / RATE_PER_S / 3600
    measured = f"{cost.seconds:.1f} | {cost.cpu_seconds:.1f} | {cost.memory_mb:.0f} | {cost.page_kb:.0f}"
    return f"| {cost.rows:,} | {hours:.1f} h at {RATE_PER_S}/s | {measured} |"


def main() -> None:
    """Run the measurement and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows; writes nothing")
    quick = parser.parse_args().quick
    small_rows, large_rows = (108_000, 1_000_000) if quick else (1_080_000, 10_000_000)
    with tempfile.TemporaryDirectory() as home:
        small, large = record(Path(home), small_rows), record(Path(home), large_rows)
        rounds = [measure(small, small_rows) for _ in range(ROUNDS)]
        found = table(sorted(rounds, key=lambda cost: cost.seconds)[ROUNDS // 2], measure(large, large_rows))
    head = f"## What a report costs\n\n`python -m benchmarks.report`, the first line the median of {ROUNDS}."
    text = f"{head}\n\n{where('numpy', 'pyarrow', 'pydantic')}\n\n{found}"
    if quick:
        print(text)
    else:
        keep("report", text)


if __name__ == "__main__":
    main()
