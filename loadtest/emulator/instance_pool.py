"""Start the instances of one revision, send requests to them, stop them, and remove them from the pool."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path

from .autoscaler import Policy
from .cgroups import CgroupManager
from .haproxy import HAProxy
from .instance import INSTANCE_ADDRESS, Instance, Run, StartError, State
from .metrics_store import RevisionRecord
from .model import RevisionTemplate, ServiceKey
from .process_supervisor import ProcessSupervisor

SPARE_SLOTS = 10
"""Slots in addition to max instances, for instances that are still completing their last requests."""

LOOK_EVERY_S = 0.1

TARGET_SERVICE = (sys.executable, str(Path(__file__).resolve().parents[2] / "target_service" / "__main__.py"))
"""The default command runs the bundled service by its path, because the working folder may contain another
`target_service`."""


@dataclass(frozen=True, slots=True)
class SharedResources:
    """The state that all revisions of an emulator share.

    Attributes:
        policy: returns the autoscaler's rules for a template.
        idle_s: how long an idle instance is kept.
        first_requests: as in EmulatorOptions.
        log_event: writes a line to the event log.
    """

    supervisor: ProcessSupervisor
    cgroups: CgroupManager
    haproxy: Path
    policy: Callable[[RevisionTemplate], Policy]
    idle_s: float
    first_requests: tuple[str, ...]
    log_event: Callable[[str], None]


class PooledInstance:
    """An instance and the latest observations of it."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.busy_s = time.monotonic()  # time of the last request, or the time at which the instance became ready
        self.in_flight = 0
        self.cpu_ratio: float | None = None  # CPU ratio since the last sample
        self.last_cpu: tuple[float, float] | None = None


class InstancePool:
    """The instances of one revision, by their slot in HAProxy.

    Attributes:
        cpu: vCPU per instance; None until chosen.
        members: the instances by slot: starting, serving, standby or stopping.
        changed: set when an instance is added or removed.
    """

    def __init__(
        self,
        key: ServiceKey,
        revision: str,
        template: RevisionTemplate,
        *,
        argv: Sequence[str],
        resources: SharedResources,
        record: RevisionRecord,
    ) -> None:
        self.cpu = template.cpu
        self.members: dict[int, PooledInstance] = {}
        self.changed = asyncio.Event()
        self._key, self._revision, self._template, self._argv = key, revision, template, argv
        self._resources, self._record = resources, record
        self._free_slots = deque(range(1, template.max_instances + SPARE_SLOTS + 1))
        self._started = 0
        self._failed_starts, self._not_before_s = 0, 0.0
        self._jobs: set[asyncio.Task[None]] = set()

    async def start_first(self) -> PooledInstance:
        """Start the instance of the deployment check without traffic, and without a CPU limit if none is chosen yet.

        Raises:
            StartError: the instance did not start. The process has ended.
        """
        first = self._add(boost=self._template.cpu is None or self._template.cpu_boost)
        try:
            await first.instance.start()
        except BaseException:
            await first.instance.stop(grace_s=0)
            self._forget(first.instance)
            raise
        return first

    async def discard(self, member: PooledInstance, *, grace_s: float) -> None:
        """Stop an instance that serves no requests."""
        await member.instance.stop(grace_s=grace_s)
        self._forget(member.instance)

    def in_state(self, *states: State) -> list[PooledInstance]:
        """Return the instances in these states, oldest first."""
        return [instance for instance in self.members.values() if instance.instance.state in states]

    def name_at(self, slot: int) -> str:
        """Return the name of the instance in a slot, or the name of the slot if the instance has ended."""
        member = self.members.get(slot)
        return member.instance.name if member is not None else f"slot-{slot}"

    def launch(self, count: int, haproxy: HAProxy) -> None:
        """Start up to `count` more instances, unless starts have just failed."""
        if time.monotonic() >= self._not_before_s:
            for _ in range(min(count, len(self._free_slots))):
                self._do(self._start(self._add(boost=self._template.cpu_boost), haproxy))

    def serve(self, member: PooledInstance, haproxy: HAProxy) -> None:
        """Send requests to a started instance until it ends."""
        self._do(self._serve(member, haproxy))

    def retire(self, member: PooledInstance, haproxy: HAProxy) -> None:
        """Send no more requests to an instance, and stop it after its last request."""
        member.instance.state = State.STOPPING
        self._do(self._retire(member.instance, haproxy))

    async def shutdown(self) -> None:
        """Stop all instances. Requests in flight are cut off after 10 s."""
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await asyncio.gather(*(member.instance.stop() for member in list(self.members.values())))
        self.members.clear()

    def _add(self, *, boost: bool) -> PooledInstance:
        self._started += 1
        template, name = self._template, self._key.name
        # Only the bundled service may listen on loopback; all other services must listen on 0.0.0.0, as on Cloud Run.
        own = (("HOST", INSTANCE_ADDRESS),) if tuple(self._argv[:2]) == TARGET_SERVICE else ()
        given = (("K_SERVICE", name), ("K_REVISION", self._revision), ("K_CONFIGURATION", name))
        run = Run(
            argv=self._argv,
            env=(*own, *template.env, *given),
            cpu=self.cpu,
            memory_bytes=template.memory_bytes,
            cpu_boost=boost,
            probe=template.startup_probe,
        )
        member = PooledInstance(
            Instance(
                f"{self._revision}-{self._started}",
                self._free_slots.popleft(),
                run,
                supervisor=self._resources.supervisor,
                cgroups=self._resources.cgroups,
            )
        )
        self.members[member.instance.slot] = member
        return member

    async def _start(self, member: PooledInstance, haproxy: HAProxy) -> None:
        instance, log_event = member.instance, self._resources.log_event
        try:
            await instance.start()
        except StartError as error:
            self._failed_starts += 1
            self._not_before_s = time.monotonic() + min(10.0, 2.0**self._failed_starts)
            log_event(f"{instance.name}: did not start. {error}")
            self._forget(instance)
            return
        self._failed_starts = 0
        instance.admit_cpu(self.cpu)
        self._record.started(time.time(), instance=instance.name, startup_s=instance.startup_s or 0.0)
        log_event(f"{instance.name}: serves after {instance.startup_s:.1f} s")
        await self._serve(member, haproxy)

    async def _serve(self, member: PooledInstance, haproxy: HAProxy) -> None:
        instance = member.instance
        member.busy_s = time.monotonic()
        instance.state = State.SERVING
        await haproxy.enable(instance.slot, instance.port)
        self.changed.set()
        await instance.wait_gone()
        if haproxy.alive:
            with contextlib.suppress(OSError):
                await haproxy.disable(instance.slot)
        if instance.why_gone:
            self._resources.log_event(f"{instance.name}: {instance.why_gone}")
        self._forget(instance)
        self.changed.set()

    async def _retire(self, instance: Instance, haproxy: HAProxy) -> None:
        await haproxy.drain(instance.slot)
        while (await haproxy.queue()).in_flight.get(instance.slot):
            await asyncio.sleep(LOOK_EVERY_S)
        await haproxy.disable(instance.slot)
        self._resources.log_event(f"{instance.name}: stopped after its idle time")
        await instance.stop()

    def _forget(self, instance: Instance) -> None:
        if self.members.pop(instance.slot, None) is not None:
            self._free_slots.append(instance.slot)

    def _do(self, job: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(job)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
