"""Make small frames and recorded runs for tests."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from loadtest.recording.folder import RunFolder
from loadtest.recording.frames import COLUMNS, Frame, encode_frame
from loadtest.recording.run import Outcome, Run, ScenarioRecord, TargetRecord, WorkerRecord

T0 = datetime(2026, 8, 17, 10, 15, tzinfo=UTC)
T0_NS = int(T0.timestamp()) * 10**9

STRINGS = ("", "/predict", "POST", "HTTP 500", "one")


def frame(worker: str = "w1", *, seq: int = 0, rows: int = 10, rows_before: int = 0, failed: int = 0) -> Frame:
    """Return `rows` rows 10 ms apart that took 1, 2, 3 … ms. The first `failed` rows have status 500."""
    values: dict[str, Sequence[int]] = {
        "start": [T0_NS + (rows_before + row) * 10_000_000 for row in range(rows)],
        "latency_us": [1000 * (row + 1) for row in range(rows)],
        "late_us": [-1] * rows,
        "name": [1] * rows,
        "method": [2] * rows,
        "status": [500 if row < failed else 200 for row in range(rows)],
        "outcome": [1 if row < failed else 0 for row in range(rows)],
        "error": [3 if row < failed else 0 for row in range(rows)],
        "bytes": [40] * rows,
        "instance": [4] * rows,
        "instance_age_ms": [7] * rows,
        "server_us": [250] * rows,
        "side": [0] * rows,
    }
    columns = {name: array(code, values[name]) for name, code in COLUMNS.items()}
    return Frame(worker=worker, seq=seq, rows=rows, rows_before=rows_before, strings=STRINGS, columns=columns)


def frames(count: int, *, worker: str = "w1", rows: int = 10, failed: int = 0) -> list[Frame]:
    """Return a worker's first `count` frames."""
    return [frame(worker, seq=seq, rows=rows, rows_before=seq * rows, failed=failed) for seq in range(count)]


def record(run_id: str = "20260817T101500Z-ramp300-local", **changes: object) -> Run:
    fields: dict[str, object] = {
        "id": run_id,
        "scenario": ScenarioRecord(name="ramp300"),
        "target": TargetRecord(kind="local", url="http://127.0.0.1:8080"),
        "start": T0,
        "load_start": T0,
        "workers": [WorkerRecord(name="w1", clock_offset_us=0.0, clock_uncertainty_us=100.0)],
        "outcome": Outcome.COMPLETE,
    }
    return Run.model_validate(fields | changes)


def spooled(runs: Path, content: Sequence[Frame], run: Run | None = None) -> RunFolder:
    """Return an unsealed run with these frames in its spool."""
    folder = RunFolder.create(runs, run or record())
    folder.spool.write_bytes(b"".join(encode_frame(row) for row in content))
    return folder
