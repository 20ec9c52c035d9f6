"""Say what a run will cost on Cloud Run, and what it did cost."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cloudrun.metrics import BILLABLE_TIME, REQUEST_COUNT
from recording.errors import UsageError
from recording.plan import Corner, user_seconds, users_at
from recording.prices import Prices, prices_for

if TYPE_CHECKING:
    import pyarrow as pa

    from recording.run import Limits, PlanPoint

CPU_TARGET_RATIO = 0.60
CONCURRENCY_TARGET_RATIO = 0.60
"""At which share of CPU and of concurrency Cloud Run adds an instance (docs/emulator.md)."""

ASSUMED_SERVICE_S = 0.024
"""CPU of one request when nothing was measured: 300 requests/s on 12 instances of 1 vCPU at the 60 % target."""

ASSUMED_STARTUP_S = 10.0
"""Billed while an instance starts, once per instance."""

DEFAULT_CPU, DEFAULT_MEMORY_MIB, DEFAULT_CONCURRENCY, DEFAULT_MAX_INSTANCES = 1.0, 512.0, 80, 100
"""Cloud Run's own, where the service's limits are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What will be sent.

    Attributes:
        plan: corners of the planned users, straight lines between them.
        duration_s: after the last corner its users stay until then.
        requests_per_user_s: of one user; 1 for the bundled scenarios.
        service_s: CPU of one request; None: assumed, and the estimate says so.
    """

    plan: Sequence[PlanPoint]
    duration_s: float
    requests_per_user_s: float = 1.0
    service_s: float | None = None

    def corners(self) -> list[Corner]:
        """Return the plan's corners, and one far behind them: the last one's users stay; nobody without a plan."""
        corners = [(point.at_s, point.users) for point in self.plan] or [(0.0, 0.0)]
        return [*corners, (math.inf, corners[-1][1])]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will cost.

    Attributes:
        usd: expected.
        most_usd: if every allowed instance served for the whole length.
        requests: planned.
        instance_s: seconds of instances that start or serve.
        most_instances: at once, expected.
        as_of: date of the prices.
        assumptions: sentences.
    """

    usd: float
    most_usd: float
    requests: float
    instance_s: float
    most_instances: int
    as_of: date
    assumptions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run did cost, by Cloud Run's own counters.

    Attributes:
        usd: in all.
        per_1000_usd: per 1,000 requests that an instance answered; None when there were none.
        instance_s: billable.
        requests: billable.
        as_of: date of the prices.
        assumptions: sentences.
    """

    usd: float
    per_1000_usd: float | None
    instance_s: float
    requests: float
    as_of: date
    assumptions: tuple[str, ...]


def estimate(
    load: Load,
    limits: Limits,
    *,
    region: str | None = None,
    prices: Prices | None = None,
    free_tier: bool = False,
) -> Estimate:
    """Return what `load` will cost on a service with these limits.

    Per second of the plan the instances wanted are the larger of Cloud Run's two drivers, between the limits:
    ceil(requests/s × service_s / (0.60 × vCPU)) and ceil(requests/s × service_s / (0.60 × concurrency)); each is billed
    for that second, and for ASSUMED_STARTUP_S when it is new. It does not include network, build, logs, or what
    min-instances cost outside the run.
    """
    prices = prices or prices_for(region)
    service_s = load.service_s if load.service_s is not None else ASSUMED_SERVICE_S
    cpu = limits.cpu or DEFAULT_CPU
    memory_gib = (limits.memory_mib or DEFAULT_MEMORY_MIB) / 1024
    most = limits.max_instances or DEFAULT_MAX_INSTANCES
    corners = load.corners()
    requests, serving_s, busiest = 0.0, 0.0, limits.min_instances or 0
    for second in range(math.ceil(load.duration_s)):
        share = min(1.0, load.duration_s - second)
        per_s = (users_at(corners, second + share / 2) or 0.0) * load.requests_per_user_s
        wanted = _instances(per_s, service_s, cpu=cpu, concurrency=limits.concurrency or DEFAULT_CONCURRENCY)
        instances = min(max(wanted, limits.min_instances or 0), most)
        busiest = max(busiest, instances)
        requests += per_s * share
        serving_s += instances * share
    instance_s = serving_s + (busiest - (limits.min_instances or 0)) * ASSUMED_STARTUP_S
    most_s = most * (load.duration_s + ASSUMED_STARTUP_S)
    assumptions = [
        _price_words(prices, region),
        f"{service_s * 1000:g} ms of CPU per request" + (" (assumed)" if load.service_s is None else " (measured)"),
        f"instances at {CPU_TARGET_RATIO:.0%} of {cpu:g} vCPU, at most {most}"
        + ("" if limits.max_instances else " (Cloud Run's own maximum: the service sets none)"),
        f"{ASSUMED_STARTUP_S:g} s billed for each start",
        "no network, build or log charges",
    ]
    return Estimate(
        usd=_usd(prices, instance_s, requests, cpu=cpu, memory_gib=memory_gib, free_tier=free_tier),
        most_usd=_usd(prices, most_s, requests, cpu=cpu, memory_gib=memory_gib, free_tier=free_tier),
        requests=requests,
        instance_s=instance_s,
        most_instances=busiest,
        as_of=prices.as_of,
        assumptions=(*assumptions, _free_words(free_tier)),
    )


def projected(
    load: Load, limits: Limits, *, elapsed_s: float, requests: int, region: str | None, prices: Prices | None = None
) -> Estimate:
    """Return the estimate of the whole run, its rate per user corrected by the requests sent in `elapsed_s`."""
    corners = load.corners()
    until = [corner for corner in corners if corner[0] < elapsed_s]
    area = user_seconds([*until, (elapsed_s, users_at(corners, elapsed_s) or 0.0)])
    planned = area * load.requests_per_user_s
    corrected = load.requests_per_user_s * (requests / planned if planned else 1.0)
    return estimate(dataclasses.replace(load, requests_per_user_s=corrected), limits, region=region, prices=prices)


def of_run(
    metrics: pa.Table,
    limits: Limits,
    start: datetime,
    end: datetime,
    *,
    region: str | None = None,
    prices: Prices | None = None,
    free_tier: bool = False,
) -> RunCost | None:
    """Return what the run did cost by billable_instance_time and request_count; None when the former has no point.

    Counted are the whole minutes that the run touches: Cloud Run samples once a minute. All of it is priced as serving
    time, which is too much where min-instances were idle.
    """
    instance_s = _sum(metrics, BILLABLE_TIME, start, end)
    if instance_s is None:
        return None
    requests = _sum(metrics, REQUEST_COUNT, start, end) or 0.0
    prices = prices or prices_for(region)
    cpu = limits.cpu or DEFAULT_CPU
    memory_gib = (limits.memory_mib or DEFAULT_MEMORY_MIB) / 1024
    usd = _usd(prices, instance_s, requests, cpu=cpu, memory_gib=memory_gib, free_tier=free_tier)
    return RunCost(
        usd=usd,
        per_1000_usd=usd / requests * 1000 if requests else None,
        instance_s=instance_s,
        requests=requests,
        as_of=prices.as_of,
        assumptions=(
            _price_words(prices, region),
            f"{cpu:g} vCPU and {memory_gib:g} GiB per instance",
            "the whole minutes that the run touches, all priced as serving time",
            "no network, build or log charges",
            _free_words(free_tier),
        ),
    )


def prices_from(path: Path, region: str | None) -> Prices:
    """Return the list prices of `region` with the fields that a JSON object in `path` overrides.

    Raises:
        UsageError: it cannot be read, or names a price that there is not.
    """
    known = {field.name for field in dataclasses.fields(Prices)}
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        if "as_of" in given:
            given["as_of"] = date.fromisoformat(given["as_of"])
        return dataclasses.replace(prices_for(region), **given)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"`--prices {path}`: must be a JSON object of any of {', '.join(sorted(known))} ({error})."
        ) from error


def _instances(per_s: float, service_s: float, *, cpu: float, concurrency: int) -> int:
    by_cpu = per_s * service_s / (CPU_TARGET_RATIO * cpu)
    by_concurrency = per_s * service_s / (CONCURRENCY_TARGET_RATIO * concurrency)
    # 1e-9: a rate that fills 12 instances exactly must not round up to 13 because of a float's last bit.
    return math.ceil(max(by_cpu, by_concurrency) - 1e-9)


def _usd(
    prices: Prices, instance_s: float, requests: float, *, cpu: float, memory_gib: float, free_tier: bool
) -> float:
    if not free_tier:
        return prices.active_usd(instance_s, vcpu=cpu, memory_gib=memory_gib) + prices.requests_usd(requests)
    vcpu_s = max(0.0, instance_s * cpu - prices.free_vcpu_s)
    gib_s = max(0.0, instance_s * memory_gib - prices.free_gib_s)
    paid = max(0.0, requests - prices.free_requests)
    return vcpu_s * prices.vcpu_usd_per_s + gib_s * prices.memory_usd_per_gib_s + prices.requests_usd(paid)


def _sum(metrics: pa.Table, metric: str, start: datetime, end: datetime) -> float | None:
    """Return the sum of a metric's points that overlap the run; None when there is none."""
    start_ns, end_ns = round(start.timestamp() * 1e9), round(end.timestamp() * 1e9)
    # As integers: pyarrow makes a pandas object, and imports pandas, for each time in nanoseconds.
    times = (metrics[name].cast("int64").to_pylist() for name in ("start", "end"))
    values = [
        value
        for name, since_ns, until_ns, value in zip(
            metrics["metric"].to_pylist(), *times, metrics["value"].to_pylist(), strict=True
        )
        if name == metric and since_ns < end_ns and until_ns > start_ns and value is not None
    ]
    return sum(values) if values else None


def _price_words(prices: Prices, region: str | None) -> str:
    where = f"tier {prices.tier} ({region})" if region else f"tier {prices.tier} (region not known)"
    return f"list prices of {prices.as_of.isoformat()}, {where}, request-based billing"


def _free_words(free_tier: bool) -> str:
    return "the monthly free tier taken off, as if nothing else used it" if free_tier else "free tier not counted"
