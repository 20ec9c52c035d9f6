"""Decide whether a part of the service caused a spike: an endpoint, an instance, a lost instance, a revision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loadtest.core.cloud_metrics import INSTANCE_COUNT
from loadtest.recording.frames import OUTCOMES
from reports.data import rules
from reports.data.histogram import Bools, Floats
from reports.spikes.cause import Cause, Confidence, Finding, Rule
from reports.spikes.requests import Requests
from reports.spikes.view import SpikeView


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Which endpoints slowed, each compared with its own requests outside spikes.

    Attributes:
        slow: a clause for each endpoint that slowed, with the ratio of its medians.
        kept: number of the spike's requests to endpoints that did not slow.
        kept_most: of those endpoints, the highest share of requests above the endpoint's p90 outside spikes.
        all_known: whether every endpoint with enough requests clearly slowed or clearly did not.
        requests: number of the spike's requests to endpoints that slowed.
    """

    slow: tuple[str, ...]
    kept: int
    kept_most: float
    all_known: bool
    requests: int


def endpoints_of(view: SpikeView) -> Endpoints | None:
    """Return which endpoints slowed; None if fewer than two can be compared."""
    requests, series = view.data.requests, view.data.series
    if len(series.endpoints) < 2:
        return None
    slow, kept, most, unknown, hit = [], 0, 0.0, 0, 0
    insides = _by_endpoint(requests, view.inside & requests.ok, len(series.endpoints))
    befores = _by_endpoint(requests, view.data.normal & _near(view), len(series.endpoints))
    for endpoint, inside, before in zip(series.endpoints, insides, befores, strict=True):
        if len(inside) < rules.PART_REQUESTS or len(before) < 2 * rules.PART_REQUESTS:
            continue
        beyond = float(np.mean(inside > np.percentile(before, 90)))
        ratio = float(np.median(inside) / max(np.median(before), 1e-3))
        if beyond >= rules.PART_SLOW and ratio >= rules.PART_RATIO:
            slow.append(f"{endpoint.method} {endpoint.name} took {ratio:.1f} times".strip())
            hit += len(inside)
        elif beyond <= rules.PART_KEPT and ratio <= 1.2:
            kept, most = kept + len(inside), max(most, beyond)
        else:
            unknown += 1
    return Endpoints(tuple(slow), kept, most, not unknown, hit)


def _by_endpoint(requests: Requests, chosen: Bools, endpoints: int) -> list[Floats]:
    """Return the latencies in ms of the chosen requests of each endpoint."""
    endpoint, latency_ms = requests.endpoint[chosen], requests.latency_ms[chosen]
    order = np.argsort(endpoint, kind="stable")
    return np.split(latency_ms[order], np.searchsorted(endpoint[order], np.arange(1, endpoints)))


def _near(view: SpikeView) -> Bools:
    """Return the requests within ten minutes of the spike. A slow drift over a longer time therefore has no effect."""
    start = view.data.requests.start_s
    return np.asarray((start > view.spike.onset_s - 600) & (start < view.spike.end_s + 600))


def decide_endpoint(evidence: Endpoints) -> Finding | None:
    """Find slow endpoints: they slowed, and in the same seconds other endpoints did not."""
    if not evidence.slow or evidence.kept < 2 * rules.PART_REQUESTS:
        return None
    clauses = (
        f"{', '.join(evidence.slow)} its median outside spikes",
        (
            f"in the same seconds, {evidence.kept} requests of other endpoints were not slower "
            f"(at most {evidence.kept_most:.0%} above their p90 outside spikes)"
        ),
    )
    sure = evidence.all_known and evidence.requests >= 2 * rules.PART_REQUESTS
    return Finding(Cause.ENDPOINT, Confidence.HIGH if sure else Confidence.MEDIUM, clauses)


@dataclass(frozen=True, slots=True)
class Instances:
    """Which instances slowed.

    Attributes:
        slow: names of the instances that answered the slow requests.
        slow_ratio: share of slow requests among the requests that these instances answered.
        share_ratio: share of all slow requests that they answered.
        others: number of instances that kept their latency.
        others_ratio: share of slow requests among those of the other instances. It covers only seconds in which slow
            requests were sent to the slow instances, because a stop of all instances is seen in the same second.
        served_before: whether the slow instances had answered normally before the spike.
        new_ratio: among these slow requests, the share answered by instances added around the spike.
        count: number of slow requests.
    """

    slow: tuple[str, ...]
    slow_ratio: float
    share_ratio: float
    others: int
    others_ratio: float
    served_before: bool
    new_ratio: float
    count: int


def instances_of(view: SpikeView) -> Instances | None:
    """Return which instances slowed; None if fewer than two can be compared, or if requests queued."""
    requests = view.data.requests
    if len(requests.names) < 2 or view.queued:
        return None
    named = view.inside & requests.ok & (requests.instance >= 0)
    sent = np.bincount(requests.instance[named], minlength=len(requests.names))
    slow = np.bincount(requests.instance[view.slow & named], minlength=len(requests.names))
    ratio = slow / np.maximum(sent, 1)
    hit = (sent >= 4) & (ratio >= rules.INSTANCE_SLOW)
    others = (sent >= 4) & ~hit
    if not hit.any() or not others.any() or not slow.sum():
        return None
    on_hit = hit[np.maximum(requests.instance, 0)] & named
    second = requests.start_s.astype(np.int64)
    beside = named & ~on_hit & np.isin(second, second[view.slow & on_hit])
    normal = view.data.normal & hit[np.maximum(requests.instance, 0)] & (requests.instance >= 0)
    return Instances(
        slow=tuple(name for name, is_hit in zip(requests.names, hit, strict=True) if is_hit),
        slow_ratio=float(slow[hit].sum() / sent[hit].sum()),
        share_ratio=float(slow[hit].sum() / slow.sum()),
        others=int(others.sum()),
        others_ratio=float(view.slow[beside].mean()) if beside.any() else 1.0,
        served_before=bool((normal & (requests.start_s < view.spike.onset_s)).sum() >= 5),
        new_ratio=float((view.slow & on_hit & view.on_added).sum() / max(1, (view.slow & on_hit).sum())),
        count=int(slow.sum()),
    )


def decide_slow_instance(evidence: Instances) -> Finding | None:
    """Find slow instances: they answered the slow requests and were not new. The other instances kept their latency."""
    if evidence.share_ratio < 0.7 or evidence.others_ratio > rules.OTHERS_SLOW / 2 or evidence.new_ratio > 0.3:
        return None
    if len(evidence.slow) > evidence.others or evidence.count < rules.MIN_SLOW_REQUESTS:
        return None
    which = ", ".join(evidence.slow[:3])
    clauses = (
        (
            f"{which} answered {evidence.share_ratio:.0%} of the {evidence.count} slow requests, and "
            f"{evidence.slow_ratio:.0%} of the requests there were slow"
        ),
        f"on the {evidence.others} other instances, {evidence.others_ratio:.0%} of the requests were slow",
    )
    sure = evidence.served_before and evidence.count >= 10
    return Finding(Cause.SLOW_INSTANCE, Confidence.HIGH if sure else Confidence.MEDIUM, clauses)


@dataclass(frozen=True, slots=True)
class Lost:
    """An instance that stopped answering around the spike's onset while the run went on.

    Attributes:
        name: its name.
        at_s: the time of its last answer.
        expected: number of answers that it would have given until the spike's end, at its earlier rate.
        failed: number of requests that failed within 3 s of `at_s`, by a connection error or a 5xx.
        replaced_s: how long after `at_s` the next instance became ready; None if none did soon.
        fewer_users: whether load fell around that time, so that the platform may have removed the instance.
        more_users: whether load had risen. If it had, a new instance does not show that another one was lost.
    """

    name: str
    at_s: float
    expected: float
    failed: int
    replaced_s: float | None
    fewer_users: bool
    more_users: bool


def lost_of(view: SpikeView) -> Lost | None:
    """Return the instance that was lost around the onset, or later but before the peak; None if none was lost."""
    requests, line, spike = view.data.requests, view.data.lifetimes, view.spike
    if not view.data.headers:
        return None
    begin_s, end_s = spike.onset_s - rules.LOST_NEAR_S, max(spike.onset_s, spike.peak_s) + rules.LOST_NEAR_S
    near = (line.last_s >= begin_s) & (line.last_s <= end_s)
    near &= (line.first_s < spike.onset_s - 10) & (line.last_s < view.data.series.seconds - 20)
    best: Lost | None = None
    for number in np.flatnonzero(near).tolist():
        at = float(line.last_s[number])
        mine = (requests.instance == number) & (requests.start_s >= at - 60)
        per_s = mine.sum() / min(60.0, max(10.0, at - line.first_s[number]))
        around = (requests.end_s > at - 3) & (requests.end_s < at + 3) & ~requests.ok
        hard = (requests.outcome == OUTCOMES.index("connection")) | (requests.status >= 500)
        least_s, most_s = rules.REPLACED_S
        later = line.ready_s[(line.ready_s > at + least_s) & (line.ready_s < at + most_s)]
        ready_just_before = ((line.ready_s > at - 15) & (line.ready_s <= at + least_s)).any()
        replaced = float(later.min() - at) if len(later) and not ready_just_before else None
        found = Lost(
            name=requests.names[number],
            at_s=at,
            expected=per_s * max(10.0, spike.end_s - at),
            failed=int((around & hard).sum()),
            replaced_s=replaced,
            fewer_users=_fell(view.data.demand, int(at)),
            more_users=view.demand.rose,
        )
        if (
            best is None
            or found.failed > best.failed
            or (found.failed == best.failed and found.expected > best.expected)
        ):
            best = found
    return best


def _fell(users: Floats | None, at: int) -> bool:
    """Return whether the load around a time was lower than in the 90 s before."""
    if users is None:
        return False
    now, before = users[max(0, at - 5) : at + 5], users[max(0, at - 90) : max(1, at - 5)]
    if np.isnan(now).all() or np.isnan(before).all():
        return False
    return float(np.nanmean(now)) < 0.85 * float(np.nanmean(before))


def decide_lost(evidence: Lost) -> Finding | None:
    """Find a lost instance.

    The evidence is either requests that failed at that time, or an instance that replaced the lost one.
    """
    if evidence.expected < rules.LOST_ANSWERS or evidence.fewer_users:
        return None
    if not evidence.failed and (evidence.replaced_s is None or evidence.more_users):
        return None
    clauses = [
        f"{evidence.name} gave its last answer at {evidence.at_s:.1f} s, although {evidence.expected:.0f} more were due"
    ]
    if evidence.failed:
        clauses.append(f"{evidence.failed} requests failed within 3 s of that")
    if evidence.replaced_s is not None:
        clauses.append(f"a new instance was ready {evidence.replaced_s:.1f} s later")
    both = evidence.failed > 0 and evidence.replaced_s is not None
    return Finding(Cause.REPLACED, Confidence.HIGH if both else Confidence.LOW, tuple(clauses))


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision that the gauge first counts around the spike, and the instances that answered the slow requests.

    Attributes:
        name, before: the new revision and the one before it; "" if only the headers are known.
        at_s: the time of the first sample that counts the new revision. If only headers are known, the time at which
            the first new instance was ready.
        replaced: number of earlier instances that stopped around the spike; None without headers.
        were: number of instances before the spike.
        young_ratio: share of the slow requests that the new instances answered; None without headers.
        others_ratio: share of slow requests among those that the other instances answered.
    """

    name: str
    before: str
    at_s: float
    replaced: int | None
    were: int
    young_ratio: float | None
    others_ratio: float


def revision_of(view: SpikeView) -> Revision | None:
    """Return the revision that appeared around the spike; None if no revision did.

    If all samples of the earlier revision are from before the load, the new one was not deployed during the run.
    """
    spike, data = view.spike, view.data
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for metric in data.cloud or ():
        name = metric.labels.get("revision_name", "")
        counted = metric.end_s[np.nan_to_num(metric.value) > 0]
        if metric.metric == INSTANCE_COUNT and name and len(counted):
            first[name] = min(first.get(name, np.inf), float(counted[0]))
            last[name] = max(last.get(name, -np.inf), float(counted[-1]))
    new = [(at, name) for name, at in first.items() if spike.onset_s - 30 <= at <= spike.end_s + 90]
    earlier = [name for name, at in first.items() if at < spike.onset_s - 30 and last[name] >= 0]
    replaced, were, at_s, young, others = _replaced(view)
    gauge = bool(new) and bool(earlier) and (replaced is None or were > 0)
    if not gauge and (replaced is None or were < 2 or replaced < were):
        return None
    return Revision(
        name=min(new)[1] if gauge else "",
        before=earlier[-1] if gauge else "",
        at_s=min(new)[0] if gauge else at_s,
        replaced=replaced,
        were=were,
        young_ratio=young,
        others_ratio=others,
    )


def _replaced(view: SpikeView) -> tuple[int | None, int, float, float | None, float]:
    """Return `replaced`, `were`, `at_s`, `young_ratio` and `others_ratio` of `Revision`, as the headers show them."""
    if not view.data.headers:
        return None, 0, 0.0, None, 0.0
    line, spike, requests = view.data.lifetimes, view.spike, view.data.requests
    before = (line.ready_s < spike.onset_s - 10) & (line.last_s > spike.onset_s - 30)
    gone = before & (line.last_s < min(spike.end_s + 60, view.data.series.seconds - 10))
    new = (line.ready_s > spike.onset_s - 30) & (line.ready_s < spike.end_s + 15)
    slow = view.slow & (requests.instance >= 0)
    on_new = new[np.maximum(requests.instance, 0)]
    others = view.inside & requests.ok & (requests.instance >= 0) & ~on_new
    at_s = float(line.ready_s[new].min()) if new.any() else 0.0
    if not new.any() or new.sum() < 0.5 * before.sum():
        return 0, int(before.sum()), at_s, float((slow & on_new).sum()) / max(1, int(slow.sum())), 1.0
    return (
        int(gone.sum()),
        int(before.sum()),
        at_s,
        float((slow & on_new).sum()) / max(1, int(slow.sum())),
        float((slow & others).sum()) / max(1, int(others.sum())),
    )


def decide_revision(evidence: Revision) -> Finding | None:
    """Find a new revision: it appeared around the spike, and its instances answered the slow requests."""
    by_headers = evidence.young_ratio is not None and evidence.young_ratio >= 0.6
    if evidence.young_ratio is not None and not by_headers:
        return None
    clauses = []
    if evidence.name:
        clauses.append(f"revision {evidence.name} is first counted at {evidence.at_s:.0f} s, after {evidence.before}")
    if evidence.replaced:
        clauses.append(f"{evidence.replaced} of {evidence.were} instances were replaced from {evidence.at_s:.0f} s on")
    if evidence.young_ratio is not None:
        clauses.append(f"new instances answered {evidence.young_ratio:.0%} of the slow requests")
    if not clauses or not (evidence.name or evidence.replaced):
        return None
    sure = Confidence.LOW
    if evidence.name and by_headers:
        sure = Confidence.HIGH
    return Finding(Cause.REVISION, sure, tuple(clauses))


RULES: Sequence[Rule[Any]] = (
    Rule(Cause.ENDPOINT, endpoints_of, decide_endpoint),
    Rule(Cause.SLOW_INSTANCE, instances_of, decide_slow_instance),
    Rule(Cause.REPLACED, lost_of, decide_lost, fails_requests=True),
    Rule(Cause.REVISION, revision_of, decide_revision, fails_requests=True),
)
