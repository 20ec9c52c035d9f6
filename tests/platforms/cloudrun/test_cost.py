"""Check the computation of costs against examples that were worked by hand from the public price list.

https://cloud.google.com/run/pricing, request-based billing, read 2026-08:
tier 1: $0.000024 a vCPU-second, $0.0000025 a GiB-second; tier 2: $0.0000336, $0.0000035; $0.40 a million requests;
free a month: 180,000 vCPU-seconds, 360,000 GiB-seconds, 2 million requests.
"""

from __future__ import annotations

import dataclasses

import pytest

from loadtest.core.plan import users_at
from loadtest.core.prices import TIER_1
from loadtest.platforms.cloudrun.cost import Load, estimate, projected
from loadtest.recording.run import Limits, PlanPoint

STEADY = [PlanPoint(at_s=0, users=300), PlanPoint(at_s=100, users=300)]
LIMITS = Limits(cpu=1, memory_mib=512, concurrency=80, max_instances=20)


def test_300_users_at_24_ms_fill_12_instances() -> None:
    cost = estimate(Load(plan=STEADY, duration_s=100, service_s=0.024), LIMITS, region="us-central1")
    assert cost.most_instances == 12  # 300 × 0.024 / 0.60
    assert cost.requests == 30_000
    assert cost.instance_s == 12 * 100 + 12 * 10  # serving, and 10 s for each start
    # 1320 × (0.000024 + 0.5 × 0.0000025) + 30,000 × 0.40 / 10⁶
    assert cost.usd == pytest.approx(0.03333 + 0.012)
    # 20 instances for 110 s, and the requests
    assert cost.most_usd == pytest.approx(20 * 110 * 0.00002525 + 0.012)


def test_tier_2_is_dearer() -> None:
    cost = estimate(Load(plan=STEADY, duration_s=100, service_s=0.024), LIMITS, region="europe-west2")
    # 1320 × (0.0000336 + 0.5 × 0.0000035) + 0.012
    assert cost.usd == pytest.approx(0.046662 + 0.012)
    assert "tier 2 (europe-west2)" in cost.assumptions[0]
    assert "2026-08-01" in cost.assumptions[0]


def test_the_limits_bound_the_instances() -> None:
    few = estimate(Load(plan=STEADY, duration_s=100, service_s=0.024), Limits(cpu=1, max_instances=5))
    assert few.most_instances == 5
    kept = estimate(Load(plan=[PlanPoint(at_s=0, users=0)], duration_s=100), Limits(min_instances=2, max_instances=5))
    assert (kept.most_instances, kept.instance_s, kept.idle_s) == (2, 0, 200)


def test_instances_that_are_kept_and_not_needed_are_priced_as_idle() -> None:
    one_user = [PlanPoint(at_s=0, users=1), PlanPoint(at_s=600, users=1)]
    limits = Limits(cpu=1, memory_mib=512, min_instances=10, max_instances=20)
    cost = estimate(Load(plan=one_user, duration_s=600, service_s=0.024), limits, region="us-central1")
    # 600 s of one instance that serves, 5,400 s of nine that idle at $0.0000025 × 1.5, and 600 requests
    assert (cost.instance_s, cost.idle_s) == (600, 5_400)
    assert cost.usd == pytest.approx(600 * 0.00002525 + 5_400 * 0.00000375 + 600 * 0.40 / 1e6)


def test_requests_that_wait_hold_a_place_without_using_cpu() -> None:
    """300 requests/s that take 2 s each keep 600 requests in flight: 13 instances at concurrency 80 and 60 % use.

    By their CPU alone, the requests would need 12 instances.
    """
    held = Load(plan=STEADY, duration_s=100, service_s=0.024, held_s=2.0)
    assert estimate(held, LIMITS).most_instances == 13
    assert estimate(held, Limits(cpu=1, concurrency=1, max_instances=20)).most_instances == 20


def test_assumptions_are_marked_as_assumed() -> None:
    cost = estimate(Load(plan=STEADY, duration_s=100), LIMITS)
    assert "24 ms of CPU per request (assumed)" in cost.assumptions
    assert "1 request/s of each user (assumed)" in cost.assumptions
    known = Load(plan=STEADY, duration_s=100, requests_per_user_s=2, service_s=0.001, service_from="measured: run x")
    known_cost = estimate(known, LIMITS)
    assert known_cost.requests == 60_000
    assert "1 ms of CPU per request (measured: run x)" in known_cost.assumptions
    assert not [text for text in known_cost.assumptions if "assumed" in text]
    assert any("region not known" in text for text in cost.assumptions)


def test_concurrency_one_scales_by_concurrency() -> None:
    limits = Limits(cpu=8, memory_mib=512, concurrency=1, max_instances=100)
    cost = estimate(Load(plan=STEADY, duration_s=10, service_s=0.024), limits)
    assert cost.most_instances == 12  # by concurrency 300 × 0.024 / (0.60 × 1); by CPU 1.5, therefore 2


def test_the_free_tier_is_taken_off_only_when_asked() -> None:
    load = Load(plan=STEADY, duration_s=100, service_s=0.024)
    assert estimate(load, LIMITS, prices=dataclasses.replace(TIER_1, free_tier=True)).usd == 0.0
    assert "free tier not counted" in estimate(load, LIMITS).assumptions


def test_a_run_that_sends_half_of_what_was_planned_is_projected_to_half() -> None:
    load = Load(plan=STEADY, duration_s=100, service_s=0.024)
    now = projected(load, LIMITS, elapsed_s=50, requests=7_500, region="us-central1")
    assert now.requests == pytest.approx(15_000)
    assert now.most_instances == 6


def test_users_lie_on_the_lines_of_the_plan() -> None:
    ramp = [PlanPoint(at_s=0, users=0), PlanPoint(at_s=60, users=300), PlanPoint(at_s=120, users=300)]
    load = Load(plan=ramp, duration_s=500)
    assert [users_at(load.points(), at) for at in (0, 30, 60, 90, 500)] == [0, 150, 300, 300, 300]
    # a triangle of 60 s and a rectangle of 440 s; until 90.5 s, the rectangle is 30.5 s long
    assert estimate(load, LIMITS).requests == pytest.approx(300 * 60 / 2 + 300 * 440)
    half = projected(load, LIMITS, elapsed_s=90.5, requests=(300 * 60 // 2 + 9_150) // 2, region=None)
    assert half.requests == pytest.approx((300 * 60 / 2 + 300 * 440) / 2)
    nobody = Load(plan=[], duration_s=120)
    assert projected(nobody, LIMITS, elapsed_s=90, requests=0, region=None).requests == 0
