"""Decide how many instances a revision needs.

The code is pure: its functions get the time and the observations, and return a decision with its reason. `revision.py`
applies it.

There are two policies. `CloudRun` follows what Google publishes (cloud.google.com/run/docs/about-instance-autoscaling,
read 2026): the larger of two numbers of instances, one for CPU and one for concurrency; both are averaged over a minute
and have a target of 60 %. Google does not publish how Cloud Run starts instances from zero and in bursts; `on demand`
is our model of this. `Knative` is the pod autoscaler of knative.dev/docs/serving/autoscaling (KPA) with its default
settings.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from ..core import cloud_run

DECIDE_EVERY_S = 2.0
WINDOW_S = 60.0
PANIC_WINDOW_S = 6.0

Driver = Literal["min", "cpu", "concurrency", "on demand", "max", "panic", "none"]
_EPSILON = 1e-9  # a tolerance for rounding, so that 6 instances at exactly 60 % stay 6 instances


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings of a revision; `cpu` is the number of vCPU per instance."""

    cpu: float
    concurrency: int
    min_instances: int
    max_instances: int


@dataclass(frozen=True, slots=True)
class Observed:
    """The inputs of a policy.

    Attributes:
        limits: the limits of the revision.
        starting: instances that are not ready yet.
        serving: instances that receive requests.
        standby: instances that are kept warm and get no requests.
        pending: requests that wait for an instance.
        in_flight: requests at instances.
        cpu_vcpu: CPU use of all instances together, averaged over the whole last minute, even if there were fewer
            instances in a part of this minute; None if the revision gets no traffic.
        concurrency: requests at instances or pending, averaged over the last minute.
        panic_concurrency: the same, averaged over the last 6 s.
        last_request_ago_s: time since the last request; None if there was none.
        panic_since_s: the value in the last decision (Knative).
        panic_desired: the value in the last decision (Knative).
    """

    limits: Limits
    starting: int = 0
    serving: int = 0
    standby: int = 0
    pending: int = 0
    in_flight: int = 0
    cpu_vcpu: float | None = None
    concurrency: float = 0.0
    panic_concurrency: float = 0.0
    last_request_ago_s: float | None = None
    panic_since_s: float | None = None
    panic_desired: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """The desired number of instances, the driver that determined it, and the reason with its numbers.

    `panic_since_s` and `panic_desired` are Knative's state; the next observation contains them.
    """

    desired: int
    driver: Driver
    reason: str
    panic_since_s: float | None = None
    panic_desired: int = 0


class Policy(Protocol):
    """A scaling policy.

    Attributes:
        idle_s: how long an idle instance is kept.
    """

    @property
    def idle_s(self) -> float: ...  # noqa: D102  # said above

    def decide(self, now_s: float, observed: Observed) -> Decision:
        """Decide how many instances are desired; `now_s` is on a monotonic clock."""
        ...


@dataclass(frozen=True, slots=True)
class CloudRun:
    """Cloud Run's policy: the largest of three numbers of instances (by CPU, by concurrency, on demand).

    The result lies between min and max instances. After a minute without a request, only the minimum number is desired,
    even if idle processes use CPU.
    """

    cpu_target_ratio: float = cloud_run.TARGET_RATIO
    concurrency_target_ratio: float = cloud_run.TARGET_RATIO
    idle_s: float = cloud_run.IDLE_S

    def decide(self, now_s: float, observed: Observed) -> Decision:
        """Decide how many instances are desired."""
        del now_s  # the observation contains the averages of all windows
        limits = observed.limits
        desired: int = limits.min_instances
        driver: Driver = "min" if desired else "none"
        recently = observed.last_request_ago_s is not None and observed.last_request_ago_s < WINDOW_S
        idle = "nothing to do" if recently else "no request for a minute"
        reason = f"at least {desired} asked for" if desired else idle
        if recently and observed.cpu_vcpu is not None:
            need = math.ceil(observed.cpu_vcpu / (self.cpu_target_ratio * limits.cpu) - _EPSILON)
            if need > desired:
                desired, driver = need, "cpu"
                reason = f"{observed.cpu_vcpu:.3g} vCPU used / ({self.cpu_target_ratio:g} × {limits.cpu:.3g} vCPU)"
        if recently:
            need = math.ceil(observed.concurrency / (self.concurrency_target_ratio * limits.concurrency) - _EPSILON)
            if need > desired:
                desired, driver = need, "concurrency"
                target = f"{self.concurrency_target_ratio:g} × {limits.concurrency}"
                reason = f"{observed.concurrency:.3g} requests at once / ({target})"
        on_demand, why = needed_on_demand(observed)
        if on_demand and on_demand >= desired:
            desired, driver, reason = on_demand, "on demand", why
        if desired > limits.max_instances:
            reason = f"{desired} desired ({driver}: {reason}), at most {limits.max_instances} allowed"
            desired, driver = limits.max_instances, "max"
        return Decision(desired, driver, reason)


def needed_on_demand(observed: Observed) -> tuple[int, str]:
    """Return how many new instances the pending queue needs, and why.

    The rule is our own model: if requests find no free place at a serving, starting or standby instance, new instances
    start at once, one per `concurrency` requests.
    """
    if not observed.pending:
        return 0, ""
    concurrency = observed.limits.concurrency
    there = observed.serving + observed.starting + observed.standby
    free = max(0, observed.serving * concurrency - observed.in_flight)
    coming = (observed.starting + observed.standby) * concurrency
    short = observed.pending - free - coming
    if short <= 0:
        return observed.serving + observed.starting + math.ceil(
            max(0, observed.pending - free - observed.starting * concurrency) / concurrency
        ), f"{observed.pending} pending fit {free} free and {coming} starting places"
    more = math.ceil(short / concurrency)
    return (
        there + more,
        f"{observed.pending} pending − {free} free − {coming} starting places, {concurrency} per instance",
    )


@dataclass(frozen=True, slots=True)
class Knative:
    """Knative's KPA on concurrency: target 70 %, stable window 60 s, panic window 6 s, panic threshold 200 %."""

    target_ratio: float = 0.70
    panic_ratio: float = 2.0
    max_up: float = 1000.0
    max_down: float = 2.0
    idle_s: float = cloud_run.KNATIVE_IDLE_S

    def decide(self, now_s: float, observed: Observed) -> Decision:
        """Decide how many instances are desired."""
        limits = observed.limits
        target = self.target_ratio * limits.concurrency
        ready = max(1, observed.serving)
        ceiling = math.ceil(self.max_up * ready)
        floor = math.floor(ready / self.max_down)
        stable = min(max(math.ceil(observed.concurrency / target - _EPSILON), floor), ceiling)
        panic = min(max(math.ceil(observed.panic_concurrency / target - _EPSILON), floor), ceiling)
        if observed.concurrency == 0 and observed.pending == 0:
            stable = 0
        since_s, most = observed.panic_since_s, observed.panic_desired
        driver: Driver
        if panic / ready >= self.panic_ratio:
            since_s = now_s
        elif since_s is not None and now_s - since_s >= WINDOW_S:
            since_s, most = None, 0
        if since_s is not None:
            most = max(most, panic, observed.serving)
            desired, driver = most, "panic"
            at_once = f"{observed.panic_concurrency:.3g} requests at once over 6 s / {target:.3g}"
            reason = f"{at_once}; no scale-down in panic mode"
        else:
            desired, driver = stable, "concurrency" if stable else "none"
            reason = f"{observed.concurrency:.3g} requests at once over 60 s / {target:.3g}"
        if observed.pending and desired == 0:
            desired, driver, reason = 1, "on demand", f"{observed.pending} pending at zero (the activator's part)"
        if desired < limits.min_instances:
            desired, driver, reason = limits.min_instances, "min", f"at least {limits.min_instances} asked for"
        if desired > limits.max_instances:
            reason = f"{desired} desired ({driver}: {reason}), at most {limits.max_instances} allowed"
            desired, driver = limits.max_instances, "max"
        return Decision(desired, driver, reason, panic_since_s=since_s, panic_desired=most)


@dataclass(frozen=True, slots=True)
class Idle:
    """The name and the idle time of an instance that may be stopped."""

    name: str
    idle_s: float


def to_stop(idle: Iterable[Idle], *, idle_limit_s: float, may_go: int) -> list[str]:
    """Return at most `may_go` instances that have been idle for long enough.

    The instances that have been idle longest come first.
    """
    over = sorted(
        (instance for instance in idle if instance.idle_s >= idle_limit_s), key=lambda instance: -instance.idle_s
    )
    return [instance.name for instance in over[: max(0, may_go)]]


class Window:
    """The average of a quantity over the last seconds. Each value applies until the next value is set.

    Before the window is full, the average covers the time so far.
    """

    def __init__(self, length_s: float) -> None:
        self._length_s = length_s
        self._values: deque[tuple[float, float]] = deque()

    def add(self, now_s: float, value: float) -> None:
        """Set the value that applies from `now_s` until the next call."""
        self._values.append((now_s, value))
        while len(self._values) > 1 and self._values[1][0] <= now_s - self._length_s:
            self._values.popleft()

    def average(self, now_s: float) -> float:
        """Return the average over the window that ends now; 0 without values."""
        area, until_s = 0.0, now_s
        start_s = max(now_s - self._length_s, self._values[0][0]) if self._values else now_s
        for at_s, value in reversed(self._values):
            since_s = max(at_s, start_s)
            area += value * (until_s - since_s)
            until_s = since_s
        if now_s > start_s:
            return area / (now_s - start_s)
        return self._values[-1][1] if self._values else 0.0


class Peak:
    """The largest value of the last seconds."""

    def __init__(self, length_s: float) -> None:
        self._length_s = length_s
        self._values: deque[tuple[float, int]] = deque()

    def add(self, now_s: float, value: int) -> int:
        """Add a value and return the largest value."""
        while self._values and (self._values[0][0] <= now_s - self._length_s):
            self._values.popleft()
        while self._values and self._values[-1][1] <= value:
            self._values.pop()
        self._values.append((now_s, value))
        return self._values[0][1]
