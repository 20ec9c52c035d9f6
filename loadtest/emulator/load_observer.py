"""Measure the load of one revision for its autoscaler."""

from __future__ import annotations

import time

from .autoscaler import PANIC_WINDOW_S, WINDOW_S, Decision, Limits, Observed, Window
from .haproxy import HAProxy
from .instance import State
from .instance_pool import InstancePool
from .metrics_store import InstanceSample, RevisionRecord
from .model import RevisionTemplate


class LoadObserver:
    """The load of one revision, averaged over the autoscaler's windows.

    Attributes:
        pending: the number of requests that waited for an instance at the last query.
        last_request_s: time of the last request on the monotonic clock; None if there was none.
    """

    def __init__(self, template: RevisionTemplate, pool: InstancePool, record: RevisionRecord) -> None:
        self.pending = 0
        self.last_request_s: float | None = None
        self._template, self._pool, self._record = template, pool, record
        self._cpu, self._concurrency, self._panic = Window(WINDOW_S), Window(WINDOW_S), Window(PANIC_WINDOW_S)

    async def look(self, haproxy: HAProxy) -> None:
        """Query only the number of pending requests. This query needs little CPU."""
        self.pending = await haproxy.pending()

    async def sample(self, now_s: float, haproxy: HAProxy) -> None:
        """Record requests in flight, CPU and memory of every instance; called about once a second."""
        queue = await haproxy.queue()
        self.pending = queue.pending
        cpu, samples, all_vcpu = self._pool.cpu, [], 0.0
        for slot, member in self._pool.members.items():
            member.in_flight = queue.in_flight.get(slot, 0)
            if member.in_flight:
                member.busy_s = self.last_request_s = now_s
            if member.instance.state not in (State.SERVING, State.STANDBY):
                continue
            member.instance.end_if_out_of_memory()
            used_s = member.instance.cpu_used_s()
            if member.last_cpu is not None and cpu is not None and now_s > member.last_cpu[0]:
                vcpu = (used_s - member.last_cpu[1]) / (now_s - member.last_cpu[0])
                all_vcpu += vcpu
                member.cpu_ratio = vcpu / cpu
            member.last_cpu = (now_s, used_s)
            memory_ratio = member.instance.memory_bytes() / self._template.memory_bytes
            samples.append(InstanceSample(member.instance.name, member.in_flight, member.cpu_ratio, memory_ratio))
        if self.pending:
            self.last_request_s = now_s
        at_once = self.pending + sum(queue.in_flight.values())
        self._cpu.add(now_s, all_vcpu)
        self._concurrency.add(now_s, at_once)
        self._panic.add(now_s, at_once)
        self._record.sample(time.time(), samples)

    def observed(self, now_s: float, *, serving: bool, last: Decision) -> Observed:
        """Return the autoscaler's inputs; `serving` states whether the revision gets the traffic."""
        template, pool = self._template, self._pool
        return Observed(
            limits=Limits(
                cpu=pool.cpu or 1.0,
                concurrency=template.concurrency,
                min_instances=template.min_instances if serving else 0,
                max_instances=template.max_instances,
            ),
            starting=len(pool.in_state(State.STARTING)),
            serving=len(pool.in_state(State.SERVING)),
            standby=len(pool.in_state(State.STANDBY)),
            pending=self.pending,
            in_flight=sum(instance.in_flight for instance in pool.in_state(State.SERVING)),
            # A revision without traffic needs instances only for its last requests, so the past minute does not count.
            cpu_vcpu=self._cpu.average(now_s) if serving else None,
            concurrency=self._concurrency.average(now_s) if serving else 0.0,
            panic_concurrency=self._panic.average(now_s) if serving else 0.0,
            last_request_ago_s=None if self.last_request_s is None else now_s - self.last_request_s,
            panic_since_s=last.panic_since_s,
            panic_desired=last.panic_desired,
        )
