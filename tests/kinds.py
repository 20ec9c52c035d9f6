"""Generate runs of every kind, each with the expected report."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
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
from tests.simulator import T0, T0_NS
from tests.world import Floats, Outage, Slow, Trace, World, run_world

GAUGE = "run.googleapis.com/container/instance_count"
CPU = "run.googleapis.com/container/cpu/utilizations"


@dataclass(frozen=True)
class Happening:
    """An event from `at_s` to `end_s`. The causes in `right` are correct, and those in `fair` are acceptable.

    `outage` says whether the event must be reported as an outage, and `seconds` says how long the event lasted.
    """

    at_s: float
    end_s: float
    right: frozenset[str]
    fair: frozenset[str] = frozenset({"unexplained"})
    outage: bool = False


@dataclass(frozen=True)
class Drawn:
    """A world, its events, and the data that its run folder contains."""

    kind: str
    world: World
    happenings: tuple[Happening, ...]
    machine: tuple[float, float] | None = None
    generator: tuple[float, float] | None = None
    peak_per_s: float = 0.0


Rng = np.random.Generator
COLD, ADDED, OUT, STUCK = (
    "cold start from zero",
    "cold start of an added instance",
    "saturation, then scale-out",
    "saturation without scale-out",
)
SATURATED = frozenset({OUT, STUCK, "refused at max instances"})


def _what(
    at_s: float, end_s: float, *right: str, fair: tuple[str, ...] = ("unexplained",), outage: bool = False
) -> Happening:
    return Happening(at_s, end_s, frozenset(right), frozenset(fair), outage)


def _ramp(seconds: int, users: float, over_s: float) -> Floats:
    return np.asarray(users * np.minimum(1.0, (np.arange(seconds) + 1) / max(1.0, over_s)))


def _steady(rng: Rng, seconds: int = 600, **changes: object) -> World:
    """Return a service with free capacity: some instances with one to four cores each, at a third of their capacity."""
    users = float(np.round(np.exp(rng.uniform(np.log(8), np.log(60)))))
    service_ms = float(rng.uniform(15, 60))
    cores = int(rng.choice([1, 2, 4]))
    load = users * service_ms / 1000 / cores
    warm = max(1, int(np.ceil(load / rng.uniform(0.25, 0.4))), int(rng.integers(1, 4)))
    base = World(
        seconds,
        np.full(seconds, users),
        bool(rng.random() < 0.3),
        service_ms=service_ms,
        sigma=float(rng.uniform(0.15, 0.45)),
        wait_ms=float(rng.choice([0.0, 20.0, 60.0])),
        cores=cores,
        warm=warm,
        scale_to=max(warm, int(rng.integers(10, 60))),
        start_s=float(rng.uniform(2, 8)),
        drift=float(rng.uniform(0.02, 0.07)),
        endpoints=_endpoints(rng),
    )
    return replace(base, **changes)  # type: ignore[arg-type] # the keys are fields of World


def _endpoints(rng: Rng) -> tuple[tuple[str, float, float], ...]:
    if rng.random() < 0.5:
        return (("/predict", 1.0, 1.0),)
    return (("/predict", 0.7, 1.0), ("/features", 0.3, float(rng.uniform(0.5, 1.5))))


def _at(rng: Rng) -> float:
    return float(rng.integers(180, 330))


def ramp_into_saturation(rng: Rng) -> Drawn:
    seconds = int(rng.integers(120, 400))
    service_ms = float(rng.uniform(10, 35))
    over = float(rng.integers(20, 70))
    per_core = 1000 / (service_ms * 1.05)
    users = min(300.0, float(np.round(per_core * rng.uniform(1.8, 4))))
    stuck = bool(rng.random() < 0.4)
    world = World(
        seconds,
        _ramp(seconds, users, over),
        service_ms=service_ms,
        warm=0,
        start_s=float(rng.uniform(2, 6)),
        stuck=False,
        scale_to=1 if stuck else int(rng.integers(3, 30)),
        drift=0.04,
        first_extra_ms=float(rng.choice([0, 300])),
        concurrency=int(rng.choice([8, 80])),
    )
    full = per_core / users * over
    right = (STUCK,) if stuck else (OUT, STUCK)
    return Drawn(
        "ramp from zero into saturation",
        world,
        (
            _what(0, 8, COLD, fair=()),
            _what(min(full, over), seconds if stuck else min(seconds, full + 60), *right, fair=()),
        ),
    )


def cold_start(rng: Rng) -> Drawn:
    world = _steady(rng, warm=0, start_s=float(rng.uniform(2.5, 9)), first_extra_ms=float(rng.choice([0, 500])))
    users = world.users.max()
    world = replace(world, users=_ramp(600, users, float(rng.choice([1, 30, 60]))))
    return Drawn("cold start from zero", world, (_what(0, world.start_s * 1.3 + 3, COLD, OUT, fair=()),))


def outage(rng: Rng) -> Drawn:
    how = str(rng.choice(["refused", "reset", "timeout", "silence", "503", "500", "429"]))
    at, length = _at(rng), float(rng.uniform(5, 60))
    world = _steady(
        rng,
        outages=(Outage(at, length, how, float(rng.choice([1.0, 1.0, 0.6]) if how != "silence" else 1.0)),),
        timeout_s=float(rng.choice([1, 5, 30])),
    )
    return Drawn(
        f"outage: {how}",
        world,
        (_what(at, at + length, "outage", "errors", fair=("unexplained", OUT, STUCK), outage=True),),
    )


def added_instance(rng: Rng) -> Drawn:
    at = _at(rng)
    world = _steady(
        rng,
        swaps=((at, -1),),
        first_extra_ms=float(rng.uniform(1500, 4000)),
        first_count=int(rng.integers(3, 15)),
        scale_in_s=1e6,
    )
    return Drawn("added instance", world, (_what(at, at + world.start_s * 1.3 + 12, ADDED),))


def long_pause(rng: Rng) -> Drawn:
    at, length = _at(rng), float(rng.uniform(3, 15))
    world = _steady(rng, pause_every_s=1e6, pause_s=length, pause_from_s=at, stuck=True)
    return Drawn(
        "long pause",
        world,
        (_what(at, at + length + 8, "unexplained", "outage", "periodic pauses", fair=("slow dependency",)),),
    )


def long_rise(rng: Rng) -> Drawn:
    at, length = _at(rng), float(rng.uniform(60, 500))
    world = _steady(rng, seconds=1200, stuck=True)
    slow = Slow(at, length, factor=float(rng.uniform(1.8, 2.4)))
    world = replace(
        world,
        users=np.full(1200, world.users[0]),
        slows=(slow, replace(slow, factor=1.0, add_ms=world.wait_ms, waits=True)),
    )
    return Drawn("long moderate rise", world, (_what(at, at + length, "unexplained", fair=("slow dependency",)),))


def scale_out(rng: Rng) -> Drawn:
    at = _at(rng)
    world = _steady(rng, cores=1, wait_ms=0.0)
    world = replace(world, warm=max(1, int(np.ceil(world.users[0] * world.service_ms / 450))))
    users = world.users.copy()
    users[int(at) :] *= float(rng.uniform(2.5, 4.5))
    if rng.random() < 0.4:
        begin = int(at) - 30
        users[begin : int(at) + 60] = np.interp(
            np.arange(begin, int(at) + 60), [begin, at + 60], [users[begin - 1], users[-1]]
        )
    return Drawn(
        "saturation, then scale-out", replace(world, users=users), (_what(at - 10, at + 60, OUT, STUCK, fair=()),)
    )


def regrowth(rng: Rng) -> Drawn:
    world = _steady(rng, seconds=900, cores=1, wait_ms=0.0, warm=1, scale_in_s=30.0, open_loop=bool(rng.random() < 0.4))
    high = min(80.0, 1000 / world.service_ms * rng.uniform(1.6, 3))
    users = np.full(900, high * 0.12)
    users[100:300] = high
    users[560:] = high
    steps = (_what(95, 170, OUT, STUCK, fair=()), _what(550, 630, OUT, ADDED, fair=()))
    return Drawn("regrowth after scale-in", replace(world, users=users), steps)


def stuck(rng: Rng) -> Drawn:
    at, length = _at(rng), float(rng.uniform(30, 120))
    world = _steady(rng, cores=1, wait_ms=0.0)
    warm = max(1, int(np.ceil(world.users[0] * world.service_ms / 450)))
    users = world.users.copy()
    users[int(at) : int(at + length)] = 1000 / world.service_ms * warm * rng.uniform(1.15, 1.8)
    world = replace(world, users=users, warm=warm, scale_to=warm)
    return Drawn("saturation at max instances", world, (_what(at, at + length + 15, STUCK, fair=()),))


def refused(rng: Rng) -> Drawn:
    at, length = _at(rng), float(rng.uniform(15, 70))
    concurrency = int(rng.choice([1, 2, 4, 8]))
    world = _steady(
        rng, cores=1, wait_ms=float(rng.uniform(20, 100)), concurrency=concurrency, queue_limit=int(rng.integers(1, 30))
    )
    warm = max(
        1,
        int(np.ceil(world.users[0] * (world.service_ms + world.wait_ms) / 400 / concurrency)),
        int(np.ceil(world.users[0] * world.service_ms / 500)),
    )
    can = min(warm * 1000 / world.service_ms, warm * concurrency * 1000 / (world.service_ms + world.wait_ms))
    users = world.users.copy()
    users[int(at) : int(at + length)] = can * rng.uniform(1.8, 4)
    world = replace(world, users=users, warm=warm, scale_to=warm, open_loop=bool(rng.random() < 0.6))
    return Drawn(
        "burst refused at max instances",
        world,
        (_what(at, at + length + 5, "refused at max instances", fair=(STUCK,), outage=True),),
    )


def overload_with_errors(rng: Rng) -> Drawn:
    at, length = _at(rng), float(rng.uniform(30, 120))
    world = _steady(rng, cores=1, wait_ms=0.0, open_loop=bool(rng.random() < 0.5))
    warm = max(1, int(np.ceil(world.users[0] * world.service_ms / 450)))
    users = world.users.copy()
    users[int(at) : int(at + length)] = 1000 / world.service_ms * warm * rng.uniform(1.5, 3)
    grows = bool(rng.random() < 0.5)
    world = replace(
        world, users=users, warm=warm, scale_to=warm * 8 if grows else warm, timeout_s=float(rng.uniform(1, 3))
    )
    return Drawn("overload with errors", world, (_what(at, at + length + 15, *SATURATED, fair=()),))


def rollout(rng: Rng) -> Drawn:
    at = _at(rng)
    world = _steady(
        rng,
        rollout_s=at,
        first_extra_ms=float(rng.uniform(1500, 4000)),
        first_count=int(rng.integers(3, 12)),
        scale_in_s=1e6,
    )
    return Drawn(
        "rollout of a revision",
        world,
        (_what(at, at + world.start_s * 1.3 + 12, "new revision", fair=("unexplained", ADDED)),),
    )


def crash(rng: Rng) -> Drawn:
    at = _at(rng)
    world = _steady(rng, cores=1, wait_ms=0.0)
    warm = max(1, int(np.ceil(world.users[0] * world.service_ms / 1000 / rng.uniform(0.5, 0.65))))
    number = int(rng.integers(0, warm))
    world = replace(
        world, warm=warm, crashes=((at, number),), cpu_target=0.95, first_extra_ms=float(rng.uniform(0, 2500))
    )
    return Drawn(
        "crash and replacement",
        world,
        (
            _what(
                at,
                at + world.start_s * 1.3 + 15,
                "instance lost and replaced",
                fair=("unexplained", ADDED, "errors", "outage"),
            ),
        ),
    )


def slow_instance(rng: Rng) -> Drawn:
    at, length = _at(rng), float(rng.uniform(40, 200))
    world = _steady(rng, stuck=True)
    world = replace(
        world, warm=max(2, world.warm), slows=(Slow(at, length, factor=float(rng.uniform(4, 12)), instance=0),)
    )
    return Drawn("one slow instance", world, (_what(at, at + length, "one slow instance"),))


TWO = (("/predict", 0.7, 1.0), ("/features", 0.3, 1.0))


def slow_endpoint(rng: Rng) -> Drawn:
    at, length = _at(rng), float(rng.uniform(30, 150))
    world = _steady(rng, endpoints=TWO, stuck=True)
    slow = Slow(at, length, factor=1.0, add_ms=float(rng.uniform(3, 10)) * world.service_ms, endpoint=1, waits=True)
    return Drawn("one endpoint slow", replace(world, slows=(slow,)), (_what(at, at + length, "one endpoint slow"),))


def swapped(rng: Rng) -> Drawn:
    drawn = slow_endpoint(rng)
    at = drawn.happenings[0].at_s
    world = replace(
        drawn.world, stuck=False, swaps=((at + float(rng.uniform(5, 30)), 0),), cpu_target=0.9, scale_in_s=1e6
    )
    return Drawn("instance swapped after one endpoint slowed", world, drawn.happenings)


def pauses(rng: Rng) -> Drawn:
    every, length = float(rng.uniform(20, 70)), float(rng.uniform(1.0, 4.0))
    first = float(rng.uniform(30, 60))
    world = _steady(rng, pause_every_s=every, pause_s=length, pause_from_s=first, stuck=True)
    return Drawn(
        "periodic pauses",
        world,
        tuple(_what(at, at + length + 3, "periodic pauses") for at in np.arange(first, 590, every).tolist()),
    )


def throttled(rng: Rng) -> Drawn:
    seconds = 600
    high = float(rng.uniform(8, 30))
    arrivals = np.full(seconds, 0.0)
    every = int(rng.integers(15, 50))
    for at in range(5, seconds, every):
        arrivals[at : at + int(rng.integers(2, 6))] = high
    begin = int(rng.integers(150, 250))
    normal = np.full(seconds, high * 0.5)
    normal[begin:] = arrivals[begin:]
    world = World(
        seconds,
        normal,
        True,
        service_ms=float(rng.uniform(15, 40)),
        cores=2,
        warm=1,
        scale_to=1,
        idle_after_s=float(rng.uniform(1.5, 5)),
        idle_extra_ms=float(rng.uniform(500, 2500)),
        drift=0.03,
    )
    starts = [at for at in range(begin, seconds) if normal[at] and not normal[at - 1]]
    return Drawn(
        "CPU throttled between requests",
        world,
        tuple(_what(at - 1, at + 6, "CPU throttled between requests") for at in starts),
    )


def dependency(rng: Rng) -> Drawn:
    at, length = _at(rng), float(rng.uniform(40, 200))
    world = _steady(rng, wait_ms=float(rng.uniform(20, 60)))
    later = bool(rng.random() < 0.6)
    slow = Slow(at, length, add_ms=world.wait_ms * float(rng.uniform(4, 12)), waits=True)
    flying = float(world.users[0]) * (slow.add_ms + world.wait_ms + world.service_ms) / 1000 / world.warm
    world = replace(
        world, slows=(slow,), stuck=not later, concurrency=max(2, int(flying * rng.uniform(0.8, 1.3))) if later else 80
    )
    return Drawn(
        "slow dependency, later scale-out" if later else "slow dependency",
        world,
        (_what(at, at + length + 15, "slow dependency"),),
    )


def lazy(rng: Rng) -> Drawn:
    world = _steady(rng, lazy_ms=float(rng.uniform(600, 3000)), first_count=int(rng.integers(5, 30)))
    world = replace(world, warm=int(rng.integers(1, 3)), cores=4, users=np.minimum(world.users, 40), stuck=True)
    end = world.lazy_ms * world.first_count / world.cores / 1000 * 1.4 + 4
    return Drawn("lazy first requests on a warm instance", world, (_what(0, end, "first requests on a warm instance"),))


def machine(rng: Rng) -> Drawn:
    at, length = _at(rng), float(rng.uniform(20, 90))
    world = _steady(rng, slows=(Slow(at, length, factor=float(rng.uniform(2.5, 6)), share=0.7),), stuck=True)
    return Drawn(
        "this machine busy", world, (_what(at, at + length + 10, "this machine was busy"),), machine=(at, at + length)
    )


def generator(rng: Rng) -> Drawn:
    at, length = _at(rng), float(rng.uniform(20, 90))
    world = _steady(rng, slows=(Slow(at, length, add_ms=float(rng.uniform(150, 500)), waits=True),), stuck=True)
    return Drawn("load generator", world, (_what(at, at + length + 10, "load generator"),), generator=(at, at + length))


def quiet(rng: Rng) -> Drawn:
    how = str(rng.choice(["drift", "diurnal", "tail", "bimodal", "mix", "slope", "plain", "no pause"]))
    seconds = 1800
    world = _steady(rng, seconds=seconds)
    users = np.full(seconds, world.users[0])
    changes: dict[str, object] = {"users": users}
    if how == "drift":
        changes |= {"drift": 0.12, "drift_s": float(rng.choice([20, 120, 300]))}
    elif how == "diurnal":
        changes["users"] = users * (
            0.75 + 0.25 * np.sin(np.arange(seconds) * 2 * np.pi / float(rng.uniform(600, 1800)))
        )
    elif how == "tail":
        changes |= {"tail": 0.02, "sigma": 0.6, "warm": 3 * world.warm, "scale_to": 60}
    elif how == "bimodal":
        changes |= {"bimodal": float(rng.uniform(0.02, 0.3)), "warm": 3 * world.warm, "scale_to": 60}
    elif how == "mix":
        changes["endpoints"] = (("/predict", 0.6, 1.0), ("/batch", 0.3, 4.0), ("/health", 0.1, 0.1))
        changes |= {"warm": world.warm * 3, "scale_to": 60}
    elif how == "slope":
        changes["users"] = users * np.linspace(0.75, 1.0, seconds)
        changes["slows"] = tuple(Slow(at, 100, 1 + 0.35 * at / seconds) for at in range(0, seconds, 100))
    elif how == "no pause":
        changes |= {
            "users": np.full(seconds, 3.0),
            "pace_s": 0.0,
            "warm": 2,
            "service_ms": 60.0,
            "open_loop": False,
            "stuck": True,
            "seconds": seconds,
        }
    return Drawn(f"quiet: {how}", replace(world, **changes), ())  # type: ignore[arg-type] # the keys are fields of World


def overloaded(rng: Rng) -> Drawn:
    seconds = int(rng.integers(60, 200))
    service_ms = float(rng.uniform(20, 60))
    warm = int(rng.integers(1, 3))
    users = 1000 / service_ms * warm * rng.uniform(3, 8)
    world = World(
        seconds,
        np.full(seconds, min(users, 300.0)),
        service_ms=service_ms,
        warm=warm,
        start_s=float(rng.uniform(8, 20)),
        scale_to=int(rng.choice([warm, warm * 2])),
    )
    return Drawn(
        "overloaded throughout", world, (_what(0, seconds, *SATURATED, fair=("saturation, scaling not known",)),)
    )


KINDS: tuple[Callable[[Rng], Drawn], ...] = (
    ramp_into_saturation,
    cold_start,
    outage,
    added_instance,
    long_pause,
    long_rise,
    scale_out,
    regrowth,
    stuck,
    refused,
    overload_with_errors,
    rollout,
    crash,
    slow_instance,
    slow_endpoint,
    swapped,
    pauses,
    throttled,
    dependency,
    lazy,
    machine,
    generator,
    overloaded,
)


@dataclass(frozen=True)
class Seen:
    """The data of a run folder, without the rows."""

    headers: bool = True
    ages: bool = True
    gauge: bool = True
    users: bool = True
    server: str = "inside"


def write(folder: Path, drawn: Drawn, seed: int, seen: Seen, trace: Trace | None = None) -> tuple[RunFolder, Trace]:
    """Write the run folder (which must not exist) of a world, simulated or from `trace`.

    Return the folder and the trace.
    """
    world = drawn.world
    trace = run_world(world, seed) if trace is None else trace
    record = Run(
        id=folder.name,
        scenario=ScenarioRecord(
            name="simulated",
            load_model=LoadModel.OPEN if world.open_loop else LoadModel.CLOSED,
            plan=_plan(world) if seen.users else [],
        ),
        target=TargetRecord(
            kind="local" if drawn.machine else "cloud",
            url="https://simulated.invalid",
            limits=Limits(
                cpu=world.cores,
                memory_mib=512,
                concurrency=world.concurrency,
                max_instances=world.scale_to,
                min_instances=world.warm,
            ),
        ),
        start=T0,
        load_start=T0,
        end=T0,
        workers=[WorkerRecord(name="w1", clock_offset_us=0.0)],
        outcome=Outcome.COMPLETE,
    )
    run = RunFolder.create(folder.parent, record)
    _rows(run, world, trace, seen)
    if seen.users:
        _load(run, drawn, trace)
    if seen.gauge:
        _metrics(run, world, trace)
    return run, trace


def _plan(world: World) -> list[PlanPoint]:
    at = np.arange(world.seconds)
    points = np.r_[True, np.abs(np.diff(world.users, 2)) > 1e-6, True, True][: world.seconds]
    points[-1] = True
    if points.sum() > 200:
        return []
    return [PlanPoint(at_s=float(second), users=float(world.users[second])) for second in at[points]]


def _text(index: np.ndarray, values: list[str], absent: np.ndarray | None = None) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32), mask=absent), pa.array(values))


def _rows(run: RunFolder, world: World, trace: Trace, seen: Seen) -> None:
    count = len(trace.start_s)
    failed = trace.outcome > 0
    unnamed = (trace.instance < 0) | failed | (not seen.headers)
    server = {"inside": trace.inside_s, "handler": trace.server_s, "half": trace.latency_s / 2}.get(
        seen.server, trace.server_s
    )
    silent = unnamed | np.isnan(server) | (seen.server == "none")
    zero = np.zeros(count, dtype=np.int64)
    table = pa.Table.from_arrays(
        [
            pa.array(T0_NS + (trace.start_s * 1e9).astype(np.int64)).cast(SCHEMA.field("start").type),
            pa.array((trace.latency_s * 1e6).astype(np.int64)),
            pa.array(zero, mask=np.full(count, not world.open_loop)),
            _text(trace.endpoint, [name for name, _, _ in world.endpoints]),
            _text(zero, ["POST"]),
            pa.array(trace.status.astype(np.int16), mask=trace.status == 0),
            _text(trace.outcome, ["ok", "http_error", "timeout", "connection"]),
            _text(zero, ["failed"], ~failed),
            pa.array(np.full(count, 40)),
            _text(
                np.maximum(trace.instance, 0),
                [f"i{number:03d}" for number in range(max(1, len(trace.ready_s)))],
                unnamed,
            ),
            pa.array(np.nan_to_num(np.maximum(trace.age_s, 0) * 1000).astype(np.int64), mask=unnamed | (not seen.ages)),
            pa.array(np.nan_to_num(server * 1e6).astype(np.int64), mask=silent),
            _text(zero, ["w1"]),
            pa.nulls(count, SCHEMA.field("side").type),
        ],
        schema=SCHEMA,
    ).take(pa.array(np.argsort(trace.start_s + trace.latency_s)))
    pq.write_table(table, run.rows, compression="zstd")


def _load(run: RunFolder, drawn: Drawn, trace: Trace) -> None:
    def inside(span: tuple[float, float] | None, at: int) -> bool:
        return span is not None and span[0] <= at < span[1]

    world = drawn.world
    rows = []
    for at in range(world.seconds):
        row = {
            "time_s": T0_NS // 10**9 + at,
            "worker": "w1",
            "planned_users": "" if world.open_loop else round(float(world.users[at]), 1),
            "users": "" if world.open_loop else round(float(world.users[at])),
            "in_flight": 1,
            "cpu_ratio": 0.97 if inside(drawn.generator, at) else 0.2,
            "loop_lag_ms": 250.0 if inside(drawn.generator, at) else 30.0 if inside(drawn.machine, at) else 3.0,
            "refused": 0,
        }
        rows.append(
            row
            | {
                "machine_cpu_ratio": 0.99 if inside(drawn.machine, at) else 0.4,
                "machine_steal_ratio": 0.0,
                "memory_pressure_ratio": 0.0,
            }
        )
    import csv

    with run.load.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _metrics(run: RunFolder, world: World, trace: Trace) -> None:
    points: list[tuple[str, int, dict[str, str], float | None, dict[str, float] | None]] = []
    for at in range(37 - 120, world.seconds + 120, 60):
        second = min(max(at, 0), world.seconds - 1)
        counts = trace.counts[second] if at >= 0 else np.array([world.warm, 0])
        for revision in (0, 1):
            if revision and not trace.counts[:, 1].any():
                continue
            label = {"state": "active", "revision_name": f"service-0000{revision + 1}"}
            points.append((GAUGE, at, label, float(counts[revision]), None))
        if at >= 60:
            begin, end = max(0, second - 60), second
            busy = float(trace.busy[begin:end].sum() / max(1, trace.counts[begin:end].sum()) / world.cores)
            points.append((CPU, at, {"revision_name": "service-00001"}, None, {"count": 60, "mean": min(1.0, busy)}))
    rows = len(points)
    when = pa.array([T0_NS + point[1] * 10**9 for point in points], pa.int64()).cast(METRICS_SCHEMA.field("start").type)
    run.write_metrics(
        pa.Table.from_arrays(
            [
                pa.array([point[0] for point in points]),
                pa.array(["GAUGE" if point[0] == GAUGE else "DELTA" for point in points]),
                pa.array(["1"] * rows),
                pa.array([json.dumps(point[2]) for point in points]),
                when,
                when,
                pa.array([point[3] for point in points], pa.float64()),
                pa.array([json.dumps(point[4]) if point[4] else None for point in points], pa.string()),
            ],
            schema=METRICS_SCHEMA,
        )
    )
