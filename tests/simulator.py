"""Write synthetic run folders whose spikes and causes are known, through the documented format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from loadtest.recording.folder import RunFolder
from loadtest.recording.rows import METRICS_SCHEMA, SCHEMA
from loadtest.recording.run import (
    Limits,
    LoadModel,
    Outcome,
    PlanPoint,
    Run,
    ScenarioRecord,
    TargetRecord,
    WorkerRecord,
)

T0 = datetime(2026, 8, 17, 10, 15, tzinfo=UTC)
T0_NS = int(T0.timestamp()) * 10**9
PER_INSTANCE = 30.0  # number of users that one simulated instance serves at normal latency


class Kind(StrEnum):
    """The kind of event. The names are the same as the names of the causes in the report."""

    COLD_ZERO = "cold start from zero"
    COLD_ADDED = "cold start of an added instance"
    SCALE_OUT = "saturation, then scale-out"
    STUCK = "saturation without scale-out"
    ERRORS = "errors"
    GENERATOR = "load generator"
    DEPENDENCY = "unexplained"


@dataclass(frozen=True)
class Event:
    """An event from `at_s` for `length_s`.

    `factor` is how many times slower requests are, and `wait_s` is how long a start takes.
    """

    kind: Kind
    at_s: int
    length_s: int
    factor: float = 3.0
    wait_s: float = 3.0


@dataclass(frozen=True)
class Story:
    """One run to simulate.

    `users` send one request a second each, unless answers take longer. The load climbs over `ramp_s`. `drift` is the
    standard deviation of an AR(1) drift of log latency with a correlation time of `drift_s`; 0.4 % of requests are ten
    times slower. `stalls_per_h` is the rate of stalls of 2–8 s, and `differs` is the standard deviation of the whole
    run's log latency.
    """

    seconds: int = 600
    users: float = 40.0
    ramp_s: int = 0
    base_ms: float = 80.0
    sigma: float = 0.3
    drift: float = 0.05
    drift_s: float = 20.0
    stalls_per_h: float = 0.0
    differs: float = 0.0
    tail: float = 0.004
    shift: float = 1.0
    events: Sequence[Event] = ()
    headers: bool = True
    ages: bool = True
    gauge: str = "on time"  # or "late" (its last minutes are missing), "none"
    load: bool = True
    plan: bool = True
    kind: str = "cloud"
    max_instances: int = 100
    open_loop: bool = False


@dataclass
class _State:
    """The state of a story second by second."""

    users: npt.NDArray[np.float64]
    instances: npt.NDArray[np.int64]
    born: list[tuple[int, float]] = field(default_factory=list)  # (first second, seconds that it takes to start)


def random_story(seed: int, *, events: int | None = None, **changes: object) -> Story:
    """Return a 30-min story with 0–3 events of any kind, at 1.5–150 requests/s."""
    rng = np.random.default_rng(seed)
    users = float(np.round(np.exp(rng.uniform(np.log(1.5), np.log(150))), 1))
    count = int(rng.integers(0, 4)) if events is None else events
    chosen: list[Event] = []
    later = [kind for kind in Kind if kind is not Kind.COLD_ZERO]
    slots = 150 + np.arange(3) * 540 + rng.integers(0, 240, 3)
    for at in slots[:count]:
        kind = later[int(rng.integers(len(later)))]
        long = kind in {Kind.SCALE_OUT, Kind.STUCK}
        chosen.append(
            Event(
                kind=kind,
                at_s=int(at),
                length_s=int(rng.integers(40 if long else 20, 120 if long else 75)),
                factor=float(rng.uniform(1.9, 5.0)),
                wait_s=float(rng.uniform(1.5, 5.0)),
            )
        )
    if rng.random() < 0.3 and events is None:
        wait_s = float(rng.uniform(2.5, 9.0))
        chosen.insert(0, Event(Kind.COLD_ZERO, 0, int(np.ceil(wait_s)), wait_s=wait_s))
    story = {
        "seconds": 1800,
        "users": users,
        "ramp_s": int(rng.choice([0, 30, 60])),
        "base_ms": float(rng.uniform(30, 200)),
        "sigma": float(rng.uniform(0.15, 0.5)),
        "drift": float(rng.uniform(0.02, 0.08)),
        "events": tuple(chosen),
    }
    return Story(**(story | changes))  # type: ignore[arg-type] # the keys are fields of Story


def simulate(path: Path, story: Story, seed: int) -> RunFolder:
    """Write the run folder `path` (which must not exist) of a story, and return it."""
    rng = np.random.default_rng(seed)
    state = _state(story)
    start_s, latency_ms, young_wait = _requests(story, state, rng)
    folder = RunFolder.create(path.parent, _record(path.name, story))
    _write_rows(folder, story, state, start_s, latency_ms, young_wait, rng)
    if story.load:
        _write_load(folder, story, state)
    if story.gauge != "none":
        _write_gauge(folder, story, state)
    return folder


def _state(story: Story) -> _State:
    second = np.arange(story.seconds, dtype=np.float64)
    users = story.users * np.minimum(1.0, (second + 1) / max(1, story.ramp_s))
    first = max(1, int(np.ceil(story.users / PER_INSTANCE)))
    instances = np.full(story.seconds, first, dtype=np.int64)
    cold = next((event for event in story.events if event.kind is Kind.COLD_ZERO), None)
    born = [(0, cold.wait_s if cold else -3600.0)] * first
    for event in story.events:
        at, end = event.at_s, event.at_s + event.length_s
        if event.kind is Kind.COLD_ADDED:
            instances[at:] += 1
            born.append((at, event.wait_s))
        elif event.kind is Kind.SCALE_OUT:
            users[max(0, at - 10) :] *= 1.6
            more = max(1, round(instances[at] * 0.7))
            instances[at + int(event.length_s * 0.7) :] += more
            born += [(at + int(event.length_s * 0.7), event.wait_s)] * more
        elif event.kind is Kind.STUCK:
            users[max(0, at - 10) : end] *= 1.6
    return _State(users, instances, born)


def _requests(
    story: Story, state: _State, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return start (s), latency (ms), and which requests waited for an added instance."""
    level = _drift(story, rng) * story.base_ms * story.shift
    factor = np.ones(story.seconds)
    for event in story.events:
        if event.kind not in {Kind.COLD_ZERO, Kind.COLD_ADDED}:
            factor[event.at_s : event.at_s + event.length_s] = event.factor
    slow_s = level * factor / 1000
    counts = rng.poisson(state.users / (1.0 if story.open_loop else np.maximum(1.0, slow_s)))
    second = np.repeat(np.arange(story.seconds), counts)
    start_s = np.sort(second + rng.random(len(second)))
    latency = (level * factor)[second] * np.exp(rng.normal(0, story.sigma, len(second)))
    latency[rng.random(len(second)) < story.tail] *= 10
    for at in rng.random(rng.poisson(story.stalls_per_h * story.seconds / 3600)) * story.seconds:
        stall = (start_s >= at) & (start_s < at + rng.uniform(2, 8))
        latency[stall] += (start_s[stall].max() - start_s[stall]) * 1000 if stall.any() else 0.0
    waited = np.zeros(len(second), dtype=np.bool_)
    for event in story.events:
        inside = (start_s >= event.at_s) & (start_s < event.at_s + event.length_s)
        if event.kind is Kind.COLD_ZERO:
            waits = start_s < event.wait_s
            latency[waits] += (event.wait_s - start_s[waits]) * 1000
            # closed-loop users send nothing while they wait: each sends one request until the first answer
            if not story.open_loop:
                keep = ~waits | (rng.random(len(start_s)) < 1 / max(1.0, event.wait_s / 1.5))
                start_s, latency, waited = start_s[keep], latency[keep], waited[keep]
        elif event.kind is Kind.COLD_ADDED:
            share = max(0.12, 1 / state.instances[min(event.at_s + 1, story.seconds - 1)] ** 0.5 / 2)
            hit = inside & (rng.random(len(start_s)) < share)
            latency[hit] += event.wait_s * 1000 * rng.uniform(0.3, 1.0, int(hit.sum()))
            waited |= hit
    return start_s, latency, waited


def _drift(story: Story, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    rho = np.exp(-1 / story.drift_s)
    noise = rng.normal(0, story.drift * np.sqrt(1 - rho**2), story.seconds)
    level = np.empty(story.seconds)
    now = rng.normal(0, story.drift)
    for at in range(story.seconds):
        now = rho * now + noise[at]
        level[at] = now
    return np.exp(level + rng.normal(0, story.differs)) if story.differs else np.exp(level)


def _record(name: str, story: Story) -> Run:
    plan = [PlanPoint(at_s=0, users=0), PlanPoint(at_s=story.ramp_s, users=story.users)] if story.ramp_s else []
    return Run(
        id=name,
        scenario=ScenarioRecord(
            name="simulated",
            load_model=LoadModel.OPEN if story.open_loop else LoadModel.CLOSED,
            plan=plan if story.plan else [],
        ),
        target=TargetRecord(
            kind=story.kind,
            url="https://simulated.invalid",
            limits=Limits(cpu=1, memory_mib=512, max_instances=story.max_instances),
        ),
        start=T0,
        load_start=T0,
        end=T0,
        workers=[WorkerRecord(name="w1", clock_offset_us=0.0)],
        outcome=Outcome.COMPLETE,
    )


def _write_rows(
    folder: RunFolder,
    story: Story,
    state: _State,
    start_s: npt.NDArray[np.float64],
    latency_ms: npt.NDArray[np.float64],
    waited: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> None:
    rows = len(start_s)
    second = np.minimum(start_s.astype(np.int64), story.seconds - 1)
    failed = rng.random(rows) < 0.0005
    for event in story.events:
        if event.kind is Kind.ERRORS:
            inside = (start_s >= event.at_s) & (start_s < event.at_s + event.length_s)
            failed |= inside & (rng.random(rows) < 0.15)
    instance = (rng.random(rows) * state.instances[second]).astype(np.int64)
    for event in story.events:
        if event.kind is Kind.COLD_ADDED:
            mine = waited & (start_s >= event.at_s) & (start_s < event.at_s + event.length_s)
            instance[mine] = state.instances[event.at_s] - 1
    ready_s = np.array([at + max(wait, -3600.0) for at, wait in state.born])
    end_s = start_s + latency_ms / 1000
    age_ms = np.maximum(0, (end_s - ready_s[instance]) * 1000).astype(np.int64)
    names = [f"instance-{number:03d}" for number in range(len(state.born))]

    def text(
        index: npt.NDArray[np.int64], values: Sequence[str], absent: npt.NDArray[np.bool_] | None = None
    ) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32), mask=absent), pa.array(list(values)))

    zero = np.zeros(rows, dtype=np.int64)
    hidden = failed | (not story.headers)
    order = rng.permutation(rows)
    table = pa.Table.from_arrays(
        [
            pa.array(T0_NS + (start_s * 1e9).astype(np.int64)).cast(SCHEMA.field("start").type),
            pa.array((latency_ms * 1000).astype(np.int64)),
            pa.array(zero, mask=np.full(rows, not story.open_loop)),
            text(zero, ["/predict"]),
            text(zero, ["POST"]),
            pa.array(np.where(failed, 503, 200).astype(np.int16)),
            text(failed.astype(np.int64), ["ok", "http_error"]),
            text(zero, ["503 Service Unavailable"], ~failed),
            pa.array(np.full(rows, 40)),
            text(instance, names, hidden),
            pa.array(age_ms, mask=hidden | (not story.ages)),
            pa.array((latency_ms * 500).astype(np.int64), mask=hidden),
            text(zero, ["w1"]),
            pa.nulls(rows, SCHEMA.field("side").type),
        ],
        schema=SCHEMA,
    ).take(pa.array(order))
    pq.write_table(table, folder.rows, compression="zstd")


def _write_load(folder: RunFolder, story: Story, state: _State) -> None:
    cpu = np.full(story.seconds, 0.2)
    lag = np.full(story.seconds, 3.0)
    for event in story.events:
        if event.kind is Kind.GENERATOR:
            cpu[event.at_s : event.at_s + event.length_s] = 0.97
            lag[event.at_s : event.at_s + event.length_s] = 180.0
    folder.append_load(
        [
            {
                "time_s": T0_NS // 10**9 + at,
                "worker": "w1",
                "planned_users": round(float(state.users[at]), 1),
                "users": round(float(state.users[at])),
                "in_flight": 1,
                "cpu_ratio": cpu[at],
                "loop_lag_ms": lag[at],
                "refused": 0,
            }
            for at in range(story.seconds)
        ]
    )


def _write_gauge(folder: RunFolder, story: Story, state: _State) -> None:
    """Write one sample per minute. A series that is late ends before the last event is over."""
    first = 37
    until = story.seconds + 120
    if story.gauge == "late":
        until = min([event.at_s + 10 for event in story.events] or [story.seconds])
    cold = any(event.kind is Kind.COLD_ZERO for event in story.events)
    points = []
    for at in range(first - 120, until, 60):
        count = (0 if cold else int(state.instances[0])) if at < 0 else int(state.instances[min(at, story.seconds - 1)])
        for name, value in (("active", count), ("idle", 0)):
            points.append((T0_NS + at * 10**9, json.dumps({"state": name, "revision_name": "r1"}), float(value)))
    rows = len(points)
    when = pa.array([point[0] for point in points], pa.int64()).cast(METRICS_SCHEMA.field("start").type)
    folder.write_metrics(
        pa.Table.from_arrays(
            [
                pa.array(["run.googleapis.com/container/instance_count"] * rows),
                pa.array(["GAUGE"] * rows),
                pa.array(["1"] * rows),
                pa.array([point[1] for point in points]),
                when,
                when,
                pa.array([point[2] for point in points]),
                pa.nulls(rows, pa.string()),
            ],
            schema=METRICS_SCHEMA,
        )
    )
