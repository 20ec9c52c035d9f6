"""Estimate what a run will cost on Cloud Run."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from ...core import cloud_run
from ...core.plan import user_seconds, users_at
from ...core.prices import Prices, prices_for
from ..costs import Estimate, Load

if TYPE_CHECKING:
    from ...recording.run import Limits

ASSUMED_SERVICE_S = 0.024
"""Assumed CPU time of one request if it was not measured. With this value, 12 instances of 1 vCPU handle 300 requests/s
at the target of 60 %."""

ASSUMED_REQUESTS_PER_USER_S = 1.0
"""Assumed number of requests per second of a user if the scenario does not state it. The bundled scenarios send at this
rate."""

ASSUMED_STARTUP_S = 10.0
"""Assumed start time of an instance, which is billed once per instance."""


def estimate(load: Load, limits: Limits, *, region: str | None = None, prices: Prices | None = None) -> Estimate:
    """Return the estimated cost of `load` on a service with these limits.

    For each second of the plan, the number of instances is the larger of two numbers, within the limits: one for CPU,
    ceil(requests/s × service_s / (0.60 × vCPU)), and one for concurrency, ceil(requests/s × held_s / (0.60 ×
    concurrency)). Each instance is billed for that second, and a new instance also for ASSUMED_STARTUP_S. Additional
    instances that min-instances keeps are billed as idle. The cost does not include network, builds, logs, or
    min-instances before and after the run.
    """
    prices = prices or prices_for(region)
    service_s = ASSUMED_SERVICE_S if load.service_s is None else load.service_s
    rate = ASSUMED_REQUESTS_PER_USER_S if load.requests_per_user_s is None else load.requests_per_user_s
    cpu = limits.cpu or cloud_run.CPU
    memory_gib = (limits.memory_mib or cloud_run.MEMORY_MIB) / 1024
    most = limits.max_instances or cloud_run.MAX_INSTANCES
    held_s = service_s if load.held_s is None else max(service_s, load.held_s)
    points, kept = load.points(), limits.min_instances or 0
    requests, serving_s, idle_s, busiest = 0.0, 0.0, 0.0, kept
    for second in range(math.ceil(load.duration_s)):
        share = min(1.0, load.duration_s - second)
        per_s = (users_at(points, second + share / 2) or 0.0) * rate
        busy = max(
            per_s * service_s / (cloud_run.TARGET_RATIO * cpu),
            per_s * held_s / (cloud_run.TARGET_RATIO * (limits.concurrency or cloud_run.CONCURRENCY)),
        )
        # 1e-9, so that rounding errors do not turn a rate that exactly fills 12 instances into 13 instances.
        wanted = min(math.ceil(busy - 1e-9), most)
        busiest = max(busiest, wanted)
        requests += per_s * share
        serving_s += wanted * share
        idle_s += max(0, kept - wanted) * share
    starts = busiest - kept
    instance_s = serving_s + starts * ASSUMED_STARTUP_S
    boost_vcpu = cloud_run.boosted_cpu(cpu) - cpu if limits.cpu_boost else 0.0
    boosted_s = ASSUMED_STARTUP_S + cloud_run.BOOST_AFTER_START_S
    boost_usd = prices.active_usd(starts * boosted_s, vcpu=boost_vcpu, memory_gib=0.0)
    most_boost_usd = prices.active_usd(most * boosted_s, vcpu=boost_vcpu, memory_gib=0.0)
    most_s = most * (load.duration_s + ASSUMED_STARTUP_S)
    listed, free = prices.describe(region)
    assumptions = (
        *limits.unpriced(),
        listed,
        f"{service_s * 1000:.3g} ms of CPU per request ({'assumed' if load.service_s is None else load.service_from})",
        *((f"{rate:g} request/s of each user (assumed)",) if load.requests_per_user_s is None else ()),
        f"instances at {cloud_run.TARGET_RATIO:.0%} of {cpu:g} vCPU, at most {most}"
        + ("" if limits.max_instances else " (Cloud Run's own maximum: the service sets none)"),
        f"{ASSUMED_STARTUP_S:g} s billed for each start"
        + (f", and {boost_vcpu:g} vCPU more for {boosted_s:g} s by the startup CPU boost" if boost_vcpu else ""),
        "no network, build or log charges",
        free,
    )
    return Estimate(
        usd=prices.run_usd(instance_s, requests, vcpu=cpu, memory_gib=memory_gib, idle_s=idle_s) + boost_usd,
        most_usd=prices.run_usd(most_s, requests, vcpu=cpu, memory_gib=memory_gib) + most_boost_usd,
        requests=requests,
        instance_s=instance_s,
        idle_s=idle_s,
        most_instances=busiest,
        assumptions=assumptions,
    )


def projected(
    load: Load, limits: Limits, *, elapsed_s: float, requests: int, region: str | None, prices: Prices | None = None
) -> Estimate:
    """Return the estimate for the whole run.

    The number of requests per user is corrected so that it matches the requests that were sent in the first
    `elapsed_s`.
    """
    points = load.points()
    until = [point for point in points if point[0] < elapsed_s]
    planned_user_s = user_seconds([*until, (elapsed_s, users_at(points, elapsed_s) or 0.0)])
    seen = requests / planned_user_s if planned_user_s else load.requests_per_user_s
    return estimate(dataclasses.replace(load, requests_per_user_s=seen), limits, region=region, prices=prices)
