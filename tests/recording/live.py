"""Make the frames of a run second by second, as a worker flushes them."""

from __future__ import annotations

from array import array
from pathlib import Path

import numpy as np

from loadtest.fleet.progress import Look, ProgressSnapshot
from loadtest.recording.folder import RunFolder
from loadtest.recording.frames import COLUMNS, Frame, encode_frame
from loadtest.recording.run import LoadModel, Outcome, PlanPoint, Run, ScenarioRecord
from tests.recording.frames import T0, T0_NS, record

TEXTS = ("", "/predict", "/health", "POST", "HTTP 500", "one", "two", "three")


def flushed(seconds: int, *, per_s: int = 40, seed: int = 1, failed_ratio: float = 0.02, sides: int = 0) -> list[Frame]:
    """Return a frame per second, with requests of three instances that ended in it; some began in an earlier second.

    With two `sides`, each request goes to one of them. Requests to the second side take twice as long, and only these
    fail.
    """
    random = np.random.default_rng(seed)
    count = seconds * per_s
    start_us = np.sort(random.uniform(0, seconds * 1e6, count)).astype(np.int64)
    latency_us = (random.lognormal(10, 0.8, count)).astype(np.int64)
    failed = random.random(count) < failed_ratio
    side = 1 + np.arange(count) % 2 if sides else np.zeros(count, dtype=int)
    if sides:
        latency_us[side == 2] *= 2
        failed &= side == 2
    timeout = failed & (random.random(count) < 0.3)
    latency_us[timeout] = 1_500_000
    instance = 5 + np.minimum(2, start_us // (seconds * 1_000_000 // 3))
    columns = {
        "start": T0_NS + start_us * 1000,
        "latency_us": latency_us,
        "late_us": np.full(count, -1),
        "name": 1 + (random.random(count) < 0.2),
        "method": np.full(count, 3),
        "status": np.where(timeout, 0, np.where(failed, 500, 200)),
        "outcome": np.where(timeout, 2, np.where(failed, 1, 0)),
        "error": np.where(failed, 4, 0),
        "bytes": np.full(count, 40),
        "instance": np.where(timeout, 0, instance),
        "instance_age_ms": np.where(timeout, -1, start_us // 1000 % (seconds * 1000 // 3)),
        "server_us": np.full(count, -1),
        "side": side,
    }
    flush = (start_us + latency_us) // 1_000_000
    found, before = [], 0
    for at in range(int(flush.max()) + 1):
        mine = np.flatnonzero(flush == at)
        packed = {name: array(code, columns[name][mine].tolist()) for name, code in COLUMNS.items()}
        found.append(Frame("w1", at, len(mine), before, TEXTS, packed))
        before += len(mine)
    return found


def running_record(seconds: int, **changes: object) -> Run:
    """Return the record of a run that plans to hold 40 users after a ramp of a third of its length."""
    points = [PlanPoint(at_s=at, users=users) for at, users in ((0, 0), (seconds / 3, 40), (seconds, 40))]
    scenario = ScenarioRecord(name="ramp300", load_model=LoadModel.CLOSED, plan=points)
    fields: dict[str, object] = {"scenario": scenario, "outcome": Outcome.RUNNING, "load_start": T0}
    return record(**(fields | changes))


def looked(at_s: float, frames: list[Frame], lines: list[dict[str, str]] | None = None) -> Look:
    """Return the result of a look at the run `at_s` after the load began."""
    rows = sum(frame.rows for frame in frames)
    snapshot = ProgressSnapshot(
        requests=rows,
        failed=0,
        requests_per_s=float(rows),
        p50_ms=20.0,
        p95_ms=60.0,
        users=40,
        workers=1,
        elapsed_s=at_s,
        saturated=(),
        in_flight=3,
        oldest_s=0.1,
        load_start_ns=T0_NS,
    )
    return Look(at_s, snapshot, (), tuple(frames), tuple(lines or ()))


def load_line(at_s: int, worker: str = "w1") -> dict[str, str]:
    """Return a line of `load.csv`."""
    return {
        "time_s": str(T0_NS // 10**9 + at_s),
        "worker": worker,
        "planned_users": str(min(40, 2 * at_s)),
        "users": str(min(40, 2 * at_s)),
        "in_flight": str(at_s % 5),
        "oldest_s": "0.1",
        "cpu_ratio": "0.2",
        "loop_lag_ms": "1.5",
        "machine_cpu_ratio": "0.3",
        "machine_steal_ratio": "0.0",
        "memory_pressure_ratio": "0.0",
        "refused": "0",
    }


def sealed_copy(home: Path, frames: list[Frame], lines: list[dict[str, str]], run: Run) -> RunFolder:
    """Return the same run after its end."""
    folder = RunFolder.create(home, run.model_copy(update={"outcome": Outcome.COMPLETE, "end": T0}))
    folder.spool.write_bytes(b"".join(encode_frame(frame) for frame in frames))
    folder.append_load(lines)
    folder.ensure_sealed()
    return folder
