"""Run a revision from its deployment to its shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import EmulatorError
from .access_log import Answered
from .autoscaler import DECIDE_EVERY_S, Decision
from .data_plane import DataPlane
from .haproxy import FrontOptions, HAProxy
from .instance import Instance, State
from .instance_pool import LOOK_EVERY_S, SPARE_SLOTS, InstancePool, PooledInstance, SharedResources
from .load_observer import LoadObserver
from .metrics_store import RevisionRecord
from .model import Phase, RevisionStatus, RevisionTemplate, ServiceKey
from .scaler import Scaler
from .sizing import Size, choose_cpu

SAMPLE_EVERY_S = 1.0

LEAVING_IDLE_S = 5.0
"""How long an idle instance of a revision without traffic is kept."""


class Revision:
    """One revision of a service."""

    def __init__(
        self,
        key: ServiceKey,
        name: str,
        template: RevisionTemplate,
        *,
        argv: Sequence[str],
        resources: SharedResources,
        record: RevisionRecord,
    ) -> None:
        self.key, self.name, self.template, self.record = key, name, template, record
        self.phase, self.message = Phase.DEPLOYING, ""
        self.created_s = time.time()
        self.size: Size | None = None  # None if the template sets the CPU
        self.startup_s: float | None = None
        self.pending_limit_s: float | None = None
        self.decision = Decision(0, "none", "no decision yet")
        self.serving = False
        self._resources = resources
        self._policy = resources.policy(template)
        self._pool = InstancePool(key, name, template, argv=argv, resources=resources, record=record)
        self._observer = LoadObserver(template, self._pool, record)
        self._scaler = Scaler(
            self._pool,
            min_instances=template.min_instances,
            idle_s=resources.idle_s,
            leaving_idle_s=min(LEAVING_IDLE_S, resources.idle_s),
        )
        self._first: PooledInstance | None = None
        self._data_plane: DataPlane | None = None
        self._loop: asyncio.Task[None] | None = None

    @property
    def cpu(self) -> float | None:
        """The vCPU per instance in effect; None until chosen."""
        return self._pool.cpu

    @property
    def pending(self) -> int:
        """Requests that wait for an instance."""
        return self._observer.pending

    async def deploy(self) -> None:
        """Start one instance, as Cloud Run does, measure it, and set the phase to READY or FAILED."""
        first: PooledInstance | None = None
        try:
            first = await self._pool.start_first()
            instance = first.instance
            self.startup_s = instance.startup_s
            self.pending_limit_s = max(10.0, 3.5 * (instance.startup_s or 0.0))
            if self.cpu is None:
                self.size = size = await choose_cpu(
                    instance.port, instance.cpu_used_s, self._resources.first_requests, template=self.template
                )
                self._pool.cpu = size.cpu
                self._resources.log_event(f"{self.name}: {size.why}")
            instance.admit_cpu(self.cpu)
        except Exception as error:  # whatever failed, the first instance must be stopped
            self.phase, self.message = Phase.FAILED, reason_of(error)
            if first is not None:
                await self._pool.discard(first, grace_s=0)
            return
        self.record.started(time.time(), instance=instance.name, startup_s=instance.startup_s or 0.0)
        self._first = first
        self.phase = Phase.READY
        self._resources.log_event(f"{self.name}: ready; its first instance took {self.startup_s:.1f} s to start")

    async def stop_first(self) -> None:
        """Scale back to zero after `deploy`."""
        first, self._first = self._first, None
        if first is not None:
            await self._pool.discard(first, grace_s=10.0)

    async def take_traffic(self, *, listen_fd: int, directory: Path) -> None:
        """Accept the service's requests from now on.

        Raises:
            EmulatorError: the data plane did not start.
        """
        if self._data_plane is not None and self._data_plane.alive:
            await self._data_plane.haproxy.come_back()
        else:
            await self._open(listen_fd, directory)
        self.serving = True

    async def leave_traffic(self) -> None:
        """Accept no new requests, and complete the current requests."""
        self.serving = False
        if self._data_plane is not None and self._data_plane.alive:
            await self._data_plane.haproxy.leave()
        self._pool.changed.set()

    async def shutdown(self) -> None:
        """Stop everything. Requests in flight are cut off after 10 s."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        await self._pool.shutdown()
        await self._close()

    def status(self) -> RevisionStatus:
        """Return the current status."""
        ready = [instance.in_flight for instance in self._pool.in_state(State.SERVING, State.STANDBY)]
        return RevisionStatus(
            name=self.name,
            template=self.template,
            created_s=self.created_s,
            phase=self.phase,
            message=self.message,
            cpu=self.cpu,
            startup_s=self.startup_s,
            pending_limit_s=self.pending_limit_s,
            serving=self.serving,
            active=sum(in_flight > 0 for in_flight in ready),
            idle=sum(in_flight == 0 for in_flight in ready),
            starting=len(self._pool.in_state(State.STARTING)),
        )

    def instances(self) -> list[tuple[Instance, int, float | None]]:
        """Return each instance with its requests in flight and its CPU ratio at the last sample."""
        return [(instance.instance, instance.in_flight, instance.cpu_ratio) for instance in self._pool.members.values()]

    async def dropped_log_lines(self) -> int:
        """Return how many requests were answered without being recorded."""
        if self._data_plane is None or not self._data_plane.alive:
            return 0
        return await self._data_plane.haproxy.dropped_log_lines()

    async def main_loop(self, data_plane: DataPlane) -> None:
        """Observe, decide and scale until cancelled, or until a revision without traffic has no requests left."""
        sample_s = decide_s = 0.0
        while True:
            now_s = time.monotonic()
            haproxy = data_plane.haproxy
            if now_s >= sample_s:
                await self._observer.sample(now_s, haproxy)
                await haproxy.end_overdue()
                sample_s = now_s + SAMPLE_EVERY_S
                if not self.serving and await self._is_over(haproxy):
                    break
            else:
                await self._observer.look(haproxy)
            if now_s >= decide_s or self.pending or self._pool.changed.is_set():
                self._pool.changed.clear()
                self._decide(now_s)
                await self._scaler.apply(now_s, self.decision.desired, haproxy, serving=self.serving)
                decide_s = now_s + DECIDE_EVERY_S
            with contextlib.suppress(TimeoutError):  # before Python 3.12, wait_for can suppress a cancellation
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._pool.changed.wait()
        await self._close()

    def _decide(self, now_s: float) -> None:
        observed = self._observer.observed(now_s, serving=self.serving, last=self.decision)
        decision = self._policy.decide(now_s, observed)
        if (decision.desired, decision.driver) != (self.decision.desired, self.decision.driver):
            self._resources.log_event(
                f"{self.name}: {decision.desired} desired by {decision.driver}: {decision.reason} "
                f"(serving {observed.serving}, starting {observed.starting}, standby {observed.standby}, "
                f"pending {observed.pending})"
            )
        self.decision = decision

    async def _open(self, listen_fd: int, directory: Path) -> None:
        template = self.template
        options = FrontOptions(
            directory=directory,
            slots=template.max_instances + SPARE_SLOTS,
            concurrency=template.concurrency,
            timeout_s=template.timeout_s,
            pending_limit_s=self.pending_limit_s or 10.0,
        )
        resources = self._resources
        data_plane = DataPlane(options, binary=resources.haproxy, supervisor=resources.supervisor, note=self._note)
        await data_plane.startup(listen_fd=listen_fd)
        self._data_plane = data_plane
        first, self._first = self._first, None
        if first is not None:
            self._pool.serve(first, data_plane.haproxy)
        self._loop = asyncio.create_task(self.main_loop(data_plane))
        self._loop.add_done_callback(self._log_crash)

    def _log_crash(self, loop: asyncio.Task[None]) -> None:
        if not loop.cancelled() and loop.exception() is not None:
            self.message = f"{self.name}: control loop crashed: {loop.exception()}"
            self._resources.log_event(self.message)

    def _note(self, answered: Answered) -> None:
        self._observer.last_request_s = time.monotonic()
        member = self._pool.members.get(answered.slot) if answered.slot is not None else None
        if member is not None:
            member.busy_s = self._observer.last_request_s
        self.record.request(
            time.time(),
            code=answered.status,
            instance=None if answered.slot is None else self._pool.name_at(answered.slot),
            pending_ms=answered.pending_ms,
            total_ms=answered.total_ms,
            in_flight=answered.in_flight + 1,
        )

    async def _is_over(self, haproxy: HAProxy) -> bool:
        return not self._pool.members and not self.pending and not await haproxy.clients()

    async def _close(self) -> None:
        data_plane, self._data_plane = self._data_plane, None
        if data_plane is not None:
            await data_plane.shutdown()


def reason_of(error: Exception) -> str:
    """Return why a deployment failed: the text of an error that a user can act on, with the type of any other error."""
    return str(error) if isinstance(error, EmulatorError | OSError) else f"{type(error).__name__}: {error}"
