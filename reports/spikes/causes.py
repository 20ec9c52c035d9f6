"""Find the causes of a spike, each with its evidence and confidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from reports.data import formats, rules
from reports.model import Explanation, Outage, Rise, Spike
from reports.spikes import rules_generator, rules_load, rules_part, rules_start, rules_time
from reports.spikes.cause import SATURATIONS, Cause, Confidence, Finding, Rule
from reports.spikes.outages import SILENCE, TIMEOUTS
from reports.spikes.requests import Requests
from reports.spikes.view import Added, RunData, Slowed, SpikeView

__all__ = ["SATURATIONS", "Cause", "Confidence", "explain", "explain_outage", "name"]

RULES: Sequence[Rule[Any]] = sorted(
    (
        *rules_generator.RULES,
        *rules_load.RULES,
        *rules_part.RULES,
        *rules_start.RULES,
        *rules_time.RULES,
    ),
    key=lambda rule: list(Cause).index(rule.cause),
)
"""All rules, in the order of `Cause`. The first rule that holds gives the cause."""

FOLLOWS = frozenset({Cause.OUTAGE, Cause.ERRORS})
"""Causes that are reported in addition to the first one, because an overload or a lost instance can also make requests
fail."""


def explain(rise: Rise, data: RunData) -> Spike:
    """Return a spike with its cause, which may be `unexplained`."""
    view = SpikeView(rise, data)
    found = [finding for rule in RULES if (finding := rule.apply(view))]
    return name(rise, found, view.slowed, view.added, demand_new=view.demand.new)


MEASURING = frozenset({Cause.GENERATOR, Cause.MACHINE})
"""Causes in the measurement. They can make requests time out. They cannot make a service answer with an error or refuse
a connection. If requests fail immediately, the workers send their next requests sooner, so they are busy because of the
outage."""


def explain_outage(outage: Outage, data: RunData) -> Outage:
    """Return an outage with its cause, if the recorded data shows one."""
    if outage.kind == SILENCE:
        return outage
    timeouts, level = outage.kind == TIMEOUTS, data.baseline.p95_ms or 0.0
    possible = [rule for rule in RULES if rule.fails_requests and (timeouts or rule.cause not in MEASURING)]
    rise = Rise(
        onset_s=outage.onset_s,
        end_s=max(outage.end_s, outage.onset_s + 1),
        peak_s=outage.onset_s,
        peak_ms=level + (_waited_ms(outage, data.requests) if timeouts else 0.0),
        peak_low_ms=level,
        peak_high_ms=None,
        baseline_ms=level,
        ratio=1.0,
        limit_ms=level * rules.ON_RATIO,
        requests=outage.requests - outage.failed,
        slow=None,
        extra_waiting_request_s=0.0,
        cut=outage.cut,
    )
    view = SpikeView(rise, data)
    found = next((finding for rule in possible if (finding := rule.apply(view))), None)
    if found is None:
        return outage
    return outage.model_copy(update=dict(_explanation(found)))


def _waited_ms(outage: Outage, requests: Requests) -> float:
    """Return the median time that the failed requests of an outage waited."""
    start, failed = requests.start_s, ~requests.ok
    waited_ms = requests.latency_ms[failed & (start >= outage.onset_s) & (start < outage.end_s)]
    return float(np.median(waited_ms)) if len(waited_ms) else 0.0


def name(rise: Rise, found: Sequence[Finding], slowed: Slowed, added: Added, *, demand_new: bool | None) -> Spike:
    """Return a spike whose cause is the first finding, with the failures that this cause also explains."""
    median = () if slowed.p50_ratio is None else (f"the median {formats.moved(slowed.p50_ratio)}",)
    if not found:
        found = [Finding(Cause.UNEXPLAINED, Confidence.LOW, _unexplained(slowed, added, demand_new=demand_new))]
    first, *others = found
    also = [other for other in others if other.cause in FOLLOWS and first.cause not in FOLLOWS]
    return Spike(**dict(rise), **dict(_explanation(first, *median)), also=[_explanation(cause) for cause in also])


def _explanation(finding: Finding, *more: str) -> Explanation:
    sentences = [f"{clause[0].upper()}{clause[1:]}." for clause in (*finding.clauses, *more)]
    return Explanation(cause=finding.cause.value, confidence=finding.confidence.value, evidence=sentences)


def _unexplained(slowed: Slowed, added: Added, *, demand_new: bool | None) -> tuple[str, ...]:
    demand = (
        "the number of users is not known" if demand_new is None else f"demand was {'' if demand_new else 'not '}new"
    )
    if not added.known:
        missing = f"instance data {added.missing}, so it is not known whether instances were added"
        if slowed.whole:
            return slowed.clause, demand, missing
        return f"{slowed.clause}, as when an instance starts", missing
    part = () if slowed.whole or slowed.ratio is None else ("only a part of the requests slowed",)
    instances = added.clause if added.count else "no instance was added"
    return *part, demand, instances, "look at the model, its host, or what it depends on"
