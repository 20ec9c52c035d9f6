"""Suggest settings from what a run showed, with the arithmetic and what each costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadtest.core.prices import SECONDS_PER_MONTH, Prices
from loadtest.recording.run import Run
from reports.analysis.phases import PhaseName, PhaseWindow
from reports.data import rules
from reports.data.cloud import InstanceGauge
from reports.data.numbers import throughput_per_s
from reports.data.series import Series
from reports.data.serving import instances_per_s
from reports.model import Capacity, Spike, Suggestion
from reports.spikes.causes import SATURATIONS, Cause


def suggest(
    run: Run,
    series: Series,
    gauge: InstanceGauge | None,
    parts: Sequence[PhaseWindow],
    spikes: Sequence[Spike],
    limits: Capacity,
    prices: Prices,
) -> tuple[Suggestion, ...]:
    """Return what the run suggests to set on Cloud Run; empty when it says nothing about settings."""
    served = _served(series, gauge, parts, local=run.target.capabilities.single_process)
    size = _size(run)
    found = [
        _min_instances(spikes, prices, size),
        _max_instances(served, limits, prices, size),
        _concurrency(run, served, limits, spikes),
    ]
    return tuple(one for one in found if one is not None)


@dataclass(frozen=True, slots=True)
class _Size:
    """Of one instance, and a sentence when it is assumed."""

    vcpu: float
    gib: float
    assumed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Served:
    """What the steady phase (else the whole run) showed per second: all answers, instances, requests in flight."""

    throughput_per_s: float
    instances: float
    in_flight: float
    where: str


def _size(run: Run) -> _Size:
    limits = run.target.limits
    if limits.cpu is not None and limits.memory_mib is not None:
        return _Size(limits.cpu, limits.memory_mib / 1024, ())
    vcpu = rules.ASSUMED_VCPU if limits.cpu is None else limits.cpu
    gib = rules.ASSUMED_GIB if limits.memory_mib is None else limits.memory_mib / 1024
    return _Size(vcpu, gib, (f"an instance of {vcpu:g} vCPU and {gib:g} GiB, as the run's record names no other",))


def _served(
    series: Series, gauge: InstanceGauge | None, parts: Sequence[PhaseWindow], *, local: bool
) -> _Served | None:
    steady = next((part for part in parts if part.name is PhaseName.STEADY), parts[0])
    counted = instances_per_s(series, gauge)
    if counted is None and not local:
        return None
    per_s = np.ones(series.seconds) if counted is None else counted
    inside = slice(steady.window.start_s, steady.window.end_s)
    throughput = throughput_per_s(series, steady.window)
    if not throughput:
        return None
    waited_s = float(series.ok_response_us[inside].sum()) / 1e6
    return _Served(throughput, float(per_s[inside].mean()), waited_s / steady.window.length_s, steady.name.value)


def _min_instances(spikes: Sequence[Spike], prices: Prices, size: _Size) -> Suggestion | None:
    cold = next((one for one in spikes if one.cause == Cause.COLD_START), None)
    if cold is None:
        return None
    month = prices.idle_usd(SECONDS_PER_MONTH, vcpu=size.vcpu, memory_gib=size.gib)
    per_s = prices.idle_usd(1.0, vcpu=size.vcpu, memory_gib=size.gib)
    return Suggestion(
        option="--min-instances",
        value="1",
        why="one instance kept warm removes the first spike, the cold start from zero",
        arithmetic=(
            f"its {cold.requests} requests waited {cold.extra_waiting_request_s:.0f} s longer in all "
            f"(p95 {cold.peak_ms:.0f} ms); 730 h × 3600 s × ${per_s:.8f}/s = ${month:.2f}"
        ),
        assumptions=[
            f"the instance idles all month, at list prices of {prices.as_of:%Y-%m}, tier {prices.tier}",
            "one instance carries the load until others have started",
            *size.assumed,
        ],
        cost=f"+ ${month:.2f} a month",
    )


def _max_instances(served: _Served | None, limits: Capacity, prices: Prices, size: _Size) -> Suggestion | None:
    if served is None:
        return None
    each = served.throughput_per_s / served.instances
    source = f"{served.throughput_per_s:.1f}/s on {served.instances:.1f} instances ({served.where})"
    if limits.reached and limits.throughput_max_per_s and limits.throughput_max_per_s > each:
        each, source = limits.throughput_max_per_s, "the plateau of one instance"
    wanted = max(1, math.ceil(served.throughput_per_s * rules.HEADROOM / each))
    hour = prices.active_usd(3600.0 * wanted, vcpu=size.vcpu, memory_gib=size.gib)
    return Suggestion(
        option="--max-instances",
        value=str(wanted),
        why="a ceiling that this load does not reach, and that a mistake cannot exceed",
        arithmetic=(
            f"{served.throughput_per_s:.1f}/s × {rules.HEADROOM:g} ÷ {each:.1f}/s per instance, from {source} "
            f"= {served.throughput_per_s * rules.HEADROOM / each:.1f}, rounded up"
        ),
        assumptions=["the tested load is the peak to plan for", "instances share it evenly", *size.assumed],
        cost=f"at most ${hour:.2f} an hour, were all of them busy",
    )


def _concurrency(run: Run, served: _Served | None, limits: Capacity, spikes: Sequence[Spike]) -> Suggestion | None:
    if served is None:
        return None
    if limits.reached and limits.in_flight_at_knee is not None:
        value = max(1, math.ceil(limits.in_flight_at_knee))
        why = "beyond the knee an instance only queues: fewer at a time make Cloud Run add instances instead"
        arithmetic = (
            f"{limits.throughput_max_per_s or 0:.1f}/s × light-load time = {limits.in_flight_at_knee:.1f} in flight"
        )
    elif any(one.cause in SATURATIONS for one in spikes):
        return None  # what was in flight is the queue, and the knee that would tell is not known
    else:
        each = served.in_flight / served.instances
        value = max(1, math.ceil(2 * each))
        why = "twice what an instance held at once, so that the queue forms in front of new instances, not inside"
        arithmetic = (
            f"2 × {served.in_flight:.1f} in flight ÷ {served.instances:.1f} instances = {2 * each:.1f}, rounded up"
        )
    now = run.target.limits.concurrency
    if now is not None and value == now:
        return None
    return Suggestion(
        option="--concurrency",
        value=str(min(value, 1000)),
        why=why,
        arithmetic=arithmetic + (f"; now {now}" if now is not None else ""),
        assumptions=["requests are alike in cost", "the knee was seen" if limits.reached else "the knee was not seen"],
        cost="more instances at the same load where this is less than now, each billed while it serves",
    )
