"""Each rule for a cause is tested with one part of the evidence changed.

The choice between several causes is tested as well.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reports.model import Rise
from reports.spikes.cause import Cause, Confidence, Finding
from reports.spikes.causes import RULES, name
from reports.spikes.rules_generator import Generator, Machine, decide_generator, decide_machine
from reports.spikes.rules_load import Failures, Load, decide_failures, decide_refused, decide_saturation
from reports.spikes.rules_part import (
    Endpoints,
    Instances,
    Lost,
    Revision,
    decide_endpoint,
    decide_lost,
    decide_revision,
    decide_slow_instance,
)
from reports.spikes.rules_start import Lazy, Start, Young, decide_added, decide_cold_start, decide_lazy
from reports.spikes.rules_time import (
    Dependency,
    Pauses,
    Waking,
    decide_dependency,
    decide_pauses,
    decide_throttled,
)
from reports.spikes.view import Added, Demand, Slowed

WHOLE = Slowed(0.97, 1.0, 4.0, 3.0)
PART = Slowed(0.6, 0.7, 1.1, 1.0)
NEW = Demand(80.0, 50.0, 1.5, opened=False)
OLD = Demand(40.0, 40.0, 1.0, opened=False)
MORE = Demand(60.0, 40.0, 0.9, opened=False)
UNKNOWN = Demand(None, None, None, opened=False)
NONE_ADDED = Added(True, "", 2, 0, (), headers=True)
TWO_ADDED = Added(True, "", 2, 2, (320.0, 330.0), headers=True)
GAUGE_ADDED = Added(True, "", 2, 2, (), headers=False)
NOT_KNOWN = Added(False, "is missing", None, 0, (), headers=False)
START = Start(
    at_start=True,
    headers=True,
    aged=True,
    first_ready_s=4.0,
    first_is_new=True,
    first_answer_s=4.1,
    slow_first_answer=True,
    gauge_before=None,
    local=False,
)
LATER = replace(START, at_start=False)
BARE = replace(START, headers=False, aged=False, first_ready_s=None, first_is_new=False)


def said(found: Finding | None) -> tuple[Cause, Confidence] | None:
    if found is None:
        return None
    assert found.clauses
    assert not any(clause.endswith(".") for clause in found.clauses)
    return found.cause, found.confidence


GENERATOR = Generator(60, 60, 1.0, 0.01, 2.0, 0.97, 20.0, LATER, elsewhere=True)
LATE = replace(GENERATOR, busy_ratio=0.0, cpu_ratio=0.2, loop_lag_ms=300.0, lag_ratio=0.5)


@pytest.mark.parametrize(
    ("evidence", "held"),
    [
        (GENERATOR, True),
        (replace(GENERATOR, saturated_s=5), False),
        (LATE, True),
        (replace(LATE, lag_ratio=0.1), False),
        (replace(LATE, lag_ratio=0.1, elsewhere=False), True),
        (replace(LATE, start=START, lag_before_ms=300.0), False),
        (replace(LATE, start=START, lag_before_ms=3000.0), True),
    ],
)
def test_the_generator_is_named_where_it_was_busy_or_late_enough(evidence: Generator, *, held: bool) -> None:
    assert said(decide_generator(evidence)) == ((Cause.GENERATOR, Confidence.HIGH) if held else None)


def test_more_workers_are_advised_only_where_a_core_was_full() -> None:
    for evidence, cure in ((GENERATOR, "use more workers"), (LATE, "run again on an idle machine")):
        found = decide_generator(evidence)
        assert found is not None
        assert cure in found.clauses[0]


MACHINE = Machine(0.9, 0.0, 0.99, 0.0, 0.0, by_service=False)


@pytest.mark.parametrize(
    ("evidence", "held"),
    [
        (MACHINE, True),
        (replace(MACHINE, outside_ratio=0.8), False),
        (replace(MACHINE, outside_ratio=None), True),
        (replace(MACHINE, inside_ratio=0.2), False),
        (replace(MACHINE, by_service=True), False),
    ],
)
def test_a_busy_machine_is_named_where_it_was_busy_only_then_and_not_by_the_load(
    evidence: Machine, *, held: bool
) -> None:
    assert said(decide_machine(evidence)) == ((Cause.MACHINE, Confidence.HIGH) if held else None)


LOAD = Load(WHOLE, NEW, NONE_ADDED, at_max=False, max_instances=10, refused_ratio=0.0, queued=False, no_baseline="")


@pytest.mark.parametrize(
    ("turned", "expected"),
    [
        ({}, (Cause.SATURATION, Confidence.HIGH)),
        ({"slowed": PART}, None),
        ({"demand": OLD}, None),
        ({"demand": UNKNOWN}, None),
        ({"added": TWO_ADDED}, (Cause.SCALE_OUT, Confidence.HIGH)),
        ({"added": GAUGE_ADDED}, (Cause.SCALE_OUT, Confidence.MEDIUM)),
        ({"added": NOT_KNOWN}, (Cause.SATURATION_UNSEEN, Confidence.LOW)),
        ({"added": GAUGE_ADDED, "demand": Demand(40.0, 40.0, 1.5, opened=False)}, (Cause.SCALE_OUT, Confidence.LOW)),
        ({"added": TWO_ADDED, "demand": UNKNOWN}, (Cause.SCALE_OUT, Confidence.LOW)),
        ({"slowed": PART, "demand": MORE, "queued": True}, (Cause.SATURATION, Confidence.LOW)),
        ({"slowed": PART, "demand": MORE, "queued": True, "added": TWO_ADDED}, (Cause.SCALE_OUT, Confidence.MEDIUM)),
        ({"slowed": PART, "demand": MORE, "added": TWO_ADDED}, None),
        ({"slowed": PART, "demand": OLD, "queued": True, "added": TWO_ADDED}, None),
        ({"demand": UNKNOWN, "no_baseline": "requests queued throughout the run"}, (Cause.SATURATION, Confidence.HIGH)),
        ({"demand": OLD, "full_ratio": 0.97}, (Cause.SATURATION, Confidence.LOW)),
        ({"demand": OLD, "full_ratio": 0.97, "slowed": PART}, None),
    ],
)
def test_saturation_needs_that_all_slowed_at_new_demand_or_without_free_cpu_or_a_queue_as_load_rose(
    turned: dict[str, Any], expected: object
) -> None:
    assert said(decide_saturation(replace(LOAD, **turned))) == expected


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize(("peak", "before"), [(0.0, 40.0), (3.0, 0.0), (0.0, 0.0)])
def test_a_load_of_zero_is_a_number_like_others(peak: float, before: float, *, opened: bool) -> None:
    demand = Demand(peak, before, None, opened=opened)
    assert demand.rising is (peak > before)
    assert f"{peak:.0f}; the median over the 2 min before was {before:.0f}" in demand.clause


@pytest.mark.parametrize(
    ("demand", "rising"),
    [
        (Demand(60.0, 50.0, 0.9, opened=False), True),
        # 10 arrivals/s are 100 in 10 s, with a standard deviation of 10. A factor of 1.2 is two standard deviations.
        # The limit is 15 % plus three standard deviations, which is a factor of 1.45.
        (Demand(12.0, 10.0, 0.9, opened=True), False),
        (Demand(15.0, 10.0, 0.9, opened=True), True),
        (Demand(40.0, 40.0, 1.2, opened=False), True),
        (UNKNOWN, False),
    ],
)
def test_demand_rises_by_more_than_arrivals_scatter(demand: Demand, *, rising: bool) -> None:
    assert demand.rising is rising


@pytest.mark.parametrize(
    ("demand", "new"),
    [
        (Demand(40.0, 1.0, 1.02, opened=False), False),
        (Demand(40.0, 1.0, 1.04, opened=False), True),
        # 12 arrivals/s are 120 in 10 s, with a standard deviation of 9 %, which is added to the limit of 1.1.
        (Demand(12.0, 1.5, 1.15, opened=True), False),
        (Demand(12.0, 1.5, 1.2, opened=True), True),
        (UNKNOWN, None),
    ],
)
def test_demand_is_new_above_what_was_served_and_what_arrivals_scatter(demand: Demand, *, new: bool | None) -> None:
    assert demand.new is new


@pytest.mark.parametrize(
    ("turned", "expected"),
    [
        ({"at_max": True}, (Cause.REFUSED, Confidence.HIGH)),
        ({"at_max": False}, None),
        ({"at_max": True, "refused_ratio": 0.001}, None),
        ({"at_max": None}, (Cause.REFUSED, Confidence.LOW)),
        ({"at_max": None, "demand": OLD}, None),
        ({"at_max": True, "refused_outside_ratio": 0.05}, (Cause.REFUSED, Confidence.HIGH)),
        ({"at_max": True, "refused_outside_ratio": 0.07}, None),  # a service that refuses requests all the time
        ({"at_max": True, "demand": OLD}, (Cause.REFUSED, Confidence.HIGH)),
        ({"at_max": True, "demand": OLD, "refused_ratio": 0.1}, (Cause.REFUSED, Confidence.LOW)),
    ],
)
def test_refusals_are_named_where_max_instances_were_serving(turned: dict[str, Any], expected: object) -> None:
    assert said(decide_refused(replace(LOAD, **({"refused_ratio": 0.3} | turned)))) == expected


def test_a_maximum_of_one_instance_is_said_in_the_singular() -> None:
    assert replace(LOAD, max_instances=1).full == "the one instance that max instances allows was serving"


def test_the_limit_is_named_with_the_refusals() -> None:
    found = decide_refused(replace(LOAD, refused_ratio=0.3, at_max=True))
    assert found is not None
    assert any("10 instances" in clause and "--max-instances" in clause for clause in found.clauses)


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (Failures(0.1, 0.0, 1e-9, (), 0.0), (Cause.ERRORS, Confidence.HIGH)),
        (Failures(0.1, 0.05, 1e-9, (), 0.0), None),
        (Failures(0.1, 0.0, 0.5, (), 0.0), None),
        (Failures(0.9, 0.0, 1e-9, ("90 of 100 requests failed",), 0.9), (Cause.OUTAGE, Confidence.HIGH)),
        (Failures(0.3, 0.0, 1e-9, ("30 of 100 requests failed",), 0.3), (Cause.ERRORS, Confidence.HIGH)),
        (Failures(0.9, 0.0, 1e-9, ("90 failed",), 0.9, symptom=True), (Cause.OUTAGE, Confidence.LOW)),
    ],
)
def test_failures_are_an_outage_where_half_of_the_requests_failed(evidence: Failures, expected: object) -> None:
    assert said(decide_failures(evidence)) == expected


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (START, (Cause.COLD_START, Confidence.HIGH)),
        (LATER, None),
        (replace(START, slow_first_answer=False), (Cause.COLD_START, Confidence.MEDIUM)),
        (replace(START, first_is_new=False), None),
        (replace(START, aged=False), (Cause.COLD_START, Confidence.LOW)),
        (replace(START, aged=False, gauge_before=0.0), (Cause.COLD_START, Confidence.MEDIUM)),
        (replace(START, aged=False, gauge_before=1.0), None),
        (BARE, (Cause.COLD_START, Confidence.LOW)),
        (replace(BARE, gauge_before=0.0), (Cause.COLD_START, Confidence.MEDIUM)),
        (replace(BARE, gauge_before=2.0), None),
        (replace(BARE, local=True), None),
    ],
)
def test_a_cold_start_from_zero_needs_an_instance_that_was_not_there(evidence: Start, expected: object) -> None:
    assert said(decide_cold_start(evidence)) == expected


YOUNG = Young(TWO_ADDED, 20, 0.9, 1.0, 0.4, 0.01, PART, OLD)


@pytest.mark.parametrize(
    ("turned", "expected"),
    [
        ({}, (Cause.ADDED_INSTANCE, Confidence.HIGH)),
        ({"new_ratio": 0.3}, None),
        ({"early_ratio": 0.0}, None),
        ({"others_ratio": 0.9}, None),
        ({"slow_ratio": 0.06, "others_ratio": 0.05}, None),
        ({"others_ratio": None}, (Cause.ADDED_INSTANCE, Confidence.LOW)),
        ({"added": GAUGE_ADDED}, (Cause.ADDED_INSTANCE, Confidence.LOW)),
        ({"added": GAUGE_ADDED, "slowed": WHOLE}, None),
    ],
)
def test_an_added_instance_answered_the_slow_requests_from_the_first_on(
    turned: dict[str, Any], expected: object
) -> None:
    assert said(decide_added(replace(YOUNG, **turned))) == expected


LAZY = Lazy(2, 40, 0.95, 300.0, 1.0, True, 0.9, 0.02)


@pytest.mark.parametrize(
    ("turned", "held"),
    [
        ({}, True),
        ({"ready_before_s": 3.0}, False),
        ({"fresh_ratio": 0.4}, False),
        ({"late_ratio": 0.5}, False),
        ({"later_ratio": 0.5}, False),
        ({"later_ratio": None}, True),
        ({"early_ratio": 0.1}, False),
    ],
)
def test_first_requests_on_a_warm_instance_are_slow_and_later_ones_at_that_load_are_not(
    turned: dict[str, Any], *, held: bool
) -> None:
    assert said(decide_lazy(replace(LAZY, **turned))) == ((Cause.LAZY, Confidence.HIGH) if held else None)


WAKING = Waking(4.0, 9, 0.95, 2, 0.01, named=True)


@pytest.mark.parametrize(
    ("turned", "expected"),
    [
        ({}, (Cause.THROTTLED, Confidence.HIGH)),
        ({"times": 3}, (Cause.THROTTLED, Confidence.MEDIUM)),
        ({"named": False}, (Cause.THROTTLED, Confidence.LOW)),
        ({"inside": 0}, None),
        ({"ratio": 0.4}, None),
        ({"others_ratio": 0.3}, None),
    ],
)
def test_throttled_cpu_slows_the_requests_that_meet_an_idle_instance_alone(
    turned: dict[str, Any], expected: object
) -> None:
    assert said(decide_throttled(replace(WAKING, **turned))) == expected


ENDPOINTS = Endpoints(("POST /a took 4.0 times",), 200, 0.1, True, 100)


@pytest.mark.parametrize(
    ("turned", "expected"),
    [
        ({}, (Cause.ENDPOINT, Confidence.HIGH)),
        ({"all_known": False}, (Cause.ENDPOINT, Confidence.MEDIUM)),
        ({"kept": 4}, None),
        ({"slow": ()}, None),
    ],
)
def test_one_endpoint_is_slow_where_others_in_the_same_seconds_are_not(
    turned: dict[str, Any], expected: object
) -> None:
    assert said(decide_endpoint(replace(ENDPOINTS, **turned))) == expected


INSTANCES = Instances(("i1",), 0.9, 0.95, 3, 0.01, True, 0.0, 40)


@pytest.mark.parametrize(
    ("turned", "expected"),
    [
        ({}, (Cause.SLOW_INSTANCE, Confidence.HIGH)),
        ({"served_before": False}, (Cause.SLOW_INSTANCE, Confidence.MEDIUM)),
        ({"new_ratio": 0.9}, None),
        ({"others_ratio": 0.4}, None),
        ({"share_ratio": 0.4}, None),
        ({"slow": ("i1", "i2", "i3", "i4")}, None),
    ],
)
def test_one_slow_instance_is_an_old_one_among_others_that_kept_their_latency(
    turned: dict[str, Any], expected: object
) -> None:
    assert said(decide_slow_instance(replace(INSTANCES, **turned))) == expected


LOST = Lost("i1", 300.0, 50.0, 4, 5.0, fewer_users=False, more_users=False)


@pytest.mark.parametrize(
    ("turned", "expected"),
    [
        ({}, (Cause.REPLACED, Confidence.HIGH)),
        ({"failed": 0}, (Cause.REPLACED, Confidence.LOW)),
        ({"failed": 0, "more_users": True}, None),
        ({"failed": 0, "replaced_s": None}, None),
        ({"expected": 2.0}, None),
        ({"fewer_users": True}, None),
    ],
)
def test_a_lost_instance_leaves_failures_or_a_replacement(turned: dict[str, Any], expected: object) -> None:
    assert said(decide_lost(replace(LOST, **turned))) == expected


REVISION = Revision("r2", "r1", 300.0, 2, 2, 0.9, 0.05)


@pytest.mark.parametrize(
    ("turned", "expected"),
    [
        ({}, (Cause.REVISION, Confidence.HIGH)),
        ({"name": "", "before": ""}, (Cause.REVISION, Confidence.LOW)),
        ({"young_ratio": 0.1}, None),
        ({"young_ratio": None, "replaced": None}, (Cause.REVISION, Confidence.LOW)),
    ],
)
def test_a_new_revision_is_decided_by_the_gauge_and_the_headers(turned: dict[str, Any], expected: object) -> None:
    assert said(decide_revision(replace(REVISION, **turned))) == expected


PAUSES = Pauses(9, 30.0, 1.0, 2.0, 1, 1.0, 0.1, steady=True)


@pytest.mark.parametrize(
    ("turned", "expected"),
    [
        ({}, (Cause.PAUSES, Confidence.HIGH)),
        ({"times": 5}, (Cause.PAUSES, Confidence.MEDIUM)),
        ({"times": 4}, (Cause.PAUSES, Confidence.LOW)),
        ({"regular_ratio": 0.5}, None),
        ({"steady": False}, None),
        ({"inside": 0}, None),
        ({"covered_ratio": 0.2}, None),
    ],
)
def test_pauses_are_periodic_where_their_intervals_are_even(turned: dict[str, Any], expected: object) -> None:
    found = decide_pauses(replace(PAUSES, **turned))
    assert said(found) == expected
    assert found is None or any("every 30 s" in clause and "2.0 s" in clause for clause in found.clauses)


DEPENDENCY = Dependency(WHOLE, OLD, NONE_ADDED, 60, 1.0, 0.2)


@pytest.mark.parametrize(
    ("turned", "expected"),
    [
        ({}, (Cause.DEPENDENCY, Confidence.MEDIUM)),
        ({"cpu_ratio": None}, (Cause.DEPENDENCY, Confidence.LOW)),
        ({"cpu_ratio": 2.0}, None),
        ({"demand": NEW}, None),
        ({"demand": UNKNOWN}, None),
        ({"slowed": PART}, None),
        ({"slowed": replace(WHOLE, fastest_ratio=1.0)}, None),
    ],
)
def test_a_slow_dependency_slows_even_the_fastest_at_the_same_load(turned: dict[str, Any], expected: object) -> None:
    assert said(decide_dependency(replace(DEPENDENCY, **turned))) == expected


RISE = Rise(
    onset_s=300,
    end_s=360,
    peak_s=310,
    peak_ms=900.0,
    peak_low_ms=800.0,
    peak_high_ms=None,
    baseline_ms=100.0,
    ratio=9.0,
    requests=600,
    extra_waiting_request_s=100.0,
)


def test_overload_is_the_cause_and_the_errors_behind_it_are_named_too() -> None:
    failures = Finding(Cause.OUTAGE, Confidence.HIGH, ("all failed",))
    saturation = Finding(Cause.SATURATION, Confidence.HIGH, ("users rose",))
    found = name(RISE, [saturation, failures], WHOLE, NONE_ADDED, demand_new=True)
    assert (found.cause, [cause.cause for cause in found.also]) == (Cause.SATURATION, [Cause.OUTAGE])
    alone = name(RISE, [failures], WHOLE, NONE_ADDED, demand_new=False)
    assert (alone.cause, alone.also) == (Cause.OUTAGE, [])
    assert alone.evidence == ["All failed.", "The median rose 4.0-fold."]


@pytest.mark.parametrize("added", [NONE_ADDED, NOT_KNOWN])
def test_a_spike_may_be_unexplained_and_missing_instance_data_is_mentioned(added: Added) -> None:
    found = name(RISE, [], PART, added, demand_new=False)
    assert (found.cause, found.confidence) == (Cause.UNEXPLAINED, Confidence.LOW)
    assert any("nstance data is missing" in sentence for sentence in found.evidence) is not added.known
    assert all(sentence.endswith(".") for sentence in found.evidence)


@pytest.mark.parametrize("demand_new", [True, False, None])
@pytest.mark.parametrize("added", [NONE_ADDED, replace(NONE_ADDED, count=2)])
@pytest.mark.parametrize("slowed", [WHOLE, PART])
def test_an_unexplained_spike_says_nothing_untrue(slowed: Slowed, added: Added, *, demand_new: bool | None) -> None:
    # "No new instance" was said although instances were added, and "no new level of demand" although demand was new.
    said = " ".join(name(RISE, [], slowed, added, demand_new=demand_new).evidence)
    assert ("No instance was added" in said) == (added.count == 0)
    assert ("2 instances added" in said) == (added.count == 2)
    assert ("Demand was new" in said, "Demand was not new" in said) == (demand_new is True, demand_new is False)
    assert ("Only a part" in said) == (not slowed.whole)


def test_rules_are_tried_in_the_order_of_the_causes() -> None:
    """A new cause needs a line in `Cause`, at the right place, and a rule. Some causes share a rule."""
    order = [rule.cause for rule in RULES]
    assert order == [cause for cause in Cause if cause in order]
    shared = {Cause.SATURATION, Cause.SATURATION_UNSEEN, Cause.ERRORS, Cause.UNEXPLAINED}
    assert set(order) | shared == set(Cause)
    assert len(order) == len(set(order))
