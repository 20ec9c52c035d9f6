"""Simulate a service request by request: users or arrivals, router, instances with queues, autoscaler and faults."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
FAR_S = 1e9


@dataclass(frozen=True)
class Slow:
    """From `at_s` for `length_s`, a `share` of requests takes `factor` × as long, and then `add_ms` more.

    `endpoint` or `instance` limits this to the requests of one endpoint or one instance.

    `waits` means that the added time is spent waiting (for a dependency) and uses no core.
    """

    at_s: float
    length_s: float
    factor: float = 1.0
    add_ms: float = 0.0
    endpoint: int | None = None
    instance: int | None = None
    waits: bool = False
    share: float = 1.0


@dataclass(frozen=True)
class Outage:
    """From `at_s` for `length_s`, a `share` of new requests fails (`how`: refused, reset, timeout, silence, a status).

    In `silence`, requests hang until the outage ends, and are then answered unless they time out before. `endpoint`
    limits the outage to that endpoint's requests.
    """

    at_s: float
    length_s: float
    how: str
    share: float = 1.0
    endpoint: int | None = None


@dataclass(frozen=True)
class World:
    """One service and its load.

    Attributes:
        users: number of users (closed loop) or arrivals per second (open loop) in each second.
        pace_s: time between the starts of a user's requests; if an answer takes longer, the next one starts at once.
        think_s: mean of an exponential pause after each answer, instead of pace_s. If both are 0, there is no pause.
        service_ms, sigma: median and log deviation of the lognormal time on a core.
        tail, bimodal: shares of requests that take 10 × and 6 × as long.
        wait_ms: further time that uses no core.
        endpoints: (name, share of requests, factor on service time).
        cores, concurrency: how many requests an instance computes at the same time, and how many it accepts.
        warm: instances ready long before t = 0.
        scale_to: maximum number of instances.
        start_s: how long an instance takes to start, ± 20 %.
        cpu_target: share of busy cores that the autoscaler aims at.
        queue_limit: number of pending requests from which the router answers 429 when the number of instances is at its
            maximum (0: no limit).
        first_extra_ms: extra time of the first `first_count` requests of each instance that started during the run.
        lazy_ms: the same for the instances that were ready before the run.
        idle_after_s, idle_extra_ms: after an instance was idle for longer than `idle_after_s`, a request takes
            `idle_extra_ms` more (CPU throttled between requests).
        pause_every_s, pause_s, pause_from_s: beginning at `pause_from_s`, all instances stop for `pause_s` once every
            `pause_every_s`.
        crashes: (second, instance number).
        rollout_s: when a new revision replaces all instances.
        swaps: (second, instance number): an instance starts, and once it is ready, the numbered one ends (−1: none).
        stuck: the autoscaler does nothing.
        drift, drift_s: standard deviation and correlation time of an AR(1) factor of log service time.
    """

    seconds: int
    users: Floats
    open_loop: bool = False
    pace_s: float = 1.0
    think_s: float = 0.0
    service_ms: float = 30.0
    sigma: float = 0.3
    tail: float = 0.004
    bimodal: float = 0.0
    wait_ms: float = 0.0
    endpoints: Sequence[tuple[str, float, float]] = (("/predict", 1.0, 1.0),)
    cores: int = 1
    concurrency: int = 80
    warm: int = 1
    scale_to: int = 100
    start_s: float = 4.0
    cpu_target: float = 0.6
    scale_in_s: float = 60.0
    queue_limit: int = 0
    timeout_s: float = 30.0
    first_count: int = 2
    first_extra_ms: float = 0.0
    lazy_ms: float = 0.0
    idle_after_s: float = FAR_S
    idle_extra_ms: float = 0.0
    pause_every_s: float = 0.0
    pause_s: float = 0.0
    pause_from_s: float = 0.0
    crashes: Sequence[tuple[float, int]] = ()
    swaps: Sequence[tuple[float, int]] = ()
    rollout_s: float | None = None
    stuck: bool = False
    slows: Sequence[Slow] = ()
    outages: Sequence[Outage] = ()
    drift: float = 0.05
    drift_s: float = 20.0


@dataclass
class _Instance:
    number: int
    born_s: float
    ready_s: float
    revision: int
    cores: list[float]
    flying: dict[int, float] = field(default_factory=dict)
    served: int = 0
    idle_since: float = 0.0
    leaving: bool = False
    left_s: float = FAR_S
    dead_s: float = FAR_S


@dataclass(frozen=True)
class Trace:
    """The results of a world: one entry per request, and instances per second by revision.

    `first` says whether a request was one of an instance's first requests and was slower because of that.
    """

    start_s: Floats
    latency_s: Floats
    server_s: Floats
    inside_s: Floats
    endpoint: npt.NDArray[np.int64]
    status: npt.NDArray[np.int64]
    outcome: npt.NDArray[np.int64]
    instance: npt.NDArray[np.int64]
    age_s: Floats
    first: npt.NDArray[np.bool_]
    ready_s: Floats
    counts: npt.NDArray[np.int64]
    busy: Floats


OK, HTTP_ERROR, TIMEOUT, CONNECTION = range(4)


class _Running:
    """One simulation. It is a heap of times, each with the action at that time."""

    ACTIONS: tuple[str, ...] = ("ask", "finish", "ready", "tick", "crash", "swap", "rollout", "giveup", "leave")

    def __init__(self, world: World, seed: int) -> None:
        self.w = world
        self.rng = np.random.default_rng(seed)
        self.heap: list[tuple[float, int, str, int]] = []
        self.sequence = 0
        self.pending: deque[int] = deque()
        self.instances: list[_Instance] = []
        self.rows: list[list[float]] = []  # start, end, server, inside, endpoint, status, outcome, instance, age, first
        self.user: list[int] = []
        self.done: list[bool] = []
        self.active: set[int] = set()
        self.low_since: float | None = None
        self.normal = iter(())
        self.counts = np.zeros((world.seconds, 2), dtype=np.int64)
        self.busy = np.zeros(world.seconds)
        rho = np.exp(-1 / world.drift_s)
        noise = self.rng.normal(0, world.drift * np.sqrt(1 - rho**2), world.seconds + 1)
        level = [self.rng.normal(0, world.drift)]
        for value in noise[1:]:
            level.append(rho * level[-1] + value)
        self.level = np.exp(level)
        self.shares = np.cumsum([share for _, share, _ in world.endpoints])
        for _ in range(world.warm):
            self._start(-600.0, 0, took=0.0)

    def push(self, at: float, what: str, who: int = 0) -> None:
        self.sequence += 1
        heapq.heappush(self.heap, (at, self.sequence, what, who))

    def _start(self, now: float, revision: int, took: float | None = None) -> None:
        took = self.w.start_s * self.rng.uniform(0.8, 1.2) if took is None else took
        instance = _Instance(len(self.instances), now, now + took, revision, [0.0] * self.w.cores)
        instance.idle_since = now + took
        self.instances.append(instance)
        self.push(max(0.0, now + took), "ready", instance.number)

    def serving(self, now: float) -> list[_Instance]:
        return [self.instances[at] for at in sorted(self.active)]

    def run(self) -> Trace:
        world = self.w
        if world.open_loop:
            for at in range(world.seconds):
                for moment in at + self.rng.random(self.rng.poisson(world.users[at])):
                    self.push(float(moment), "ask", -1)
        else:
            for user in range(int(np.ceil(world.users.max()))):
                first = int(np.argmax(world.users > user))
                self.push(first + float(self.rng.random()), "ask", user)
        for at in range(world.seconds):
            self.push(float(at), "tick", at)
        for at_s, number in world.crashes:
            self.push(at_s, "crash", number)
        for at_s, number in world.swaps:
            self.push(at_s, "swap", number)
        if world.rollout_s is not None:
            self.push(world.rollout_s, "rollout")
        handlers = {name: getattr(self, f"_on_{name}") for name in self.ACTIONS}
        while self.heap:
            now, _, what, who = heapq.heappop(self.heap)
            if what in {"tick", "ask"} and now >= world.seconds:
                continue
            handlers[what](now, who)
        rows = np.array([row for row, done in zip(self.rows, self.done, strict=True) if done]).reshape(-1, 10)
        whole = np.nan_to_num(rows).astype(np.int64)
        return Trace(
            rows[:, 0],
            rows[:, 1] - rows[:, 0],
            rows[:, 2],
            rows[:, 3],
            whole[:, 4],
            whole[:, 5],
            whole[:, 6],
            whole[:, 7],
            rows[:, 8],
            rows[:, 9] > 0,
            np.array([instance.ready_s for instance in self.instances]),
            self.counts,
            self.busy,
        )

    def _on_ask(self, now: float, user: int) -> None:
        world = self.w
        if user >= 0 and user >= world.users[min(int(now), world.seconds - 1)]:
            self.push(now + 1.0, "ask", user)
            return
        endpoint = int(bisect_right(self.shares, self.rng.random() * self.shares[-1]))
        request = len(self.rows)
        self.rows.append([now, now, np.nan, np.nan, float(endpoint), 200.0, OK, -1.0, np.nan, 0.0])
        self.user.append(user)
        self.done.append(False)
        for outage in world.outages:
            inside = outage.at_s <= now < outage.at_s + outage.length_s and outage.endpoint in {None, endpoint}
            if inside and (outage.share >= 1 or self.rng.random() < outage.share):
                self._meet(now, request, outage)
                return
        self._route(now, request)

    def _meet(self, now: float, request: int, outage: Outage) -> None:
        end = outage.at_s + outage.length_s
        if outage.how == "refused":
            self._answer(now + self.rng.uniform(0.0005, 0.003), request, 0, CONNECTION)
        elif outage.how == "reset":
            self._answer(now + self.rng.uniform(0.005, 0.2), request, 0, CONNECTION)
        elif outage.how == "timeout" or (outage.how == "silence" and end - now > self.w.timeout_s):
            self._answer(now + self.w.timeout_s, request, 0, TIMEOUT)
        elif outage.how == "silence":
            late = end - now + self.w.service_ms / 1000 * self.rng.lognormal(0, self.w.sigma)
            self._answer(now + late, request, 200, OK, server_s=late)
        else:
            self._answer(now + self.rng.uniform(0.004, 0.05), request, int(outage.how), HTTP_ERROR)

    def _answer(self, at: float, request: int, status: int, outcome: int, *, server_s: float = np.nan) -> None:
        row = self.rows[request]
        row[1], row[5], row[6] = at, status, outcome
        row[2] = row[3] = server_s
        self.done[request] = True
        self._next(at, request)

    def _next(self, at: float, request: int) -> None:
        user = self.user[request]
        if user < 0:
            return
        world = self.w
        if world.think_s:
            at += float(self.rng.exponential(world.think_s))
        elif world.pace_s:
            at = max(at, self.rows[request][0] + world.pace_s)
        self.push(max(at, self.rows[request][0] + 0.0005), "ask", user)

    def _route(self, now: float, request: int) -> None:
        best: _Instance | None = None
        for at in self.active:
            instance = self.instances[at]
            free = not instance.leaving and len(instance.flying) < self.w.concurrency
            if free and (best is None or len(instance.flying) < len(best.flying)):
                best = instance
        if best is not None:
            self._serve(now, request, best)
            return
        limit = self.w.queue_limit
        alive = sum(instance.dead_s == FAR_S and not instance.leaving for instance in self.instances)
        if limit and alive >= self.w.scale_to and len(self.pending) >= limit:
            self._answer(now + self.rng.uniform(0.003, 0.02), request, 429, HTTP_ERROR)
            return
        self.pending.append(request)
        self.push(self.rows[request][0] + self.w.timeout_s, "giveup", request)
        if not self.w.stuck and alive == 0:
            self._start(now, 0)

    def _on_giveup(self, now: float, request: int) -> None:
        if not self.done[request] and self.rows[request][7] < 0:
            self._answer(now, request, 0, TIMEOUT)

    def _serve(self, now: float, request: int, instance: _Instance) -> None:
        world, row = self.w, self.rows[request]
        endpoint = int(row[4])
        core_free = instance.cores[0]
        begin = max(now, core_free)
        took = world.service_ms * world.endpoints[endpoint][2] * float(np.exp(self.rng.normal(0, world.sigma)))
        took *= self.level[min(int(begin), world.seconds)]
        chance = self.rng.random()
        took *= 10 if chance < world.tail else 6 if chance < world.tail + world.bimodal else 1
        wait = world.wait_ms * float(np.exp(self.rng.normal(0, world.sigma)))
        for slow in world.slows:
            if not slow.at_s <= begin < slow.at_s + slow.length_s:
                continue
            if slow.endpoint not in {None, endpoint} or slow.instance not in {None, instance.number}:
                continue
            if slow.share < 1 and self.rng.random() >= slow.share:
                continue
            if slow.waits:
                wait += took * (slow.factor - 1) + slow.add_ms * float(np.exp(self.rng.normal(0, world.sigma)))
            else:
                took = took * slow.factor + slow.add_ms * float(np.exp(self.rng.normal(0, world.sigma)))
        if instance.served < world.first_count:
            extra_ms = world.lazy_ms if instance.ready_s < 0 else world.first_extra_ms
            took += extra_ms * self.rng.uniform(0.7, 1.3)
            row[9] = float(extra_ms > 0)
        if not instance.flying and begin - max(instance.idle_since, 0.0) > world.idle_after_s:
            took += world.idle_extra_ms * self.rng.uniform(0.6, 1.4)
        instance.served += 1
        end = self._paused(begin, took / 1000)
        for at in range(int(begin), min(int(end) + 1, world.seconds)):
            self.busy[at] += max(0.0, min(end, at + 1) - max(begin, at))
        heapq.heapreplace(instance.cores, end)
        finish = end + wait / 1000
        row[7] = float(instance.number)
        row[2], row[3] = finish - begin, finish - now
        instance.flying[request] = finish
        self.push(finish, "finish", request)
        if finish - row[0] > world.timeout_s:
            row[2] = row[3] = np.nan
            row[7] = -1.0
            self._answer(row[0] + world.timeout_s, request, 0, TIMEOUT)
            row[7] = -2.0 - instance.number

    def _paused(self, begin: float, took: float) -> float:
        world = self.w
        if not world.pause_every_s:
            return begin + took
        end, at = begin + took, begin
        first = world.pause_from_s + world.pause_every_s * max(
            0, np.ceil((at - world.pause_s - world.pause_from_s) / world.pause_every_s)
        )
        while first < end and first >= world.pause_from_s:
            stop = first + world.pause_s
            if stop > at:
                end += stop - max(at, first)
            first += world.pause_every_s
        return float(end)

    def _on_finish(self, now: float, request: int) -> None:
        row = self.rows[request]
        number = int(row[7]) if row[7] >= 0 else int(-2 - row[7])
        instance = self.instances[number]
        if request not in instance.flying:
            return  # the instance died
        del instance.flying[request]
        if not instance.flying:
            instance.idle_since = now
        if not self.done[request]:
            row[1], row[8] = now, now - instance.ready_s
            self.done[request] = True
            self._next(now, request)
        elif row[7] < 0:
            row[7] = -1.0
        if instance.leaving and not instance.flying:
            self._bury(instance, now)
        self._drain(now)

    def _drain(self, now: float) -> None:
        while self.pending:
            room = any(
                not self.instances[at].leaving and len(self.instances[at].flying) < self.w.concurrency
                for at in self.active
            )
            if not room:
                return
            request = self.pending.popleft()
            if not self.done[request]:
                self._route(now, request)

    def _bury(self, instance: _Instance, now: float) -> None:
        instance.dead_s = now
        self.active.discard(instance.number)

    def _on_ready(self, now: float, number: int) -> None:
        if self.instances[number].dead_s == FAR_S:
            self.active.add(number)
            self._drain(now)

    def _on_tick(self, now: float, _: int) -> None:
        world = self.w
        at = int(now)
        for item in self.serving(now):
            self.counts[at, item.revision] += 1
        if world.stuck or at % 2:
            return
        alive = [instance for instance in self.instances if instance.dead_s == FAR_S and not instance.leaving]
        since = max(0, at - 10)
        busy = float(self.busy[since:at].mean()) if at > since else 0.0
        flying = sum(len(instance.flying) for instance in alive) + len(self.pending)
        wanted = max(busy / (world.cores * world.cpu_target), flying / (world.concurrency * 0.7))
        if self.pending and len(alive) == sum(instance.ready_s <= now for instance in alive):
            wanted = max(wanted, len(alive) + 1)
        count = min(world.scale_to, max(int(np.ceil(wanted)), world.warm if world.warm else 0))
        count = max(count, 1) if flying else count
        for _ in range(min(count - len(alive), max(4, len(alive)))):
            self._start(now, alive[-1].revision if alive else 0)
        if count >= len(alive):
            self.low_since = None
        elif self.low_since is None:
            self.low_since = now
        elif now - self.low_since > world.scale_in_s:
            self.low_since = now - world.scale_in_s + 10
            self._leave(alive[-1], now)

    def _leave(self, instance: _Instance, now: float) -> None:
        instance.leaving, instance.left_s = True, min(instance.left_s, now)
        if not instance.flying:
            self._bury(instance, now)

    def _on_crash(self, now: float, number: int) -> None:
        instance = self.instances[number]
        flying = list(instance.flying)
        instance.flying.clear()
        self._bury(instance, now)
        for request in flying:
            if not self.done[request]:
                self._answer(
                    now,
                    request,
                    503 if self.rng.random() < 0.5 else 0,
                    HTTP_ERROR if self.rng.random() < 0.5 else CONNECTION,
                )
                self.rows[request][7] = -1.0
                if self.rows[request][6] == CONNECTION:
                    self.rows[request][5] = 0
                else:
                    self.rows[request][5] = 503
        self._start(now, instance.revision)

    def _on_swap(self, now: float, number: int) -> None:
        self._start(now, self.instances[max(number, 0)].revision)
        if number >= 0:
            self.push(self.instances[-1].ready_s, "leave", number)

    def _on_leave(self, now: float, number: int) -> None:
        self._leave(self.instances[number], now)

    def _on_rollout(self, now: float, _: int) -> None:
        old = [instance for instance in self.instances if instance.dead_s == FAR_S and not instance.leaving]
        for item in old:
            self._start(now, 1)
            self.push(self.instances[-1].ready_s, "leave", item.number)


def run_world(world: World, seed: int) -> Trace:
    """Return the results for every request of the world."""
    return _Running(world, seed).run()


class _Repeated(_Running):
    """A repetition of a run with its arrivals, instances, faults and drift, but other service times."""

    ACTIONS = (*_Running.ACTIONS, "born")

    def __init__(self, run: _Running, seed: int, number: int) -> None:
        self.original: _Running | None = None
        world = replace(run.w, users=np.zeros(run.w.seconds), open_loop=True, stuck=True, swaps=(), rollout_s=None)
        super().__init__(world, seed)
        self.original = run
        self.rng = np.random.default_rng([seed, number])
        for row in run.rows:
            self.push(row[0], "ask", -1)
        for instance in run.instances:
            if instance.number >= world.warm:
                self.push(instance.born_s, "born", instance.number)
            if instance.left_s < FAR_S:
                self.push(instance.left_s, "leave", instance.number)

    def _start(self, now: float, revision: int, took: float | None = None) -> None:
        if self.original is None:  # the instances that are ready before the run
            super()._start(now, revision, took)

    def _on_born(self, _: float, number: int) -> None:
        assert self.original is not None
        like = self.original.instances[number]
        instance = _Instance(number, like.born_s, like.ready_s, like.revision, [0.0] * self.w.cores)
        instance.idle_since = like.ready_s
        self.instances.append(instance)
        self.push(like.ready_s, "ready", number)


def run_repeatedly(world: World, seed: int, times: int) -> list[Trace]:
    """Return the results of repetitions of `run_world(world, seed)` in which only chance is different.

    A repetition has the same arrivals, instances, faults and slow drift of the service time, but the service times are
    drawn anew. Its queues differ from those of the run by chance.
    """
    run = _Running(world, seed)
    run.run()
    return [_Repeated(run, seed, number).run() for number in range(times)]
