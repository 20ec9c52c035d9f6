"""Simulate closed-loop users in front of a queue and a growing number of servers, request by request."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loadtest.recording.folder import RunFolder
from loadtest.recording.rows import SCHEMA
from loadtest.recording.run import Limits, LoadModel, Outcome, PlanPoint, Run, ScenarioRecord, TargetRecord
from tests.simulator import T0, T0_NS


@dataclass(frozen=True)
class Queue:
    """`users` start at `spawn_per_s` and send one request a second each.

    Instance i is ready at ready_s[i], and then serves one request at a time.
    """

    users: int
    spawn_per_s: float
    seconds: int
    ready_s: Sequence[float]
    service_ms: float
    sigma: float = 0.3
    kind: str = "emulator"
    plan: bool = True
    first_request_extra_ms: float = 0.0


def simulate_queue(path: Path, queue: Queue, seed: int) -> RunFolder:
    """Write the run folder of a queue.

    Requests are served in order. The instance that is free first serves the next request.
    """
    rng = np.random.default_rng(seed)
    free = [(ready, number) for number, ready in enumerate(queue.ready_s)]
    heapq.heapify(free)
    asking = [(number / queue.spawn_per_s, number) for number in range(queue.users)]
    heapq.heapify(asking)
    rows: list[tuple[float, float, int]] = []
    seen: set[int] = set()
    while asking:
        start, user = heapq.heappop(asking)
        if start >= queue.seconds:
            continue
        ready, instance = heapq.heappop(free)
        took = queue.service_ms / 1000 * float(np.exp(rng.normal(0, queue.sigma)))
        if instance not in seen:
            took += queue.first_request_extra_ms / 1000
            seen.add(instance)
        end = max(start, ready) + took
        heapq.heappush(free, (end, instance))
        rows.append((start, end, instance))
        heapq.heappush(asking, (max(start + 1.0, end), user))
    folder = RunFolder.create(path.parent, _record(path.name, queue))
    _write(folder, queue, np.array(rows))
    return folder


def _record(name: str, queue: Queue) -> Run:
    top = queue.users / queue.spawn_per_s
    plan = [PlanPoint(at_s=0, users=0), PlanPoint(at_s=top, users=queue.users)]
    return Run(
        id=name,
        scenario=ScenarioRecord(name="ramp300", load_model=LoadModel.CLOSED, plan=plan if queue.plan else []),
        target=TargetRecord(kind=queue.kind, url="http://127.0.0.1:1", limits=Limits(cpu=1, memory_mib=512)),
        start=T0,
        load_start=T0,
        outcome=Outcome.COMPLETE,
    )


def _write(folder: RunFolder, queue: Queue, rows: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    start, end, instance = rows[:, 0], rows[:, 1], rows[:, 2].astype(np.int32)
    count = len(rows)
    age_ms = np.maximum(0, (end - np.array(queue.ready_s)[instance]) * 1000).astype(np.int64)

    def constant(text: str) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text]))

    names = pa.DictionaryArray.from_arrays(pa.array(instance), pa.array([f"i{n}" for n in range(len(queue.ready_s))]))
    table = pa.Table.from_arrays(
        [
            pa.array(T0_NS + (start * 1e9).astype(np.int64)).cast(SCHEMA.field("start").type),
            pa.array(((end - start) * 1e6).astype(np.int64)),
            pa.nulls(count, pa.int64()),
            constant("/predict"),
            constant("POST"),
            pa.array(np.full(count, 200, np.int16)),
            constant("ok"),
            pa.nulls(count, SCHEMA.field("error").type),
            pa.array(np.full(count, 40)),
            names,
            pa.array(age_ms),
            pa.nulls(count, pa.int64()),
            constant("w1"),
            pa.nulls(count, SCHEMA.field("side").type),
        ],
        schema=SCHEMA,
    )
    pq.write_table(table, folder.rows)
