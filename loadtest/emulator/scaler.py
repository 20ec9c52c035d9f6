"""Start and stop instances of one revision until their number is the desired number."""

from __future__ import annotations

from .autoscaler import WINDOW_S, Idle, Peak, to_stop
from .haproxy import HAProxy
from .instance import State
from .instance_pool import InstancePool


class Scaler:
    """Start and stop instances, and move them between serving and standby.

    Args:
        pool: the instances.
        min_instances: instances kept while the revision gets the traffic.
        idle_s: how long an idle instance is kept.
        leaving_idle_s: how long an idle instance is kept if the revision gets no traffic.
    """

    def __init__(self, pool: InstancePool, *, min_instances: int, idle_s: float, leaving_idle_s: float) -> None:
        self._pool = pool
        self._min_instances = min_instances
        self._idle_s, self._leaving_idle_s = idle_s, leaving_idle_s
        self._peak = Peak(min(WINDOW_S, idle_s))

    async def apply(self, now_s: float, desired: int, haproxy: HAProxy, *, serving: bool) -> None:
        """Apply a decision.

        An instance goes to standby only after fewer instances were desired for a minute (or for the idle time, if that
        is shorter). The last warm instance keeps serving as long as it exists, so that a request after a pause does not
        have to wait for the next decision.
        """
        in_rotation, standby = self._pool.in_state(State.SERVING), self._pool.in_state(State.STANDBY)
        peak = self._peak.add(now_s, desired) if serving else desired
        rotation = max(peak, 1 if in_rotation or standby else 0)
        for resumed in standby[: max(0, rotation - len(in_rotation))]:
            await haproxy.undrain(resumed.instance.slot)
            resumed.instance.state = State.SERVING
        for spare in in_rotation[rotation:]:
            await haproxy.drain(spare.instance.slot)
            spare.instance.state = State.STANDBY
        missing = desired - len(in_rotation) - len(standby) - len(self._pool.in_state(State.STARTING))
        self._pool.launch(missing, haproxy)
        self._stop_idle(now_s, desired, haproxy, serving=serving)

    def _stop_idle(self, now_s: float, desired: int, haproxy: HAProxy, *, serving: bool) -> None:
        ready = self._pool.in_state(State.SERVING, State.STANDBY)
        idle = [
            Idle(instance.instance.name, now_s - instance.busy_s)
            for instance in ready
            if not instance.in_flight and (instance.instance.state is State.STANDBY or desired == 0)
        ]
        keep = self._min_instances if serving else 0
        limit_s = self._idle_s if serving else self._leaving_idle_s
        going = set(to_stop(idle, idle_limit_s=limit_s, may_go=len(ready) - keep))
        for member in ready:
            if member.instance.name in going:
                self._pool.retire(member, haproxy)
