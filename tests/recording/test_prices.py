"""List prices, checked against worked examples."""

from __future__ import annotations

import pytest

from recording.prices import SECONDS_PER_MONTH, TIER_1, TIER_2, prices_for


def test_london_is_tier_2_and_an_unknown_region_tier_1() -> None:
    assert prices_for("europe-west2") is TIER_2
    assert prices_for("europe-west1") is TIER_1
    assert prices_for(None) is TIER_1


def test_an_hour_of_one_busy_instance() -> None:
    # 3600 s × (1 × $0.000024 + 0.5 × $0.0000025) = $0.0909
    assert TIER_1.active_usd(3600, vcpu=1, memory_gib=0.5) == pytest.approx(0.0909)


def test_a_month_of_one_idle_instance() -> None:
    # 2,628,000 s × (1 × $0.0000025 + 0.5 × $0.0000025) = $9.855
    assert TIER_1.idle_usd(SECONDS_PER_MONTH, vcpu=1, memory_gib=0.5) == pytest.approx(9.855)


def test_requests_are_priced_by_the_million() -> None:
    assert TIER_2.requests_usd(18_000) == pytest.approx(0.0072)
