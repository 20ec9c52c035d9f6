"""Run one revision: its instances, its data plane, and what its autoscaler decides."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import EmulatorError
from .access_log import AccessLog, Answered
from .autoscaler import (
    DECIDE_EVERY_S,
    PANIC_WINDOW_S,
    WINDOW_S,
    Decision,
    Idle,
    Limits,
    Observed,
    Peak,
    Policy,
    Window,
    to_stop,
)
from .cgroups import CgroupManager
from .haproxy import FrontOptions, HAProxy
from .instance import Instance, Run, StartError, State
from .metrics_store import InstanceSample, RevisionRecord
from .model import Phase, RevisionStatus, RevisionTemplate, ServiceKey
from .process_supervisor import ProcessSupervisor
from .queue_holder import Plug
from .sizing import choose_cpu

LOOK_EVERY_S = 0.1
SAMPLE_EVERY_S = 1.0
SPARE_SLOTS = 10
"""Places beyond max instances: for instances that still end their last requests."""

LEAVING_IDLE_S = 5.0
"""How long an instance of a revision without traffic is kept idle."""


@dataclass(frozen=True, slots=True)
class SharedResources:
    """What all revisions of one emulator share."""

    children: ProcessSupervisor
    slices: CgroupManager
    haproxy: Path
    policy: Policy
    idle_s: float
    tell: Callable[[str], None]


class _Watched:
    """An instance with what was observed of it."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.busy_s = time.monotonic()  # when it last had a request, or could serve
        self.in_flight = 0
        self.cpu_ratio: float | None = None  # since the last sample
        self.last_cpu: tuple[float, float] | None = None


class Revision:
    """One revision of a service."""

    def __init__(
        self,
        key: ServiceKey,
        name: str,
        template: RevisionTemplate,
        *,
        argv: list[str],
        ground: SharedResources,
        record: RevisionRecord,
    ) -> None:
        self.key, self.name, self.template, self.record = key, name, template, record
        self.phase, self.message = Phase.DEPLOYING, ""
        self.created_s = time.time()
        self.cpu, self.cpu_why = template.cpu, ""
        self.startup_s: float | None = None
        self.pending_limit_s: float | None = None
        self.pending = 0
        self.decision = Decision(0, "none", "nothing was decided yet")
        self.serving = False
        self._argv, self._ground = argv, ground
        self._watched: dict[int, _Watched] = {}  # by slot
        self._free_slots = deque(range(1, template.max_instances + SPARE_SLOTS + 1))
        self._started = 0
        self._failed_starts, self._not_before_s = 0, 0.0
        self._cpu, self._concurrency, self._panic = Window(WINDOW_S), Window(WINDOW_S), Window(PANIC_WINDOW_S)
        self._peak = Peak(min(WINDOW_S, ground.idle_s))
        self._last_request_s: float | None = None
        self._haproxy: HAProxy | None = None
        self._plug: Plug | None = None
        self._log: AccessLog | None = None
        self._loop: asyncio.Task[None] | None = None
        self._jobs: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._first: Instance | None = None

    # -- deploying ---------------------------------------------------------------------------------------------------

    async def deploy(self) -> None:
        """Start one instance, as Cloud Run does, measure it, and return READY or FAILED."""
        first = self._new_instance(boost=self.template.cpu is None or self.template.cpu_boost)
        try:
            await first.start()
            self.startup_s = first.startup_s
            self.pending_limit_s = max(10.0, 3.5 * (first.startup_s or 0.0))
            if self.cpu is None:
                size = await choose_cpu(first.port, first.cpu_used_s)
                self.cpu, self.cpu_why = size.cpu, size.why
                self._ground.tell(f"{self.name}: {size.why}")
            first.admit_cpu(self.cpu)
        except EmulatorError as error:
            self.phase, self.message = Phase.FAILED, str(error)
            await first.stop(grace_s=0)
            self._give_back(first)
            return
        self.record.started(time.time(), instance=first.name, startup_s=first.startup_s or 0.0)
        self._first = first
        self.phase = Phase.READY
        self._ground.tell(f"{self.name}: ready, its first instance took {self.startup_s:.1f} s to start")

    async def stop_first(self) -> None:
        """Go back to zero after `deploy`, unless a minimum is kept."""
        first, self._first = self._first, None
        if first is not None:
            await first.stop()
            self._give_back(first)

    async def take_traffic(self, *, listen_fd: int, room: Path) -> None:
        """Accept what comes to the service, from now on."""
        if self._haproxy is not None:
            await self._haproxy.come_back()
        else:
            await self._open(listen_fd, room)
        self.serving = True

    async def leave_traffic(self) -> None:
        """Accept nothing new; end what is here."""
        self.serving = False
        if self._haproxy is not None:
            await self._haproxy.leave()
        self._wake.set()

    async def shutdown(self) -> None:
        """Stop all of it; what is in flight is cut after 10 s."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        for job in self._jobs:
            job.cancel()
        instances = [watched.instance for watched in self._watched.values()]
        await asyncio.gather(*(one.stop() for one in [*instances, *([self._first] if self._first else [])]))
        await self._close()

    def status(self) -> RevisionStatus:
        """Return how it is now."""
        states = [(watched.instance.state, watched.in_flight) for watched in self._watched.values()]
        ready = [in_flight for state, in_flight in states if state in (State.SERVING, State.PARKED)]
        return RevisionStatus(
            name=self.name, template=self.template, created_s=self.created_s, phase=self.phase, message=self.message,
            cpu=self.cpu, startup_s=self.startup_s, pending_limit_s=self.pending_limit_s, serving=self.serving,
            active=sum(in_flight > 0 for in_flight in ready), idle=sum(in_flight == 0 for in_flight in ready),
            starting=sum(state is State.STARTING for state, _ in states),
        )  # fmt: skip

    def instances(self) -> list[tuple[Instance, int, float | None]]:
        """Return each instance with its requests in flight and its CPU ratio, as last sampled."""
        return [(one.instance, one.in_flight, one.cpu_ratio) for one in self._watched.values()]

    async def dropped_log_lines(self) -> int:
        """Return how many requests were answered without being recorded."""
        return await self._haproxy.dropped_log_lines() if self._haproxy is not None and self._haproxy.alive else 0

    # -- running -----------------------------------------------------------------------------------------------------

    async def main_loop(self) -> None:
        """Look, sample, decide and apply until cancelled, or until a revision that left has nothing more to do."""
        sample_s = decide_s = 0.0
        while True:
            now_s = time.monotonic()
            haproxy = self._data_plane()
            if now_s >= sample_s:
                await self._sample(now_s, haproxy)
                sample_s = now_s + SAMPLE_EVERY_S
                if not self.serving and await self._is_over(haproxy):
                    break
            else:
                self.pending = await haproxy.pending()
            if now_s >= decide_s or self.pending or self._wake.is_set():
                self._wake.clear()
                await self._decide(now_s, haproxy)
                decide_s = now_s + DECIDE_EVERY_S
            with contextlib.suppress(TimeoutError):  # not wait_for: before 3.12 it can swallow a cancellation
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()
        await self._close()

    def _data_plane(self) -> HAProxy:
        if self._haproxy is None or not self._haproxy.alive:
            raise EmulatorError(f"{self.name}: HAProxy ended; the service cannot be reached. Start the emulator again.")
        return self._haproxy

    async def _sample(self, now_s: float, haproxy: HAProxy) -> None:
        queue = await haproxy.queue()
        self.pending = queue.pending
        samples, all_vcpu = [], 0.0
        for slot, one in self._watched.items():
            one.in_flight = queue.in_flight.get(slot, 0)
            if one.in_flight:
                one.busy_s = self._last_request_s = now_s
            if one.instance.state not in (State.SERVING, State.PARKED):
                continue
            one.instance.end_if_out_of_memory()
            used_s = one.instance.cpu_used_s()
            if one.last_cpu is not None and self.cpu is not None and now_s > one.last_cpu[0]:
                vcpu = (used_s - one.last_cpu[1]) / (now_s - one.last_cpu[0])
                all_vcpu += vcpu
                one.cpu_ratio = vcpu / self.cpu
            one.last_cpu = (now_s, used_s)
            memory_ratio = one.instance.memory_bytes() / self.template.memory_bytes
            samples.append(InstanceSample(one.instance.name, one.in_flight, one.cpu_ratio, memory_ratio))
        if self.pending:
            self._last_request_s = now_s
        at_once = self.pending + sum(queue.in_flight.values())
        self._cpu.add(now_s, all_vcpu)
        self._concurrency.add(now_s, at_once)
        self._panic.add(now_s, at_once)
        self.record.sample(time.time(), samples)

    async def _decide(self, now_s: float, haproxy: HAProxy) -> None:
        observed = self._observe(now_s)
        decision = self._ground.policy.decide(now_s, observed)
        if (decision.wanted, decision.driver) != (self.decision.wanted, self.decision.driver):
            self._ground.tell(
                f"{self.name}: {decision.wanted} wanted by {decision.driver}: {decision.reason} "
                f"(serving {observed.serving}, starting {observed.starting}, idle {observed.parked}, "
                f"pending {observed.pending})"
            )
        self.decision = decision
        await self._apply(now_s, decision.wanted, haproxy)

    def _observe(self, now_s: float) -> Observed:
        by_state = {state: [one for one in self._watched.values() if one.instance.state is state] for state in State}
        template = self.template
        return Observed(
            limits=Limits(
                cpu=self.cpu or 1.0,
                concurrency=template.concurrency,
                min_instances=template.min_instances if self.serving else 0,
                max_instances=template.max_instances,
            ),
            starting=len(by_state[State.STARTING]),
            serving=len(by_state[State.SERVING]),
            parked=len(by_state[State.PARKED]),
            pending=self.pending,
            in_flight=sum(one.in_flight for one in by_state[State.SERVING]),
            # A revision without traffic needs no more than what its last requests need; the past minute is no guide.
            cpu_vcpu=self._cpu.average(now_s) if self.serving else None,
            concurrency=self._concurrency.average(now_s) if self.serving else 0.0,
            panic_concurrency=self._panic.average(now_s) if self.serving else 0.0,
            last_request_ago_s=None if self._last_request_s is None else now_s - self._last_request_s,
            panic_since_s=self.decision.panic_since_s,
            panic_wanted=self.decision.panic_wanted,
        )

    async def _apply(self, now_s: float, wanted: int, haproxy: HAProxy) -> None:
        """Bring instances into rotation or start them; park what is not needed; stop what was idle too long.

        An instance is parked only after a minute (or the idle time, when that is shorter) in which fewer were wanted.
        The last warm one stays in rotation while it lives, so that a request after a pause need not wait for a look.
        """
        states = {state: [one for one in self._watched.values() if one.instance.state is state] for state in State}
        serving, parked = states[State.SERVING], states[State.PARKED]
        peak = self._peak.add(now_s, wanted) if self.serving else wanted
        rotation = max(peak, 1 if serving or parked else 0)
        for one in parked[: max(0, rotation - len(serving))]:
            await haproxy.undrain(one.instance.slot)
            one.instance.state = State.SERVING
        for one in serving[rotation:]:
            await haproxy.drain(one.instance.slot)
            one.instance.state = State.PARKED
        missing = wanted - len(serving) - len(parked) - len(states[State.STARTING])
        if now_s >= self._not_before_s:
            for _ in range(min(missing, len(self._free_slots))):
                self._launch(self._new_instance(boost=self.template.cpu_boost), haproxy)
        idle_s = self._ground.idle_s if self.serving else min(LEAVING_IDLE_S, self._ground.idle_s)
        ready = [one for one in self._watched.values() if one.instance.state in (State.SERVING, State.PARKED)]
        idle = [
            Idle(one.instance.name, now_s - one.busy_s)
            for one in ready
            if not one.in_flight and (one.instance.state is State.PARKED or wanted == 0)
        ]
        keep = self.template.min_instances if self.serving else 0
        for name in to_stop(idle, idle_limit_s=idle_s, may_go=len(ready) - keep):
            self._retire(next(one.instance for one in ready if one.instance.name == name), haproxy)

    # -- instances ---------------------------------------------------------------------------------------------------

    def _new_instance(self, *, boost: bool) -> Instance:
        self._started += 1
        template, key = self.template, self.key
        given = (("K_SERVICE", key.name), ("K_REVISION", self.name), ("K_CONFIGURATION", key.name))
        run = Run(
            argv=self._argv,
            env=(*template.env, *given),
            cpu=self.cpu,
            memory_bytes=template.memory_bytes,
            cpu_boost=boost,
            probe=template.startup_probe,
        )
        ground = self._ground
        return Instance(
            f"{self.name}-{self._started}", self._free_slots.popleft(), run,
            children=ground.children, slices=ground.slices,
        )  # fmt: skip

    def _launch(self, instance: Instance, haproxy: HAProxy) -> None:
        self._watched[instance.slot] = _Watched(instance)
        self._do(self._start(instance, haproxy))

    async def _start(self, instance: Instance, haproxy: HAProxy) -> None:
        try:
            await instance.start()
        except StartError as error:
            self._failed_starts += 1
            self._not_before_s = time.monotonic() + min(10.0, 2.0**self._failed_starts)
            self._ground.tell(f"{instance.name}: did not start. {error}")
            self._forget(instance)
            return
        self._failed_starts = 0
        instance.admit_cpu(self.cpu)
        self.record.started(time.time(), instance=instance.name, startup_s=instance.startup_s or 0.0)
        self._ground.tell(f"{instance.name}: serves after {instance.startup_s:.1f} s")
        await self._serve(instance, haproxy)

    async def _serve(self, instance: Instance, haproxy: HAProxy) -> None:
        """Give it requests until it is gone."""
        self._watched[instance.slot].busy_s = time.monotonic()
        instance.state = State.SERVING
        await haproxy.enable(instance.slot, instance.port)
        self._wake.set()
        await instance.wait_gone()
        if haproxy.alive:
            with contextlib.suppress(OSError):
                await haproxy.disable(instance.slot)
        if instance.why_gone:
            self._ground.tell(f"{instance.name}: {instance.why_gone}")
        self._forget(instance)
        self._wake.set()

    def _retire(self, instance: Instance, haproxy: HAProxy) -> None:
        instance.state = State.STOPPING
        self._do(self._stop(instance, haproxy))

    async def _stop(self, instance: Instance, haproxy: HAProxy) -> None:
        await haproxy.drain(instance.slot)
        while (await haproxy.queue()).in_flight.get(instance.slot):
            await asyncio.sleep(LOOK_EVERY_S)
        await haproxy.disable(instance.slot)
        self._ground.tell(f"{instance.name}: stopped after its idle time")
        await instance.stop()

    def _forget(self, instance: Instance) -> None:
        self._watched.pop(instance.slot, None)
        self._give_back(instance)

    def _give_back(self, instance: Instance) -> None:
        if instance.slot not in self._free_slots:
            self._free_slots.append(instance.slot)

    def _do(self, job: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(job)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    # -- the data plane ----------------------------------------------------------------------------------------------

    async def _open(self, listen_fd: int, room: Path) -> None:
        template = self.template
        room.mkdir(parents=True, exist_ok=True)
        self._log, self._plug = AccessLog(self._note), Plug(room)
        options = FrontOptions(
            directory=room,
            slots=template.max_instances + SPARE_SLOTS,
            concurrency=template.concurrency,
            timeout_s=template.timeout_s,
            pending_limit_s=self.pending_limit_s or 10.0,
        )
        self._haproxy = HAProxy(options, binary=self._ground.haproxy, children=self._ground.children)
        self._log.startup()
        await self._plug.startup()
        await self._haproxy.startup(listen_fd=listen_fd, log_fd=self._log.write_fd)
        await self._plug.put_in()
        if self._first is not None:
            first, self._first = self._first, None
            self._watched[first.slot] = _Watched(first)
            self._do(self._serve(first, self._haproxy))
        self._loop = asyncio.create_task(self.main_loop())
        self._loop.add_done_callback(self._say_why)

    def _say_why(self, loop: asyncio.Task[None]) -> None:
        if not loop.cancelled() and loop.exception() is not None:
            self.message = f"{self.name} is no longer looked after: {loop.exception()}"
            self._ground.tell(self.message)

    def _note(self, answered: Answered) -> None:
        watched = self._watched.get(answered.slot) if answered.slot is not None else None
        self._last_request_s = time.monotonic()
        if watched is not None:
            watched.busy_s = self._last_request_s
        self.record.request(
            time.time(),
            code=answered.status,
            instance=None if answered.slot is None else watched.instance.name if watched else f"slot-{answered.slot}",
            pending_ms=answered.pending_ms,
            total_ms=answered.total_ms,
            in_flight=answered.in_flight + 1,
        )

    async def _is_over(self, haproxy: HAProxy) -> bool:
        return not self._watched and not self.pending and not await haproxy.clients()

    async def _close(self) -> None:
        if self._plug is not None:
            await self._plug.shutdown()
        if self._haproxy is not None:
            await self._haproxy.shutdown()
        if self._log is not None:
            self._log.shutdown()
        self._plug = self._haproxy = self._log = None
