"""Measure the time, memory and page size of a report, and how they grow with rows, names, instances and error texts.

    python -m benchmarks.report            # 1.08 M, 4.3 M and 10 M rows; writes benchmarks/results/report.md
    python -m benchmarks.report --quick    # a tenth of the rows; only prints the result

`python lt.py report RUN` makes each report in a separate process; the memory is the peak of that process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import keep, where
from loadtest.recording.failures import Failures
from loadtest.recording.folder import RunFolder
from loadtest.recording.readers import ROW_GROUP_ROWS
from loadtest.recording.rows import SCHEMA
from loadtest.recording.run import LoadModel, Outcome, PlanPoint, Run, ScenarioRecord, TargetRecord

ROOT = Path(__file__).parent.parent
START = datetime(2026, 8, 17, 10, 15, tzinfo=UTC)
RATE_PER_S = 300
DAY_RATE_PER_S = 50
LIMITS = {"seconds": 5.0, "MB of memory": 400.0, "KB of page": 400.0}
GROWTH_LIMIT = 1.5
DAY_LIMIT_MB = 300.0
ROUNDS = 3


@dataclass(frozen=True)
class Kind:
    """The properties of a run's rows.

    Attributes:
        title: its name in the table.
        rate_per_s: the rate of requests.
        names, instances: the number of distinct names and instances, all used equally often.
        texts: the number of distinct error messages; 0 means one message, for the few requests that fail.
        ids: whether names and texts differ only in ids, so that one template covers them.
    """

    title: str
    rate_per_s: int = RATE_PER_S
    names: int = 1
    instances: int = 12
    texts: int = 0
    ids: bool = False


PLAIN = Kind("one endpoint, 12 instances, one error text")
KINDS = (
    Kind("500 names", names=500),
    Kind("14,000 names", names=14_000),
    Kind("14,000 names that differ in an id", names=14_000, ids=True),
    Kind("100 instances", instances=100),
    Kind("100,000 error texts", texts=100_000),
    Kind("100,000 error texts that differ in an id", texts=100_000, ids=True),
)


@dataclass(frozen=True)
class Cost:
    """The time and memory of one report."""

    kind: Kind
    rows: int
    seconds: float
    cpu_seconds: float
    memory_mb: float
    page_kb: float


def record(runs: Path, rows: int, kind: Kind = PLAIN) -> RunFolder:
    """Write a run of `rows` requests: lognormal latencies with a slow drift and a spike every 20 min."""
    seconds = rows // kind.rate_per_s
    slug = "".join(char if char.isalnum() else "-" for char in kind.title)
    run = Run(
        id=f"20260817T101500Z-bench{rows}-{slug}-cloud",
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
    failures = Failures()
    with pq.ParquetWriter(folder.rows, SCHEMA, compression="zstd") as writer:
        for first in range(0, rows, ROW_GROUP_ROWS):
            batch = _batch(rng, first, min(ROW_GROUP_ROWS, rows - first), rows, kind)
            failures.add(batch)
            writer.write_batch(batch)
    folder.write_derived(folder.failures, failures.csv())
    _load(folder, seconds)
    return folder


def _word(number: int) -> str:
    """Return a word that has only letters, so that no template takes it for an id."""
    return "".join(chr(97 + number // 26**place % 26) for place in range(4))


def _batch(rng: np.random.Generator, first: int, count: int, rows: int, kind: Kind) -> pa.RecordBatch:
    at = first + np.arange(count)
    at_s = at / kind.rate_per_s
    level = 40_000 * (1 + 0.1 * np.sin(at_s / 200)) * np.where((at_s % 1200 > 600) & (at_s % 1200 < 640), 4, 1)
    start_ns = int(START.timestamp()) * 10**9 + (at_s * 1e9).astype(np.int64)
    failed = rng.random(count) < (kind.texts / rows if kind.texts else 0.0005)

    def words(index: np.ndarray, values: list[str], mask: np.ndarray | None = None) -> pa.Array:
        used, places = np.unique(index, return_inverse=True)
        texts = [values[at] for at in used.tolist()]
        return pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32), mask=mask), pa.array(texts))

    names = [f"/items/{at}" if kind.ids else f"/items/{_word(at)}" for at in range(kind.names)]
    if kind.names == 1:
        names = ["/predict"]
    texts = [f"item {at} is gone" if kind.ids else f"item {_word(at)} is gone" for at in range(kind.texts)]
    zeros = np.zeros(count, dtype=np.int64)
    columns = {
        "start": pa.array(start_ns).cast(SCHEMA.field("start").type),
        "latency_us": pa.array((level * rng.lognormal(0, 0.35, count)).astype(np.int64)),
        "late_us": pa.nulls(count, pa.int64()),
        "name": words(rng.integers(0, kind.names, count), names),
        "method": words(zeros, ["POST"]),
        "status": pa.array(np.where(failed, 503, 200).astype(np.int16)),
        "outcome": words(failed.astype(np.int64), ["ok", "http_error"]),
        "error": words(rng.integers(0, max(1, kind.texts), count), texts or ["503 Service Unavailable"], ~failed),
        "bytes": pa.array(np.full(count, 43)),
        "instance": words(rng.integers(0, kind.instances, count), [f"instance-{at}" for at in range(kind.instances)]),
        "instance_age_ms": pa.array((at_s * 1000).astype(np.int64)),
        "server_us": pa.array(rng.integers(3000, 5000, count)),
        "worker": words(zeros, ["worker-1"]),
    }
    absent = [field for field in SCHEMA if field.name not in columns]
    columns |= {field.name: pa.nulls(count, field.type) for field in absent}
    return pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


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


def measure(folder: RunFolder, rows: int, kind: Kind = PLAIN) -> Cost:
    """Make the report of a run in a separate process."""
    folder.summary.unlink(missing_ok=True)
    words = [sys.executable, str(ROOT / "lt.py"), "report", str(folder.path)]
    begin = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)  # the peak of this process only; RUSAGE_CHILDREN includes earlier ones
    seconds = time.monotonic() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1, 3):
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Cost(kind, rows, seconds, cpu_seconds, usage.ru_maxrss / 1024, folder.report.stat().st_size / 1000)


def table(base: Cost, large: Cost, day: Cost, others: Sequence[Cost]) -> str:
    """Return the result as Markdown."""
    limits = ", ".join(f"≤ {limit:g} {name}" for name, limit in LIMITS.items())
    return "\n".join(
        [
            "| rows | run | seconds | CPU seconds | MB of memory | KB of page | CPU ÷ line 1 | memory ÷ line 1 |",
            "|---:|---|---:|---:|---:|---:|---:|---:|",
            *(_row(cost, base) for cost in (base, large, day, *others)),
            "",
            f"Limits for line 1: {limits}.",
            f"Limit for the memory of line 2, and for CPU and memory from line 4 on: ≤ {GROWTH_LIMIT} × line 1.",
            f"Limit for the memory of line 3: ≤ {DAY_LIMIT_MB:g} MB.",
        ]
    )


def _row(cost: Cost, base: Cost) -> str:
    hours = cost.rows / cost.kind.rate_per_s / 3600
    run = f"{hours:.1f} h at {cost.kind.rate_per_s}/s, {cost.kind.title}"
    measured = f"{cost.seconds:.1f} | {cost.cpu_seconds:.1f} | {cost.memory_mb:.0f} | {cost.page_kb:.0f}"
    growth = f"{cost.cpu_seconds / base.cpu_seconds:.2f} | {cost.memory_mb / base.memory_mb:.2f}"
    return f"| {cost.rows:,} | {run} | {measured} | {growth} |"


def _medians(runs: Path, rows: int, kinds: Sequence[Kind]) -> list[Cost]:
    """Return the median cost of each kind of run. Each round goes through all kinds in turn."""
    folders = [record(runs, rows, kind) for kind in kinds]
    rounds = [[measure(folder, rows, kind) for folder, kind in zip(folders, kinds, strict=True)] for _ in range(ROUNDS)]
    return [sorted(costs, key=lambda cost: cost.cpu_seconds)[ROUNDS // 2] for costs in zip(*rounds, strict=True)]


def main() -> None:
    """Run the measurement and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows; writes nothing")
    quick = parser.parse_args().quick
    rows, large_rows, day_rows = (108_000, 1_000_000, 432_000) if quick else (1_080_000, 10_000_000, 4_320_000)
    day = Kind("one endpoint", rate_per_s=DAY_RATE_PER_S)
    with tempfile.TemporaryDirectory() as home:
        runs = Path(home)
        found = _medians(runs, rows, (PLAIN, *KINDS))
        large = measure(record(runs, large_rows), large_rows)
        long = measure(record(runs, day_rows, day), day_rows, day)
    how = f"`python -m benchmarks.report`; lines with {rows:,} rows are medians of {ROUNDS} rounds."
    head = f"## Cost of a report\n\n{how}"
    text = f"{head}\n\n{where('numpy', 'pyarrow', 'pydantic')}\n\n{table(found[0], large, long, found[1:])}"
    if quick:
        print(text)
    else:
        keep("report", text)


if __name__ == "__main__":
    main()
