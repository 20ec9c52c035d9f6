"""Write small run folders row by row, with only the columns that a test needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from loadtest.recording.folder import RunFolder
from loadtest.recording.run import LoadModel, Outcome, PlanPoint, Run, ScenarioRecord, TargetRecord

T0 = datetime(2026, 8, 17, 10, 15, tzinfo=UTC)
T0_NS = int(T0.timestamp()) * 10**9


def run_record(name: str, **changes: object) -> Run:
    fields: dict[str, object] = {
        "id": name,
        "scenario": ScenarioRecord(name="ramp300", load_model=LoadModel.CLOSED),
        "target": TargetRecord(kind="local", url="http://127.0.0.1:8080"),
        "start": T0,
        "load_start": T0,
        "outcome": Outcome.COMPLETE,
    }
    return Run.model_validate(fields | changes)


def plan(*points: tuple[float, float]) -> ScenarioRecord:
    points = [PlanPoint(at_s=at, users=users) for at, users in points]
    return ScenarioRecord(name="ramp300", load_model=LoadModel.CLOSED, plan=points)


def write_rows(
    path: Path,
    *,
    latency_us: Sequence[int],
    start_s: Sequence[float] | None = None,
    record: Mapping[str, object] | None = None,
    **columns: Sequence[object],
) -> RunFolder:
    """Write a folder as another tool would: with plain strings, and without optional columns that are not given."""
    count = len(latency_us)
    start = start_s if start_s is not None else [at * 0.01 for at in range(count)]
    folder = RunFolder.create(path, run_record("run", **(record or {})))
    outcome = columns.pop("outcome", ["ok"] * count)
    table = {
        "start": pa.array([T0_NS + round(at * 1e9) for at in start]).cast(pa.timestamp("ns", tz="UTC")),
        "latency_us": pa.array(list(latency_us), pa.int64()),
        "name": pa.array(columns.pop("name", ["/predict"] * count)),
        "method": pa.array(["POST"] * count),
        "outcome": pa.array(list(outcome)),
        "bytes": pa.array(columns.pop("bytes", [40] * count), pa.int64()),
        "worker": pa.array(["w1"] * count),
    }
    pq.write_table(pa.table(table | {name: pa.array(values) for name, values in columns.items()}), folder.rows)
    return folder
