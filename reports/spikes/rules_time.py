"""Decide whether the times of slow requests explain a spike: after idle time, in periodic pauses, or all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reports.data import rules
from reports.data.histogram import Bools, Floats
from reports.spikes.cause import Cause, Confidence, Finding, Rule
from reports.spikes.cpu import cpu_of
from reports.spikes.requests import Requests
from reports.spikes.view import Added, Demand, Slowed, SpikeView


@dataclass(frozen=True, slots=True)
class Waking:
    """The requests of the run, divided into requests to an idle instance and all others.

    Attributes:
        idle_s: the shortest idle time that counts.
        times: number of slow requests to an idle instance.
        ratio: share of slow requests among all requests to an idle instance.
        inside: number of these slow requests in this spike.
        others_ratio: share of slow requests among the requests to a busy instance.
        named: whether it is known which instance answered.
    """

    idle_s: float
    times: int
    ratio: float
    inside: int
    others_ratio: float
    named: bool


def waking_of(view: SpikeView) -> Waking | None:
    """Return the effect of the idle time that best separates slow from fast requests; None if it cannot be measured."""
    data, requests = view.data, view.data.requests
    named = data.headers
    if requests.thinned > 1 or (
        not named
        and (data.instances is None or data.instances.max() > 1)
        and not data.run.target.capabilities.single_process
    ):
        return None
    idle = _idle_s(
        requests.instance if named else np.zeros(len(requests.start_s), dtype=np.int64),
        requests.start_s,
        requests.end_s,
    )
    usable = requests.ok & ((requests.instance >= 0) | (not named)) & ~(data.young & (requests.end_s > 0))
    slow = requests.latency_ms > view.limit_ms
    best: Waking | None = None
    for least_s in rules.IDLE_S:
        woke = usable & (idle >= least_s) & np.isfinite(idle)
        rest = usable & (idle < least_s) & ~_beside(woke & slow, requests.start_s, requests.end_s)
        if woke.sum() < 3 or rest.sum() < 10:
            continue
        found = Waking(
            least_s,
            int((woke & slow).sum()),
            float(slow[woke].mean()),
            int((woke & slow & view.inside).sum()),
            float(slow[rest].mean()),
            named,
        )
        if best is None or found.ratio - found.others_ratio > best.ratio - best.others_ratio + 0.02:
            best = found
    return best


def _idle_s(group: np.ndarray[tuple[int], np.dtype[np.int64]], start: Floats, end: Floats) -> Floats:
    """Return how long each request's instance had been idle when the request was sent; −inf for its first request.

    A failed request names no instance. The request may have kept any instance busy, so it counts for all of them.
    """
    idle = np.full(len(start), -np.inf)
    for number in np.unique(group[group >= 0]).tolist():
        mine = np.flatnonzero((group == number) | (group < 0))
        before = np.maximum.accumulate(end[mine])
        since = np.r_[-np.inf, start[mine[1:]] - before[:-1]]
        its = group[mine] == number
        first = int(np.argmax(its))
        idle[mine[its]] = since[its]
        idle[mine[first]] = -np.inf
    return idle


def _beside(woke: Bools, start: Floats, end: Floats) -> Bools:
    """Return the requests that were sent while a slow request to an idle instance was in flight.

    These requests waited too, and are left out of the comparison.
    """
    found = np.zeros(len(start), dtype=np.bool_)
    for at in np.flatnonzero(woke).tolist():
        found[np.searchsorted(start, start[at]) : np.searchsorted(start, end[at], side="right")] = True
    return found


def decide_throttled(evidence: Waking) -> Finding | None:
    """Find CPU that is throttled between requests: requests to an idle instance are slow, and the others are not."""
    if not evidence.inside or evidence.times < 3 or evidence.ratio < rules.WAKING_SLOW or evidence.others_ratio > 0.1:
        return None
    clauses = (
        (
            f"{evidence.ratio:.0%} of the requests that met an instance idle for {evidence.idle_s:g} s or longer were "
            f"slow ({evidence.times} times), but only {evidence.others_ratio:.1%} of those that met a busy one"
        ),
        "an instance gets no CPU between requests unless billing is instance-based (--no-cpu-throttling)",
    )
    sure = Confidence.HIGH if evidence.times >= 5 else Confidence.MEDIUM
    return Finding(Cause.THROTTLED, sure if evidence.named else Confidence.LOW, clauses)


@dataclass(frozen=True, slots=True)
class Pauses:
    """Clusters of slow requests over the whole run.

    Attributes:
        times: number of clusters.
        every_s: the median time from the beginning of one cluster to the beginning of the next.
        regular_ratio: share of these times that are close to `every_s` or to a multiple of it.
        length_s: the median, over the clusters, of a cluster's longest latency.
        inside: number of clusters in this spike.
        covered_ratio: share of the spike's slow requests that are in clusters. Failed requests count as slow if they
            waited as long.
        rest_ratio: share of the run's seconds that lie in clusters.
        steady: whether the number of users hardly changed during the run.
    """

    times: int
    every_s: float
    regular_ratio: float
    length_s: float
    inside: int
    covered_ratio: float
    rest_ratio: float
    steady: bool


def pauses_of(view: SpikeView) -> Pauses | None:
    """Return the clusters of slow requests; None if there are fewer than four."""
    requests, spike = view.data.requests, view.spike
    long = requests.latency_ms > _pause_limit_ms(view)
    slow = np.flatnonzero(requests.ok & long)
    if len(slow) < 8 or requests.thinned > 20:
        return None
    start, end = requests.start_s[slow], requests.end_s[slow]
    reach = np.maximum.accumulate(end)
    breaks = np.flatnonzero(start[1:] > reach[:-1] + rules.PAUSE_APART_S) + 1
    groups = [group for group in np.split(np.arange(len(slow)), breaks) if _all_stopped(requests, slow[group])]
    if len(groups) < 4:
        return None
    begins = np.array([float(start[group].min()) for group in groups])
    ends = np.array([float(end[group].max()) for group in groups])
    every = np.diff(begins)
    usual = float(np.median(every))
    steps = np.maximum(np.round(every / usual), 1)
    off = np.abs(every - steps * usual) / usual
    held = [group for group, begin in zip(groups, begins, strict=True) if spike.onset_s - 3 <= begin < spike.end_s]
    within = sum(len(group) for group in held)
    total = int((view.slow[slow]).sum())  # leave out slow requests that only waited behind a cluster
    total += int((view.inside & ~requests.ok & long).sum())
    users = view.data.demand
    steady = users is None or float(np.nanstd(users)) < 0.3 * float(np.nanmean(users))
    lengths = [float(requests.latency_ms[slow[group]].max()) / 1000 for group in groups]
    return Pauses(
        times=len(groups),
        every_s=usual,
        regular_ratio=float(np.mean(off < rules.PAUSE_REGULAR)),
        length_s=float(np.median(lengths)),
        inside=len(held),
        covered_ratio=min(1.0, within / max(1, total)),
        rest_ratio=float((ends - begins).sum()) / view.data.series.seconds,
        steady=steady,
    )


def _all_stopped(requests: Requests, slow: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bool:
    """Return whether a cluster has at least four slow requests, and at least half of those sent during it are slow."""
    return len(slow) >= rules.MIN_SLOW_REQUESTS and len(slow) >= 0.5 * (slow[-1] - slow[0] + 1)


def _pause_limit_ms(view: SpikeView) -> float:
    """Return the latency that counts as slow in a pause: a quarter of the spike's highest, but at least its limit."""
    requests = view.data.requests
    worst = float(np.max(requests.latency_ms[view.slow])) if view.slow.any() else view.limit_ms
    return max(view.limit_ms, worst / 4)


def decide_pauses(evidence: Pauses) -> Finding | None:
    """Find periodic pauses: short clusters of slow requests at even intervals, at a steady load."""
    if not evidence.inside or evidence.covered_ratio < 0.5 or evidence.rest_ratio > 0.5 or evidence.every_s < 3:
        return None
    if not evidence.steady or evidence.regular_ratio < rules.PAUSE_MOST:
        return None
    clauses = (
        (
            f"{evidence.times} times in the run, about every {evidence.every_s:.0f} s, requests waited for up to "
            f"{evidence.length_s:.1f} s: {evidence.regular_ratio:.0%} of the intervals are within "
            f"{rules.PAUSE_REGULAR:.0%} of that or of a multiple"
        ),
        "look for something that runs at that period: garbage collection, a timer, a scheduled job",
    )
    sure = Confidence.HIGH if evidence.times >= 7 else Confidence.MEDIUM if evidence.times >= 5 else Confidence.LOW
    return Finding(Cause.PAUSES, sure, clauses)


@dataclass(frozen=True, slots=True)
class Dependency:
    """The evidence that all requests were slower at the same load.

    Attributes:
        slowed, demand, added: see `SpikeView`.
        length_s: the length of the spike.
        cpu_ratio: mean CPU utilisation of the instances in the spike divided by that outside; None without cloud
            series.
        cpu_inside: mean CPU utilisation in the spike, 0…1.
    """

    slowed: Slowed
    demand: Demand
    added: Added
    length_s: int
    cpu_ratio: float | None
    cpu_inside: float | None


def dependency_of(view: SpikeView) -> Dependency | None:
    """Return how much slower all requests were, and the instances' CPU use; None if requests waited for each other."""
    if view.queued:
        return None
    cpu = cpu_of(view)
    return Dependency(
        slowed=view.slowed,
        demand=view.demand,
        added=view.added,
        length_s=view.length_s,
        cpu_ratio=cpu.ratio,
        cpu_inside=None if cpu.ratio is None else cpu.inside,
    )


def decide_dependency(evidence: Dependency) -> Finding | None:
    """Find a slow dependency: even the fastest requests slowed, although load and CPU use were the same."""
    if not evidence.slowed.whole or evidence.demand.new is not False or evidence.length_s < rules.DEPENDENCY_S:
        return None
    if (evidence.slowed.fastest_ratio or 0) < rules.DEPENDENCY_RATIO or evidence.slowed.fastest_ratio is None:
        return None
    if evidence.cpu_ratio is not None and evidence.cpu_ratio > rules.DEPENDENCY_CPU:
        return None
    clauses = [
        evidence.slowed.clause,
        f"even the fastest took {evidence.slowed.fastest_ratio:.1f} times as long",
        f"demand was not new ({evidence.demand.clause})",
    ]
    if evidence.cpu_ratio is not None:
        clauses.append(
            f"instances did not use more CPU: utilisation was {evidence.cpu_inside or 0:.0%}, "
            f"{evidence.cpu_ratio:.2f} times the value before"
        )
    if not evidence.added.known:
        clauses.append(f"instance data {evidence.added.missing}, so it is not known whether instances were lost")
    clauses.append("look for something that every request waits for: a database, an API, a lock")
    waits = evidence.cpu_ratio is not None and evidence.added.headers
    return Finding(Cause.DEPENDENCY, Confidence.MEDIUM if waits else Confidence.LOW, tuple(clauses))


RULES: Sequence[Rule[Any]] = (
    Rule(Cause.THROTTLED, waking_of, decide_throttled),
    Rule(Cause.PAUSES, pauses_of, decide_pauses),
    Rule(Cause.DEPENDENCY, dependency_of, decide_dependency),
)
