"""Decide whether a spike was caused by instances that had just started, or had not served before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reports.data import rules
from reports.spikes.cause import Cause, Confidence, Finding, Rule
from reports.spikes.view import Added, Demand, Slowed, SpikeView


@dataclass(frozen=True, slots=True)
class Start:
    """How a run began, for a spike that may have begun with it. Times are seconds after t = 0.

    Attributes:
        at_start: whether the spike began with the load.
        headers: whether the service names its instances.
        aged: whether their ages are known.
        first_ready_s: when the run's first instance became ready. This follows from its age, or else from its first
            answer.
        first_is_new: whether it became ready after the load began, and in this spike.
        first_answer_s: when the first successful answer arrived.
        slow_first_answer: whether it came much later than a normal request would take.
        gauge_before: number of instances that the gauge showed at or just before t = 0; None if not known.
        local: whether the target is a single process on this machine.
    """

    at_start: bool
    headers: bool
    aged: bool
    first_ready_s: float | None
    first_is_new: bool
    first_answer_s: float | None
    slow_first_answer: bool
    gauge_before: float | None
    local: bool


def start_of(view: SpikeView) -> Start:
    """Return how the run began."""
    spike, data = view.spike, view.data
    answer_s = None if data.series.first_ok_us is None else data.series.first_ok_us / 1e6
    slow = answer_s is not None and answer_s * 1000 > max(500.0, 2 * spike.baseline_ms) and spike.onset_s <= answer_s
    ready: float | None = None
    is_new = False
    if data.headers:
        ready = float(data.lifetimes.ready_s.min())
        is_new = (ready > -1.0 or not data.lifetimes.aged) and not any(
            other.onset_s < spike.onset_s for other in data.spikes
        )
        is_new &= spike.onset_s - rules.START_NEAR_S <= ready <= spike.end_s + spike.peak_ms / 1000 + 1
    return Start(
        at_start=view.at_start,
        headers=data.headers,
        aged=data.headers and data.lifetimes.aged,
        first_ready_s=ready,
        first_is_new=is_new,
        first_answer_s=answer_s,
        slow_first_answer=slow,
        gauge_before=_gauge_before(view),
        local=data.run.target.capabilities.single_process,
    )


def _gauge_before(view: SpikeView) -> float | None:
    """Return the gauge's last sample before the load. Without one, return 0 if the first sample is 0, else None."""
    gauge = view.data.gauge
    if gauge is None or not len(gauge.at_s):
        return None
    earlier = gauge.total[gauge.at_s <= 0]
    if len(earlier):
        return float(earlier[-1])
    return 0.0 if gauge.total[0] == 0 else None


def decide_cold_start(evidence: Start) -> Finding | None:
    """Find a cold start from zero: the spike begins with the load, before the first instance was ready."""
    if not evidence.at_start:
        return None
    if evidence.headers:
        return _cold_by_headers(evidence)
    if not evidence.slow_first_answer or (evidence.gauge_before or 0) > 0:
        return None
    answer = f"nothing was answered before {evidence.first_answer_s or 0:.1f} s"
    if evidence.gauge_before == 0:
        clause = f"the gauge showed no instance at the start, and {answer}"
        return Finding(Cause.COLD_START, Confidence.MEDIUM, (clause,))
    clause = f"the spike begins with the load, and {answer}; instance data is missing"
    return None if evidence.local else Finding(Cause.COLD_START, Confidence.LOW, (clause,))


def _cold_by_headers(evidence: Start) -> Finding | None:
    if (
        not evidence.first_is_new
        or evidence.first_ready_s is None
        or (not evidence.aged and (evidence.gauge_before or 0) > 0)
    ):
        return None
    seen = "was ready" if evidence.aged else "was first seen"
    clause = f"the spike begins with the load and its first instance {seen} at {evidence.first_ready_s:.1f} s"
    if evidence.aged:
        sure = Confidence.HIGH if evidence.slow_first_answer else Confidence.MEDIUM
    else:
        sure = Confidence.MEDIUM if evidence.slow_first_answer and evidence.gauge_before == 0 else Confidence.LOW
    return Finding(Cause.COLD_START, sure, (clause,))


@dataclass(frozen=True, slots=True)
class Young:
    """Which instances answered the slow requests: added ones, or ones that had served before.

    Attributes:
        added, slowed, demand: see `SpikeView`.
        slow: number of slow requests in the spike.
        new_ratio: share of the slow requests that added instances answered.
        early_ratio: the same share for the first quarter of the slow requests, when the cause must already be present.
        slow_ratio: share of slow requests among all that added instances answered in the spike.
        others_ratio: share of slow requests among all that other instances answered; None with too few.
    """

    added: Added
    slow: int
    new_ratio: float
    early_ratio: float
    slow_ratio: float
    others_ratio: float | None
    slowed: Slowed
    demand: Demand


def young_of(view: SpikeView) -> Young | None:
    """Return which instances answered the slow requests; None if that is not known, or if no instance was added."""
    if not view.added.known or not view.added.count:
        return None
    requests, slow = view.data.requests, view.slow
    new = view.on_added
    named = requests.instance >= 0
    count = int((slow & named).sum())
    if view.data.headers and not count:
        return None
    times = requests.start_s[slow & named]
    early = slow & named & (requests.start_s <= (np.percentile(times, 25) if count else 0.0))
    others = view.inside & requests.ok & named & ~new
    return Young(
        added=view.added,
        slow=count,
        new_ratio=float((slow & new).sum()) / max(1, count),
        early_ratio=float((early & new).sum()) / max(1, int(early.sum())),
        slow_ratio=float((slow & new).sum()) / max(1, int((view.inside & requests.ok & new).sum())),
        others_ratio=float((slow & others).sum()) / int(others.sum()) if others.sum() >= 5 else None,
        slowed=view.slowed,
        demand=view.demand,
    )


def decide_added(evidence: Young) -> Finding | None:
    """Find the start of an added instance: it answered the slow requests, including the first of them.

    An instance that came after the onset is not the cause. If the other instances slowed as well, the cause is
    something else, because instances that answer most of the requests also answer most of the slow ones.
    """
    if not evidence.added.headers:
        if evidence.slowed.whole or evidence.demand.new is None:
            return None
        kept = f"{evidence.slowed.clause}: the others kept their latency"
        return Finding(Cause.ADDED_INSTANCE, Confidence.LOW, (evidence.added.clause, kept))
    if evidence.new_ratio < rules.YOUNG_SLOW or evidence.early_ratio < rules.YOUNG_EARLY:
        return None
    clause = f"added instances answered {evidence.new_ratio:.0%} of the {evidence.slow} slow requests"
    others = "no other instance answered"
    if evidence.others_ratio is not None:
        others = f"{evidence.others_ratio:.0%} of the others' requests were slow"
    clauses = (evidence.added.clause, clause, others)
    if (evidence.others_ratio or 0) > min(rules.OTHERS_SLOW, evidence.slow_ratio / 2):
        return None
    if evidence.others_ratio is None or (evidence.slowed.whole and evidence.demand.new):
        return Finding(Cause.ADDED_INSTANCE, Confidence.LOW, (*clauses, evidence.demand.clause))
    return Finding(Cause.ADDED_INSTANCE, Confidence.HIGH, clauses)


@dataclass(frozen=True, slots=True)
class Lazy:
    """Whether instances that were ready, but had not served, answered the slow requests.

    Attributes:
        instances: number of instances whose first requests fall into the spike.
        slow: number of slow requests in the spike.
        fresh_ratio: share of the slow requests that these instances answered.
        ready_before_s: the shortest time for which one of them had been ready when its first request was sent.
        later_ratio: the highest load after the spike, outside other spikes, divided by the highest load in the spike;
            None if not known.
        aged: whether ages are known.
        early_ratio: share of slow requests in the first half of what these instances answered in the spike.
        late_ratio: share of slow requests in what these instances answered in the 30 s after the spike.
    """

    instances: int
    slow: int
    fresh_ratio: float
    ready_before_s: float
    later_ratio: float | None
    aged: bool
    early_ratio: float
    late_ratio: float


def lazy_of(view: SpikeView) -> Lazy | None:
    """Return the evidence on instances that served for the first time; None if there are none, or without ages."""
    if not view.data.headers or not view.data.lifetimes.aged or not view.data.baseline.known:
        return None
    requests, line, spike = view.data.requests, view.data.lifetimes, view.spike
    fresh = (line.first_s >= spike.onset_s - 3) & (line.first_s < spike.end_s)
    slow = view.slow & (requests.instance >= 0)
    if not fresh.any() or not slow.any():
        return None
    on_fresh = fresh[np.maximum(requests.instance, 0)] & (requests.instance >= 0)
    hit = fresh & (np.bincount(requests.instance[slow], minlength=len(fresh)) > 0)
    if not hit.any():
        return None
    mine = np.flatnonzero(view.inside & requests.ok & on_fresh)
    first = mine[: max(1, len(mine) // 2)]
    after = requests.ok & on_fresh & (requests.start_s >= spike.end_s) & (requests.start_s < spike.end_s + 30)
    return Lazy(
        instances=int(hit.sum()),
        slow=int(slow.sum()),
        fresh_ratio=float((slow & on_fresh).sum()) / int(slow.sum()),
        ready_before_s=float((line.first_s - line.ready_s)[hit].min()),
        later_ratio=_later_ratio(view),
        aged=True,
        early_ratio=float(view.slow[first].mean()),
        late_ratio=float(np.mean(requests.latency_ms[after] > view.limit_ms)) if after.any() else 1.0,
    )


def _later_ratio(view: SpikeView) -> float | None:
    users, spike = view.data.demand, view.spike
    if users is None or np.isnan(users[spike.onset_s : spike.end_s]).all():
        return None
    later = users[spike.end_s : spike.end_s + 120].copy()
    for other in view.data.spikes:
        if other is not spike:
            later[max(0, other.onset_s - spike.end_s) : max(0, other.end_s - spike.end_s)] = np.nan
    if np.isnan(later).all():
        return None
    return float(np.nanmax(later)) / max(float(np.nanmax(users[spike.onset_s : spike.end_s])), 1e-9)


def decide_lazy(evidence: Lazy) -> Finding | None:
    """Find first requests on a warm instance: it was ready long before, slow at first, then fast at a similar load."""
    if evidence.ready_before_s < rules.YOUNG_S or evidence.fresh_ratio < 0.7 or evidence.late_ratio > 0.2:
        return None
    if evidence.early_ratio < 0.4 or (evidence.later_ratio is not None and evidence.later_ratio < 0.9):
        return None
    many = evidence.instances != 1
    clause = (
        f"{evidence.fresh_ratio:.0%} of the {evidence.slow} slow requests were among the first that "
        f"{evidence.instances} instance{'s' * many} answered, though {'they were' if many else 'it was'} ready "
        f"{evidence.ready_before_s:.0f} s before: {'they load' if many else 'it loads'} something at the first request"
    )
    later = f"afterwards {evidence.late_ratio:.0%} were slow"
    if evidence.later_ratio is not None:
        later += f" at {evidence.later_ratio:.2f} times the load"
    sure = Confidence.HIGH if evidence.late_ratio < 0.1 and evidence.fresh_ratio > 0.85 else Confidence.MEDIUM
    return Finding(Cause.LAZY, sure, (clause, later))


RULES: Sequence[Rule[Any]] = (
    Rule(Cause.COLD_START, start_of, decide_cold_start),
    Rule(Cause.ADDED_INSTANCE, young_of, decide_added),
    Rule(Cause.LAZY, lazy_of, decide_lazy),
)
