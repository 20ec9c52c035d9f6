"""Name the cause of a spike, with the evidence for it and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from loadtest.recording.run import Run
from reports.data import formats, rules
from reports.data.cloud import InstanceGauge
from reports.data.load import Load
from reports.data.series import Series
from reports.model import Explanation, Rise, Spike
from reports.spikes.evidence import Evidence, evidence_of


class Cause(StrEnum):
    """Why p95 rose. The words are the report's own; docs/terms.md explains each."""

    ERRORS = "errors"
    COLD_START = "cold start from zero"
    ADDED_INSTANCE = "cold start of an added instance"
    SCALE_OUT = "saturation, then scale-out"
    SATURATION = "saturation without scale-out"
    SATURATION_UNSEEN = "saturation, scaling not known"
    GENERATOR = "load generator"
    UNEXPLAINED = "unexplained"


SATURATIONS = frozenset({Cause.SCALE_OUT, Cause.SATURATION, Cause.SATURATION_UNSEEN})
"""The causes that load itself makes."""


class Confidence(StrEnum):
    """How much the evidence leaves open."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


def explain(
    rise: Rise, rises: Sequence[Rise], series: Series, load: Load, gauge: InstanceGauge | None, run: Run
) -> Spike:
    """Return one of the run's `rises` with why it happened; `unexplained` is an answer."""
    found = decide(evidence_of(rise, rises, series, load, gauge, run))
    return Spike(**dict(rise), **dict(found))


def decide(facts: Evidence) -> Explanation:
    """Return the cause that the facts of one spike speak for: the first rule that holds, in this order.

    The generator's own trouble comes first, as nothing measured in it can be held against the server. A loop that was
    late by much less than the rise speaks only where nothing else does.
    """
    for rule in (_generator, _errors, _cold_start, _late_loop, _not_known, _added, _saturated):
        found = rule(facts)
        if found:
            cause, confidence, evidence = found
            return _explained(cause, confidence, *evidence, *facts.sentences)
    sentence = "no new level of demand, no new instance, no errors: look at the model, its host, or what it depends on"
    if facts.slower_ratio is not None and facts.slower_ratio < rules.WHOLE_RATIO:
        sentence = f"only a part of the requests slowed; {sentence}"
    return _explained(Cause.UNEXPLAINED, Confidence.LOW, sentence, *facts.sentences)


def _explained(cause: Cause, confidence: Confidence, *clauses: str) -> Explanation:
    sentences = [f"{clause[0].upper()}{clause[1:]}." for clause in clauses]
    return Explanation(cause=cause.value, confidence=confidence.value, evidence=sentences)


_Found = tuple[Cause, Confidence, tuple[str, ...]] | None


def _generator(facts: Evidence) -> _Found:
    if facts.saturated_ratio < rules.GENERATOR_SHARE:
        return None
    if facts.busy_ratio < rules.GENERATOR_SHARE and (facts.lag_ratio < rules.LAG_EXPLAINS or _surely_cold(facts)):
        return None
    return _measured_itself(facts)


def _late_loop(facts: Evidence) -> _Found:
    """A late event loop that could have made the rise, where no instance or demand could have."""
    if facts.saturated_ratio < rules.GENERATOR_SHARE or facts.added or (facts.whole and facts.new_demand):
        return None
    return _measured_itself(facts)


def _surely_cold(facts: Evidence) -> bool:
    """Whether the first requests waited for an instance far longer than the event loop was late."""
    waited_ms = (facts.first_answer_s or 0.0) * 1000
    return facts.at_start and facts.first_is_new and facts.slow_first_answer and facts.lag_before_ms < waited_ms / 2


def _measured_itself(facts: Evidence) -> _Found:
    worst = []
    if facts.cpu_ratio is not None and facts.cpu_ratio >= rules.GENERATOR_CPU_RATIO:
        worst.append(f"a worker used {facts.cpu_ratio:.0%} of a core")
    if facts.loop_lag_ms is not None and facts.loop_lag_ms > rules.GENERATOR_LAG_MS:
        worst.append(f"a worker's event loop was {facts.loop_lag_ms:.0f} ms late")
    sentence = (
        f"the load generator was saturated in {facts.saturated_s} s of the spike's {facts.length_s} s "
        f"({', '.join(worst)}): it may have measured itself; use more workers and run again"
    )
    return Cause.GENERATOR, Confidence.HIGH, (sentence,)


def _errors(facts: Evidence) -> _Found:
    if facts.error_ratio < rules.ERROR_RATIO or facts.error_ratio <= rules.ERROR_FACTOR * facts.error_ratio_outside:
        return None
    if facts.error_chance >= rules.ERROR_CHANCE:
        return None
    sentence = (
        f"{formats.percent(facts.error_ratio)} of the requests inside it failed, "
        f"{formats.percent(facts.error_ratio_outside)} outside"
    )
    return Cause.ERRORS, Confidence.HIGH, (sentence,)


def _cold_start(facts: Evidence) -> _Found:
    if not facts.at_start:
        return None
    if facts.headers:
        return _cold_by_headers(facts)
    if not facts.slow_first_answer or (facts.gauge_before or 0) > 0:
        return None
    answer = f", and nothing was answered before {facts.first_answer_s or 0:.1f} s"
    if facts.gauge_before == 0:
        return Cause.COLD_START, Confidence.MEDIUM, (f"the gauge showed no instance at the start{answer}",)
    if facts.local:
        return None
    return Cause.COLD_START, Confidence.LOW, (f"the spike begins with the load{answer}; instance data is missing",)


def _cold_by_headers(facts: Evidence) -> _Found:
    if not facts.first_is_new or facts.first_ready_s is None:
        return None
    sentence = (
        f"the spike begins with the load and its first instance {facts.first_words} at {facts.first_ready_s:.1f} s"
    )
    sure = Confidence.HIGH if facts.slow_first_answer else Confidence.MEDIUM
    return Cause.COLD_START, sure, (sentence,)


def _not_known(facts: Evidence) -> _Found:
    """Without instance data the causes that need it cannot be told apart."""
    if facts.scaling_known:
        return None
    missing = f"instance data {facts.scaling_missing}: whether instances were added cannot be said"
    if facts.whole and facts.new_demand:
        return Cause.SATURATION_UNSEEN, Confidence.LOW, (facts.demand_words, facts.slower_words, missing)
    if not facts.whole:
        return Cause.UNEXPLAINED, Confidence.LOW, (f"{facts.slower_words}, as when an instance starts", missing)
    demand = "the number of users is not known" if facts.new_demand is None else "the number of users had not changed"
    return Cause.UNEXPLAINED, Confidence.LOW, (facts.slower_words, demand, missing)


def _added(facts: Evidence) -> _Found:
    if not facts.added:
        return None
    if facts.whole and facts.new_demand:
        sure = Confidence.HIGH if facts.headers else Confidence.MEDIUM
        return Cause.SCALE_OUT, sure, (facts.added_words, facts.slower_words, facts.demand_words)
    if facts.whole and facts.new_demand is None:
        return (
            Cause.SCALE_OUT,
            Confidence.LOW,
            (facts.slower_words, facts.added_words, "the number of users is not known"),
        )
    if facts.whole:
        sentence = "nearly all requests slowed, which one new instance does not explain by itself"
        return Cause.ADDED_INSTANCE, Confidence.LOW, (facts.added_words, sentence, facts.demand_words)
    if facts.relieved:
        sentence = "the spike ended when they came: they relieved it and did not make it"
        return Cause.SCALE_OUT, Confidence.LOW, (facts.added_words, sentence, facts.demand_words)
    sure = Confidence.HIGH if facts.headers else Confidence.MEDIUM
    return Cause.ADDED_INSTANCE, sure, (facts.added_words, f"{facts.slower_words}: the others kept their latency")


def _saturated(facts: Evidence) -> _Found:
    if not facts.whole or not facts.new_demand:
        return None
    at_max = facts.max_instances is not None and facts.instances is not None and facts.instances >= facts.max_instances
    sure = Confidence.HIGH if facts.headers else Confidence.MEDIUM
    none_added = (
        f"all {facts.max_instances} instances that max instances allows were serving"
        if at_max
        else "no instance was added"
    )
    return Cause.SATURATION, sure, (facts.demand_words, facts.slower_words, none_added)
