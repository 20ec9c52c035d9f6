"""List prices, checked against worked examples."""

from __future__ import annotations

import dataclasses
from datetime import date

import pytest

from loadtest.core.prices import SECONDS_PER_MONTH, TIER_1, TIER_2, prices_for


def test_london_is_tier_2_and_an_unknown_region_tier_1() -> None:
    assert prices_for("europe-west2") is TIER_2
    assert prices_for("europe-west1") is TIER_1
    assert prices_for("me-west1") is TIER_1
    assert prices_for(None) is TIER_1


def test_an_hour_of_one_busy_instance() -> None:
    # 3600 s × (1 × $0.000024 + 0.5 × $0.0000025) = $0.0909
    assert TIER_1.active_usd(3600, vcpu=1, memory_gib=0.5) == pytest.approx(0.0909)


def test_a_month_of_one_idle_instance() -> None:
    # 2,628,000 s × (1 × $0.0000025 + 0.5 × $0.0000025) = $9.855
    assert TIER_1.idle_usd(SECONDS_PER_MONTH, vcpu=1, memory_gib=0.5) == pytest.approx(9.855)


def test_a_run_is_its_instances_and_its_requests() -> None:
    # 2,000 s × (2 × $0.0000336 + 1 × $0.0000035) + 18,000 × $0.40 / 10⁶ = 0.1414 + 0.0072
    assert TIER_2.run_usd(2000, 18_000, vcpu=2, memory_gib=1) == pytest.approx(0.1486)


def test_the_free_tier_is_taken_off_each_of_the_three_amounts() -> None:
    free = dataclasses.replace(TIER_1, free_tier=True)
    # 190,000 vCPU-s − 180,000 free, 95,000 GiB-s − 360,000, 3 M requests − 2 M: 10,000 × $0.000024 + 0 + $0.40
    assert free.run_usd(190_000, 3_000_000, vcpu=1, memory_gib=0.5) == pytest.approx(0.24 + 0.40)
    # The free tier is subtracted at the prices of tier 1 in every region: 190,000 × $0.0000336 − 180,000 × $0.000024
    dear = dataclasses.replace(TIER_2, free_tier=True)
    assert dear.run_usd(190_000, 0, vcpu=1, memory_gib=0) == pytest.approx(6.384 - 4.32)
    assert "subtracted" in free.describe("us-central1")[1]
    assert TIER_1.describe("us-central1")[1] == "free tier not counted"


def test_prices_of_ones_own_override_what_they_name() -> None:
    mine = prices_for("us-central1", {"as_of": "2027-01-01", "vcpu_usd_per_s": 0.00003})
    assert (mine.as_of, mine.vcpu_usd_per_s) == (date(2027, 1, 1), 0.00003)
    assert mine.memory_usd_per_gib_s == TIER_1.memory_usd_per_gib_s
    assert "list prices of 2027-01-01, tier 1 (us-central1)" in mine.describe("us-central1")[0]


@pytest.mark.parametrize("given", [{"gpu": 1}, {"vcpu_usd_per_s": -1}, {"vcpu_usd_per_s": "much"}, {"as_of": "soon"}])
def test_an_invalid_price_is_refused_with_the_valid_fields(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(given))}.*valid fields: as_of, tier, vcpu_usd_per_s"):
        prices_for(None, given)
