"""Cost arithmetic against examples worked by hand from the public price list.

https://cloud.google.com/run/pricing, request-based billing, read 2026-08:
tier 1: $0.000024 a vCPU-second, $0.0000025 a GiB-second; tier 2: $0.0000336, $0.0000035; $0.40 a million requests;
free a month: 180,000 vCPU-seconds, 360,000 GiB-seconds, 2 million requests.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from cloudrun.cost import Load, estimate, of_run, prices_from, projected
from cloudrun.metrics import BILLABLE_TIME, REQUEST_COUNT
from recording.errors import UsageError
from recording.plan import users_at
from recording.prices import TIER_1
from recording.rows import METRICS_SCHEMA
from recording.run import Limits, PlanPoint

T0 = datetime(2026, 8, 17, 10, 0, tzinfo=UTC)
T0_NS = round(T0.timestamp()) * 10**9
STEADY = [PlanPoint(at_s=0, users=300), PlanPoint(at_s=100, users=300)]
LIMITS = Limits(cpu=1, memory_mib=512, concurrency=80, max_instances=20)


def series(*points: tuple[str, float, float]) -> pa.Table:
    """Rows of (metric, minute since T0, value), each a minute long."""
    rows = [
        {
            "metric": metric,
            "kind": "DELTA",
            "unit": "1",
            "labels": "{}",
            "start": T0_NS + round(minute * 60e9),
            "end": T0_NS + round((minute + 1) * 60e9),
            "value": value,
        }
        for metric, minute, value in points
    ]
    return pa.Table.from_pylist(rows, METRICS_SCHEMA)


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
    assert (kept.most_instances, kept.instance_s) == (2, 200)


def test_an_unmeasured_service_time_is_called_assumed() -> None:
    cost = estimate(Load(plan=STEADY, duration_s=100), LIMITS)
    assert "24 ms of CPU per request (assumed)" in cost.assumptions
    assert any("region not known" in text for text in cost.assumptions)


def test_concurrency_one_scales_by_concurrency() -> None:
    one = Limits(cpu=8, memory_mib=512, concurrency=1, max_instances=100)
    cost = estimate(Load(plan=STEADY, duration_s=10, service_s=0.024), one)
    assert cost.most_instances == 12  # by concurrency 300 × 0.024 / (0.60 × 1); by CPU 1.5, hence 2


def test_the_free_tier_is_taken_off_only_when_asked() -> None:
    load = Load(plan=STEADY, duration_s=100, service_s=0.024)
    assert estimate(load, LIMITS, free_tier=True).usd == 0.0
    assert "free tier not counted" in estimate(load, LIMITS).assumptions


def test_a_run_that_sends_half_of_what_was_planned_is_projected_to_half() -> None:
    load = Load(plan=STEADY, duration_s=100, service_s=0.024)
    now = projected(load, LIMITS, elapsed_s=50, requests=7_500, region="us-central1")
    assert now.requests == pytest.approx(15_000)
    assert now.most_instances == 6


def test_the_cost_of_a_run_is_what_cloud_run_counted() -> None:
    metrics = series(
        (BILLABLE_TIME, -3, 50.0),  # before the run: not its
        (BILLABLE_TIME, 0, 800.0),
        (BILLABLE_TIME, 1, 1200.0),
        (REQUEST_COUNT, 0, 12_000),
        (REQUEST_COUNT, 1, 24_000),
    )
    cost = of_run(metrics, LIMITS, T0 + timedelta(seconds=10), T0 + timedelta(seconds=100), region="us-central1")
    assert cost is not None
    assert (cost.instance_s, cost.requests) == (2000, 36_000)
    # 2000 × (0.000024 + 0.5 × 0.0000025) + 36,000 × 0.40 / 10⁶ = 0.0505 + 0.0144
    assert cost.usd == pytest.approx(0.0649)
    assert cost.per_1000_usd == pytest.approx(0.0649 / 36)


def test_missing_series_are_not_a_cost_of_zero() -> None:
    only_requests = series((REQUEST_COUNT, 0, 5))
    assert of_run(only_requests, LIMITS, T0, T0 + timedelta(minutes=1)) is None
    only_time = of_run(series((BILLABLE_TIME, 0, 5.0)), LIMITS, T0, T0 + timedelta(minutes=1))
    assert only_time is not None
    assert only_time.per_1000_usd is None


def test_a_price_list_of_ones_own_overrides_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"as_of": "2027-01-01", "vcpu_usd_per_s": 0.00003}))
    prices = prices_from(path, "us-central1")
    assert (prices.as_of, prices.vcpu_usd_per_s) == (date(2027, 1, 1), 0.00003)
    assert prices.memory_usd_per_gib_s == TIER_1.memory_usd_per_gib_s
    path.write_text('{"gpu": 1}')
    with pytest.raises(UsageError, match="vcpu_usd_per_s"):
        prices_from(path, None)


def test_users_lie_on_the_lines_of_the_plan() -> None:
    ramp = [PlanPoint(at_s=0, users=0), PlanPoint(at_s=60, users=300), PlanPoint(at_s=120, users=300)]
    load = Load(plan=ramp, duration_s=500)
    assert [users_at(load.corners(), at) for at in (0, 30, 60, 90, 500)] == [0, 150, 300, 300, 300]
    # a triangle of 60 s and a rectangle of 440 s; by 90.5 s a rectangle of 30.5 s
    assert estimate(load, LIMITS).requests == pytest.approx(300 * 60 / 2 + 300 * 440)
    half = projected(load, LIMITS, elapsed_s=90.5, requests=(300 * 60 // 2 + 9_150) // 2, region=None)
    assert half.requests == pytest.approx((300 * 60 / 2 + 300 * 440) / 2)
    nobody = Load(plan=[], duration_s=120)
    assert projected(nobody, LIMITS, elapsed_s=90, requests=0, region=None).requests == 0
