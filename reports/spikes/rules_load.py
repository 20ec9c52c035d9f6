"""Decide whether more load than the service held made a spike, and whether what failed did."""

from __future__ import annotations

from dataclasses import dataclass

from reports.data import rules
from reports.data.distributions import poisson_tail
from reports.spikes.cause import Cause, Confidence, Finding, Rule
from reports.spikes.view import Added, Demand, Slowed, SpikeView


@dataclass(frozen=True, slots=True)
class Load:
    """Demand against what slowed and which instances came.

    Attributes:
        slowed, demand, added: of the spike.
        at_max: whether max instances were serving; None when that is not known.
        max_instances: the limit.
        refused_ratio: requests inside that were answered with 429.
        never_calm: why the run has no baseline of its own, when it has none; else "".
        served_after: whether such load was served calmly after the spike with as many instances as before it.
    """

    slowed: Slowed
    demand: Demand
    added: Added
    at_max: bool | None
    max_instances: int | None
    refused_ratio: float
    never_calm: str

    @property
    def too_much(self) -> bool:
        """Whether nearly all requests slowed under new demand, or throughout the run."""
        return bool(self.never_calm) or (self.slowed.whole and bool(self.demand.new))


def load_of(view: SpikeView) -> Load:
    """Return demand and capacity around a spike."""
    spike, series = view.spike, view.data.series
    inside = slice(spike.onset_s, spike.end_s)
    sent = int(series.started[inside].sum())
    refused = int(series.by_status[429][inside].sum()) if 429 in series.by_status else 0
    never = not view.data.baseline.known and view.length_s >= rules.THROUGHOUT * series.seconds
    return Load(
        slowed=view.slowed,
        demand=view.demand,
        added=view.added,
        at_max=view.at_max(),
        max_instances=view.data.run.target.limits.max_instances,
        refused_ratio=refused / max(1, sent),
        never_calm=view.data.baseline.text.rstrip(".") if never else "",
    )


def decide_refused(facts: Load) -> Finding | None:
    """Name refusals at max instances: 429s while as many instances served as may."""
    if facts.refused_ratio < rules.ERROR_RATIO or facts.at_max is False:
        return None
    clause = f"{facts.refused_ratio:.1%} of the requests inside were answered with 429"
    if facts.at_max is None:
        if not facts.demand.new:
            return None
        clauses = (clause, facts.demand.words, "whether max instances were reached is not known")
        return Finding(Cause.REFUSED, Confidence.LOW, clauses)
    limit = f"all {facts.max_instances} instances that max instances allows were serving: raise --max-instances"
    sure = Confidence.HIGH if facts.added.headers else Confidence.MEDIUM
    return Finding(Cause.REFUSED, sure, (clause, limit, facts.demand.words))


def decide_saturation(facts: Load) -> Finding | None:
    """Name saturation: nearly all requests slowed under demand that had not been served before."""
    if not facts.too_much:
        if facts.slowed.whole and facts.demand.new is None and facts.added.count and facts.added.headers:
            clauses = (facts.slowed.words, facts.added.words, facts.demand.words)
            return Finding(Cause.SCALE_OUT, Confidence.LOW, clauses)
        return None
    why = (facts.never_calm,) if facts.never_calm else (facts.demand.words, facts.slowed.words)
    if not facts.added.known:
        missing = f"instance data {facts.added.missing}: whether instances were added cannot be said"
        return Finding(Cause.SATURATION_UNSEEN, Confidence.LOW, (*why, missing))
    sure = Confidence.HIGH if facts.added.headers else Confidence.MEDIUM
    if facts.added.count:
        return Finding(Cause.SCALE_OUT, sure, (*why, facts.added.words))
    none = "no instance was added"
    if facts.at_max:
        none = f"all {facts.max_instances} instances that max instances allows were serving"
    return Finding(Cause.SATURATION, sure, (*why, none))


REFUSED_RULE = Rule("refused", load_of, decide_refused)
SATURATION_RULE = Rule("saturation", load_of, decide_saturation)


@dataclass(frozen=True, slots=True)
class Failures:
    """What failed during a spike.

    Attributes:
        ratio, outside_ratio: failed requests of all, inside and outside.
        chance: probability of so many failures at the outside ratio (Poisson).
        outages: sentences of the outages that overlap with it.
        outage_ratio: the largest share of requests that one of them failed.
    """

    ratio: float
    outside_ratio: float
    chance: float
    outages: tuple[str, ...]
    outage_ratio: float


def failures_of(view: SpikeView) -> Failures:
    """Return what failed."""
    failed, sent, failed_outside, sent_outside = view.failed
    outside = failed_outside / max(1, sent_outside)
    return Failures(
        ratio=failed / max(1, sent),
        outside_ratio=outside,
        chance=float(poisson_tail(failed - 1, max(outside, 1e-4) * sent)) if failed else 1.0,
        outages=tuple(one.text.rstrip(".") for one in view.outages),
        outage_ratio=max((one.share_ratio for one in view.outages), default=0.0),
    )


def decide_failures(facts: Failures) -> Finding | None:
    """Name an outage that the spike overlaps with, else errors: many, and many more than elsewhere."""
    if facts.outages:
        cause = Cause.OUTAGE if facts.outage_ratio >= rules.OUTAGE_MOST else Cause.ERRORS
        if all("No answer" in text for text in facts.outages):
            cause = Cause.OUTAGE
        return Finding(cause, Confidence.HIGH, facts.outages)
    if facts.ratio < rules.ERROR_RATIO or facts.ratio <= rules.ERROR_FACTOR * facts.outside_ratio:
        return None
    if facts.chance >= rules.ERROR_CHANCE:
        return None
    clause = f"{facts.ratio:.1%} of the requests inside failed, {facts.outside_ratio:.2%} outside"
    return Finding(Cause.ERRORS, Confidence.HIGH, (clause,))


FAILURES_RULE = Rule("failures", failures_of, decide_failures)
