"""The order of the causes, one fact turned at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from reports.spikes.evidence import Evidence

from reports.spikes.causes import Cause, Confidence, decide

QUIET = Evidence(
    length_s=60,
    at_start=False,
    saturated_s=0,
    saturated_ratio=0.0,
    busy_ratio=0.0,
    lag_ratio=0.01,
    lag_before_ms=2.0,
    cpu_ratio=0.2,
    loop_lag_ms=2.0,
    error_ratio=0.0,
    error_ratio_outside=0.0,
    error_chance=1.0,
    slower_ratio=0.97,
    whole=True,
    users=40.0,
    demand_ratio=1.0,
    load_ratio=1.0,
    new_demand=False,
    headers=True,
    instances=2,
    added=0,
    added_at_s=(),
    relieved=False,
    first_ready_s=-100.0,
    first_is_new=False,
    first_words="was ready",
    first_answer_s=0.1,
    slow_first_answer=False,
    gauge_before=None,
    scaling_known=True,
    scaling_missing="",
    max_instances=10,
    local=False,
    p50_ratio=2.0,
)
"""A spike of a minute on two known instances that nothing explains."""

GENERATOR = {"saturated_s": 60, "saturated_ratio": 1.0, "busy_ratio": 1.0, "cpu_ratio": 0.97}
LATE = {"saturated_s": 60, "saturated_ratio": 1.0, "loop_lag_ms": 300.0, "lag_ratio": 0.5}
ERRORS = {"error_ratio": 0.1, "error_chance": 1e-9}
START = {"at_start": True, "first_ready_s": 4.0, "first_is_new": True, "slow_first_answer": True}
ADDED = {"added": 2, "added_at_s": (320.0, 330.0)}
DEMAND = {"new_demand": True, "demand_ratio": 1.6, "load_ratio": 1.5}
PART = {"whole": False, "slower_ratio": 0.6}
UNSEEN = {"headers": False, "scaling_known": False, "scaling_missing": "is missing", "first_ready_s": None}


@pytest.mark.parametrize(
    ("turned", "cause", "confidence"),
    [
        ({}, Cause.UNEXPLAINED, Confidence.LOW),
        (PART, Cause.UNEXPLAINED, Confidence.LOW),
        (DEMAND, Cause.SATURATION, Confidence.HIGH),
        (DEMAND | ADDED, Cause.SCALE_OUT, Confidence.HIGH),
        (ADDED | PART, Cause.ADDED_INSTANCE, Confidence.HIGH),
        (DEMAND | ADDED | PART, Cause.ADDED_INSTANCE, Confidence.HIGH),
        (ADDED, Cause.ADDED_INSTANCE, Confidence.LOW),
        (ADDED | PART | {"relieved": True}, Cause.SCALE_OUT, Confidence.LOW),
        (DEMAND | ADDED | START, Cause.COLD_START, Confidence.HIGH),
        (DEMAND | ADDED | START | ERRORS, Cause.ERRORS, Confidence.HIGH),
        (DEMAND | ADDED | START | ERRORS | GENERATOR, Cause.GENERATOR, Confidence.HIGH),
        (LATE | DEMAND | ADDED, Cause.GENERATOR, Confidence.HIGH),
        (LATE | {"lag_ratio": 0.1}, Cause.GENERATOR, Confidence.HIGH),
        (LATE | {"lag_ratio": 0.1} | DEMAND | ADDED, Cause.SCALE_OUT, Confidence.HIGH),
        (LATE | START | {"first_answer_s": 4.0, "lag_before_ms": 300.0}, Cause.COLD_START, Confidence.HIGH),
        (LATE | START | {"first_answer_s": 4.0, "lag_before_ms": 3000.0}, Cause.GENERATOR, Confidence.HIGH),
        (START | {"slow_first_answer": False}, Cause.COLD_START, Confidence.MEDIUM),
        (START | {"first_is_new": False}, Cause.UNEXPLAINED, Confidence.LOW),
        (DEMAND | {"headers": False}, Cause.SATURATION, Confidence.MEDIUM),
        (DEMAND | ADDED | {"headers": False}, Cause.SCALE_OUT, Confidence.MEDIUM),
        (DEMAND | UNSEEN, Cause.SATURATION_UNSEEN, Confidence.LOW),
        (UNSEEN, Cause.UNEXPLAINED, Confidence.LOW),
        (PART | UNSEEN, Cause.UNEXPLAINED, Confidence.LOW),
        (UNSEEN | {"at_start": True, "slow_first_answer": True}, Cause.COLD_START, Confidence.LOW),
        (
            UNSEEN | {"at_start": True, "slow_first_answer": True, "gauge_before": 0.0},
            Cause.COLD_START,
            Confidence.MEDIUM,
        ),
        (
            UNSEEN | {"at_start": True, "slow_first_answer": True, "gauge_before": 2.0},
            Cause.UNEXPLAINED,
            Confidence.LOW,
        ),
        (
            UNSEEN | {"at_start": True, "slow_first_answer": True, "local": True},
            Cause.UNEXPLAINED,
            Confidence.LOW,
        ),
        ({"error_ratio": 0.1, "error_ratio_outside": 0.05, "error_chance": 1e-9}, Cause.UNEXPLAINED, Confidence.LOW),
        ({"saturated_s": 5, "saturated_ratio": 0.08}, Cause.UNEXPLAINED, Confidence.LOW),
    ],
)
def test_the_first_rule_that_holds_names_the_cause(
    turned: dict[str, Any], cause: Cause, confidence: Confidence
) -> None:
    found = decide(replace(QUIET, **turned))
    assert (found.cause, found.confidence) == (cause, confidence)
    assert found.evidence
    assert all(sentence.endswith(".") for sentence in found.evidence)


def test_evidence_carries_the_numbers() -> None:
    text = " ".join(decide(replace(QUIET, **(DEMAND | ADDED))).evidence)
    for part in ("sers rose to 40", "before was 25", "1.50 ×", "97.0 %", "2 instances added", "320 s"):
        assert part in text


def test_missing_instance_data_is_said_and_never_taken_for_no_scale_out() -> None:
    found = decide(replace(QUIET, **(DEMAND | UNSEEN)))
    assert "without scale-out" not in found.cause
    assert any("Instance data is missing" in sentence for sentence in found.evidence)
