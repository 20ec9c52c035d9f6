"""Recommend settings from a run, with the arithmetic and the cost of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadtest.core.prices import SECONDS_PER_MONTH, Prices
from loadtest.recording.run import Run
from reports.analysis.phases import PhaseName, PhaseWindow
from reports.data import formats, rules
from reports.data.numbers import throughput_per_s
from reports.model import Capacity, Spike, Suggestion
from reports.spikes.causes import SATURATIONS, Cause, Confidence
from reports.spikes.view import RunData


def suggest(
    data: RunData, parts: Sequence[PhaseWindow], spikes: Sequence[Spike], limits: Capacity, prices: Prices
) -> tuple[Suggestion, ...]:
    """Return the recommended settings for Cloud Run; empty if the run shows nothing about settings.

    A run does not show what an instance can serve if the run was overloaded to its end, failed, or left its instances
    idle. A run on instances that Cloud Run does not offer, such as those of `--cpu auto`, does not show it either,
    because their capacity says nothing about other instances. No maximum of instances and no concurrency are
    recommended from such a run. The one exception is a higher maximum if the run reached its own maximum.
    """
    served = _served(data, parts)
    size = _size(data.run)
    if limited := _limited(data, spikes, prices, size):
        found = [_min_instances(data, spikes, prices, size), limited]
    elif not size.is_setting or _unfit(data, parts, spikes, served):
        found = [_min_instances(data, spikes, prices, size)]
    else:
        found = [
            _min_instances(data, spikes, prices, size),
            _max_instances(served, limits, prices, size),
            _concurrency(data, served, limits),
        ]
    return tuple(suggestion for suggestion in found if suggestion is not None)


def _unfit(data: RunData, parts: Sequence[PhaseWindow], spikes: Sequence[Spike], served: _Served | None) -> bool:
    """Whether the run was overloaded to its end or in most of its steady phase, failed, or was idle."""
    window = _steady(parts).window
    inside = slice(window.start_s, window.end_s)
    failing = data.series.failed[inside].sum() >= rules.ERROR_RATIO * max(1, data.series.started[inside].sum())
    full = np.zeros(data.series.seconds, dtype=np.bool_)
    for spike in spikes:
        if spike.cause in SATURATIONS:
            full[spike.onset_s : spike.end_s] = True
    overloaded = not data.baseline.known or any(spike.cut and spike.cause in SATURATIONS for spike in spikes)
    overloaded |= bool(full[inside].mean() >= rules.THROUGHOUT) if window.length_s else False
    idle = served is not None and served.in_flight < rules.IDLE_RATIO * served.instances
    return bool(failing) or bool(data.outages) or overloaded or idle


def _limited(data: RunData, spikes: Sequence[Spike], prices: Prices, size: _Size) -> Suggestion | None:
    """Recommend more instances if the maximum number was serving and could not handle the load."""
    most, counted, demand = data.run.target.limits.max_instances, data.instances, data.demand
    full = [spike for spike in spikes if spike.cause in SATURATIONS and spike.confidence != Confidence.LOW]
    if most is None or counted is None or demand is None or not full or counted.max() < most:
        return None
    worst = max(full, key=lambda spike: spike.extra_waiting_request_s)
    inside = slice(worst.onset_s, max(worst.end_s, worst.onset_s + 1))
    normal = np.ones(data.series.seconds, dtype=np.bool_)
    for spike in spikes:
        normal[max(0, spike.onset_s - rules.WINDOW_S) : spike.end_s + rules.WINDOW_S] = False
    each = (demand / counted)[normal]
    if np.isnan(each).all() or np.isnan(demand[inside]).all():
        return None
    peak, held = float(np.nanmax(demand[inside])), float(np.nanpercentile(each, 95))
    if held <= 0:
        return None
    wanted = math.ceil(peak * rules.HEADROOM / held)
    if wanted <= most:
        return None
    unit = "arrivals/s" if data.opened else "users"
    refused = int(data.series.by_status[429][inside].sum()) if 429 in data.series.by_status else 0
    did = f"{refused} requests were refused" if refused else "requests waited"
    hour = prices.active_usd(3600.0 * (wanted - most), vcpu=size.vcpu, memory_gib=size.gib)
    return Suggestion(
        option="--max-instances",
        value=str(wanted),
        why=f"max instances was the limit: all {most} were serving while {did}",
        arithmetic=(
            f"{peak:.0f} {unit} × {rules.HEADROOM:g} ÷ {held:.1f} {unit} that an instance served without a queue "
            f"= {peak * rules.HEADROOM / held:.1f}, rounded up; now {most}"
        ),
        assumptions=["the tested load is the peak to plan for", "instances share it evenly", *size.assumed],
        cost=f"at most + ${hour:.2f} an hour, if all of them were busy" if size.is_setting else None,
    )


@dataclass(frozen=True, slots=True)
class _Size:
    """The size of one instance, a sentence if that size is assumed, and whether Cloud Run offers it at a price."""

    vcpu: float
    gib: float
    assumed: tuple[str, ...]
    is_setting: bool = True


@dataclass(frozen=True, slots=True)
class _Served:
    """Means over the steady phase (or the whole run if it has none): answers per second, instances, requests in flight.

    Two values are always computed over the whole run: the highest number of instances, and the p99 of the requests in
    flight on one instance outside spikes.
    """

    throughput_per_s: float
    instances: float
    in_flight: float
    where: str
    most_instances: float
    held_normally: float


def _size(run: Run) -> _Size:
    limits = run.target.limits
    if limits.cpu is not None and limits.memory_mib is not None:
        return _Size(limits.cpu, limits.memory_mib / 1024, (), is_setting=not limits.not_a_setting())
    vcpu = rules.ASSUMED_VCPU if limits.cpu is None else limits.cpu
    gib = rules.ASSUMED_GIB if limits.memory_mib is None else limits.memory_mib / 1024
    return _Size(vcpu, gib, (f"an instance of {vcpu:g} vCPU and {gib:g} GiB, because the run's record does not say",))


def _steady(parts: Sequence[PhaseWindow]) -> PhaseWindow:
    return next((part for part in parts if part.name is PhaseName.STEADY), parts[0])


def _served(data: RunData, parts: Sequence[PhaseWindow]) -> _Served | None:
    steady, series, counted = _steady(parts), data.series, data.instances
    if counted is None and not data.run.target.capabilities.single_process:
        return None
    per_s = np.ones(series.seconds) if counted is None else counted
    inside = slice(steady.window.start_s, steady.window.end_s)
    throughput = throughput_per_s(series, steady.window)
    if not throughput:
        return None
    waited_s = float(series.ok_response_us[inside].sum()) / 1e6
    normal = np.ones(series.seconds, dtype=np.bool_)
    for spike in data.spikes:
        normal[spike.onset_s : spike.end_s] = False
    held = (series.in_flight / per_s)[normal]
    return _Served(
        throughput_per_s=throughput,
        instances=float(per_s[inside].mean()),
        in_flight=waited_s / steady.window.length_s,
        where=steady.name.value,
        most_instances=float(per_s.max()),
        held_normally=float(np.percentile(held, 99)) if len(held) else 0.0,
    )


def _min_instances(data: RunData, spikes: Sequence[Spike], prices: Prices, size: _Size) -> Suggestion | None:
    cold = next((spike for spike in spikes if spike.cause == Cause.COLD_START), None)
    if cold is None or (data.run.target.limits.min_instances or 0) >= 1:
        return None
    month = prices.idle_usd(SECONDS_PER_MONTH, vcpu=size.vcpu, memory_gib=size.gib)
    per_s = prices.idle_usd(1.0, vcpu=size.vcpu, memory_gib=size.gib)
    waited = (
        f"its {cold.requests} requests waited {cold.extra_waiting_request_s:.0f} s longer in total "
        f"(p95 {formats.ms(cold.peak_ms)})"
    )
    idles = f"the instance idles all month, at list prices of {prices.as_of:%Y-%m}, tier {prices.tier}"
    return Suggestion(
        option="--min-instances",
        value="1",
        why="one instance kept warm removes the first spike, the cold start from zero",
        arithmetic=f"{waited}; 730 h × 3600 s × ${per_s:.8f}/s = ${month:.2f}" if size.is_setting else waited,
        assumptions=[
            *([idles] if size.is_setting else []),
            "one instance carries the load until others have started",
            *size.assumed,
        ],
        cost=f"+ ${month:.2f} a month" if size.is_setting else None,
    )


def _max_instances(served: _Served | None, limits: Capacity, prices: Prices, size: _Size) -> Suggestion | None:
    if served is None:
        return None
    each = served.throughput_per_s / served.instances
    source = f"{served.throughput_per_s:.1f}/s on {served.instances:.1f} instances ({served.where})"
    if limits.reached and limits.throughput_max_per_s and limits.throughput_max_per_s > each:
        each, source = limits.throughput_max_per_s, "the plateau of one instance"
    wanted = max(1, math.ceil(served.throughput_per_s * rules.HEADROOM / each), math.ceil(served.most_instances))
    hour = prices.active_usd(3600.0 * wanted, vcpu=size.vcpu, memory_gib=size.gib)
    return Suggestion(
        option="--max-instances",
        value=str(wanted),
        why="this load does not reach the limit, and the limit bounds the cost of a mistake",
        arithmetic=(
            f"{served.throughput_per_s:.1f}/s × {rules.HEADROOM:g} ÷ {each:.1f}/s per instance, from {source} "
            f"= {served.throughput_per_s * rules.HEADROOM / each:.1f}, rounded up, and at least the "
            f"{served.most_instances:.0f} that were running"
        ),
        assumptions=["the tested load is the peak to plan for", "instances share it evenly", *size.assumed],
        cost=f"at most ${hour:.2f} an hour, if all of them were busy",
    )


def _concurrency(data: RunData, served: _Served | None, limits: Capacity) -> Suggestion | None:
    """Recommend the knee of one instance as its concurrency, but at least the requests it had in flight outside spikes.

    The result is None if the knee was not reached or is not below the present concurrency.
    """
    if served is None or not limits.reached or limits.in_flight_at_knee is None:
        return None
    knee, held = limits.in_flight_at_knee, served.held_normally
    value = min(1000, max(1, math.ceil(knee), math.ceil(held)))
    now = data.run.target.limits.concurrency
    if now is not None and value >= now:
        return None
    known = f"; now {now}" if now is not None else ""
    ratio = served.in_flight / max(served.instances, 1e-9) / value
    cost = "no more instances at this load"
    if ratio > 1:
        cost = f"up to {ratio:.1f} times the instance-seconds at this load, billed while they serve"
    return Suggestion(
        option="--concurrency",
        value=str(value),
        why="beyond the knee, requests only wait in an instance; with a lower limit, Cloud Run adds instances instead",
        arithmetic=(
            f"{limits.throughput_max_per_s or 0:.1f}/s × light-load time = {knee:.1f} in flight at the knee; "
            f"outside spikes, {held:.1f} were in flight{known}"
        ),
        assumptions=["all requests cost the same", "the run reached the knee"],
        cost=cost,
    )
