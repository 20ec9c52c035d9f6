"""Decide whether too much load, or failing requests, caused a spike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reports.data import rules
from reports.data.distributions import poisson_tail
from reports.model import Outage, Rise
from reports.spikes.cause import Cause, Confidence, Finding, Rule
from reports.spikes.cpu import cpu_of
from reports.spikes.outages import SILENCE, TIMEOUTS
from reports.spikes.view import Added, Demand, Slowed, SpikeView


@dataclass(frozen=True, slots=True)
class Load:
    """Demand, the slowed requests and the added instances.

    Attributes:
        slowed, demand, added: see `SpikeView`.
        at_max: whether the maximum number of instances was serving; None if that is not known.
        max_instances: the maximum number of instances.
        refused_ratio: share of the spike's requests that were answered with 429.
        refused_outside_ratio: the same share of the requests outside all spikes and outages.
        full_ratio: CPU utilisation of the instances in the spike, 0…1, if they had hardly any free CPU in the spike and
            outside it; None if they had free CPU, or if their utilisation is not known.
        queued: whether requests were slow because they waited behind others.
        no_baseline: why the run has no baseline of its own; "" if it has one, if only a part of the run is slow, or if
            too few requests succeeded for a p95: failures alone do not show an overload.
    """

    slowed: Slowed
    demand: Demand
    added: Added
    at_max: bool | None
    max_instances: int | None
    refused_ratio: float
    queued: bool
    no_baseline: str
    refused_outside_ratio: float = 0.0
    full_ratio: float | None = None

    @property
    def too_much(self) -> bool:
        """Whether nearly all requests slowed under new demand, or throughout the run."""
        return bool(self.no_baseline) or (self.slowed.whole and bool(self.demand.new))

    @property
    def full(self) -> str:
        """A clause that says that the maximum number of instances was serving."""
        if self.max_instances == 1:
            return "the one instance that max instances allows was serving"
        return f"all {self.max_instances} instances that max instances allows were serving"

    @property
    def without_cpu(self) -> bool:
        """Whether nearly all requests slowed on instances that had hardly any free CPU, in the spike and outside it.

        At this load a queue grows for minutes as soon as the service time drifts by a few percent.
        """
        return self.slowed.whole and self.full_ratio is not None and not self.too_much

    @property
    def partly(self) -> bool:
        """Whether the load rose and a part of the requests became slow, because they waited behind others."""
        return self.queued and self.demand.rising


def load_of(view: SpikeView) -> Load:
    """Return demand and capacity around a spike."""
    spike, series, cpu = view.spike, view.data.series, cpu_of(view)
    inside, outside = slice(spike.onset_s, spike.end_s), view.data.outside
    refused = series.by_status.get(429, np.zeros(series.seconds, dtype=np.int64))
    baseline = view.data.baseline
    never = not baseline.known and baseline.p95_ms is not None and view.length_s >= rules.THROUGHOUT * series.seconds
    return Load(
        slowed=view.slowed,
        demand=view.demand,
        added=view.added,
        at_max=view.at_max,
        max_instances=view.data.run.target.limits.max_instances,
        refused_ratio=int(refused[inside].sum()) / max(1, int(series.started[inside].sum())),
        refused_outside_ratio=int(refused[outside].sum()) / max(1, int(series.started[outside].sum())),
        full_ratio=cpu.least if cpu.full else None,
        queued=view.queued,
        no_baseline=baseline.text.rstrip(".") if never else "",
    )


def decide_refused(evidence: Load) -> Finding | None:
    """Find refusals at max instances: answers with 429 while the maximum number of instances was serving.

    A service with a short queue refuses a few requests all the time. Such refusals explain no spike. If demand was not
    higher than before and fewer than a fifth of the requests were refused, they may have met a normal burst, so the
    confidence is low.
    """
    usual = rules.ERROR_FACTOR * evidence.refused_outside_ratio
    if evidence.refused_ratio < rules.ERROR_RATIO or evidence.refused_ratio <= usual or evidence.at_max is False:
        return None
    clause = f"{evidence.refused_ratio:.1%} of the spike's requests were answered with 429"
    if evidence.at_max is None:
        if not evidence.demand.new:
            return None
        clauses = (clause, evidence.demand.clause, "whether max instances were reached is not known")
        return Finding(Cause.REFUSED, Confidence.LOW, clauses)
    sure = Confidence.HIGH if evidence.added.headers else Confidence.MEDIUM
    if evidence.refused_ratio < rules.OUTAGE_RATIO and evidence.demand.new is False and not evidence.demand.rose:
        sure = Confidence.LOW
    limit = f"{evidence.full}: raise --max-instances"
    return Finding(Cause.REFUSED, sure, (clause, limit, evidence.demand.clause))


def decide_saturation(evidence: Load) -> Finding | None:
    """Find saturation: nearly all requests slowed when demand was higher than served before, or some of them queued.

    If demand was not new, the instances must have had hardly any free CPU.
    """
    if not evidence.too_much and not evidence.partly and not evidence.without_cpu:
        if evidence.slowed.whole and evidence.demand.new is None and evidence.added.count and evidence.added.headers:
            clauses = (evidence.slowed.clause, evidence.added.clause, evidence.demand.clause)
            return Finding(Cause.SCALE_OUT, Confidence.LOW, clauses)
        return None
    why = (evidence.no_baseline,) if evidence.no_baseline else (evidence.demand.clause, evidence.slowed.clause)
    if evidence.queued and not evidence.no_baseline:
        why = (*why, "requests that met few others on their instance were not slow: the rest queued behind each other")
    if evidence.without_cpu:
        why = (*why, f"instances had hardly any free CPU: utilisation was {evidence.full_ratio or 0:.0%} or more")
    if not evidence.added.known:
        missing = f"instance data {evidence.added.missing}, so it is not known whether instances were added"
        return Finding(Cause.SATURATION_UNSEEN, Confidence.LOW, (*why, missing))
    sure = Confidence.HIGH if evidence.added.headers else Confidence.MEDIUM
    if not evidence.too_much:
        sure = Confidence.MEDIUM if evidence.added.headers and evidence.added.count else Confidence.LOW
    elif not evidence.added.headers and not evidence.no_baseline and not evidence.demand.rose:
        sure = Confidence.LOW  # each instance had more load, but the gauge may not show that another was lost
    if evidence.added.count:
        return Finding(Cause.SCALE_OUT, sure, (*why, evidence.added.clause))
    return Finding(Cause.SATURATION, sure, (*why, evidence.full if evidence.at_max else "no instance was added"))


@dataclass(frozen=True, slots=True)
class Failures:
    """The failures during a spike.

    Attributes:
        ratio, outside_ratio: share of failed requests, inside and outside the spike.
        chance: probability of so many failures in the spike if requests failed as often as outside (Poisson).
        outages: sentences on the outages that overlap with the spike.
        outage_ratio: the largest share of failed requests in one of them.
        symptom: whether the failures may be due to an overload that the recorded data does not show. Two conditions are
            required: instances are not known, and overload alone can explain every outage that began with the spike.
    """

    ratio: float
    outside_ratio: float
    chance: float
    outages: tuple[str, ...]
    outage_ratio: float
    symptom: bool = False


def failures_of(view: SpikeView) -> Failures:
    """Return the failures during and outside the spike."""
    failed, sent, failed_outside, sent_outside = view.failed
    outside = failed_outside / max(1, sent_outside)
    return Failures(
        ratio=failed / max(1, sent),
        outside_ratio=outside,
        chance=float(poisson_tail(failed - 1, max(outside, 1e-4) * sent)) if failed else 1.0,
        outages=tuple(outage.text.rstrip(".") for outage in view.outages),
        outage_ratio=max((outage.share_ratio for outage in view.outages), default=0.0),
        symptom=not view.added.known and not any(_began_with(outage, view.spike) for outage in view.outages),
    )


def _began_with(outage: Outage, spike: Rise) -> bool:
    """Whether an outage that overload alone cannot explain began with the spike."""
    made = outage.kind in {SILENCE, "status 429", TIMEOUTS}
    return not made and outage.onset_s <= spike.onset_s + rules.START_NEAR_S


def decide_failures(evidence: Failures) -> Finding | None:
    """Find an outage that overlaps with the spike, or else errors.

    There must be many, and far more than outside the spike.
    """
    if evidence.outages:
        cause = Cause.OUTAGE if evidence.outage_ratio >= rules.OUTAGE_MOST else Cause.ERRORS
        if all("No answer" in text for text in evidence.outages):
            cause = Cause.OUTAGE
        return Finding(cause, Confidence.LOW if evidence.symptom else Confidence.HIGH, evidence.outages)
    if evidence.ratio < rules.ERROR_RATIO or evidence.ratio <= rules.ERROR_FACTOR * evidence.outside_ratio:
        return None
    if evidence.chance >= rules.ERROR_CHANCE:
        return None
    clause = f"{evidence.ratio:.1%} of the requests in the spike failed, and {evidence.outside_ratio:.2%} outside it"
    return Finding(Cause.ERRORS, Confidence.LOW if evidence.symptom else Confidence.HIGH, (clause,))


RULES: Sequence[Rule[Any]] = (
    Rule(Cause.REFUSED, load_of, decide_refused, fails_requests=True),
    Rule(Cause.SCALE_OUT, load_of, decide_saturation, fails_requests=True),
    Rule(Cause.OUTAGE, failures_of, decide_failures),
)
