"""Define Cloud Run's list prices in one dated table that a caller may override."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

TIER_2_REGIONS = frozenset(
    {
        "africa-south1",
        "asia-east2",
        "asia-northeast3",
        "asia-southeast1",
        "asia-southeast2",
        "asia-south2",
        "australia-southeast1",
        "australia-southeast2",
        "europe-central2",
        "europe-west2",
        "europe-west3",
        "europe-west6",
        "europe-west10",
        "europe-west12",
        "me-central1",
        "me-central2",
        "northamerica-northeast1",
        "northamerica-northeast2",
        "southamerica-east1",
        "southamerica-west1",
        "us-west2",
        "us-west3",
        "us-west4",
    }
)
"""Regions with the higher price. All other regions are tier 1 (https://cloud.google.com/run/pricing)."""

SECONDS_PER_MONTH = 730 * 3600
"""Hours in a month; Google's own price sheets use 730."""

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Prices:
    """The list prices of request-based billing in US dollars, without discounts, taxes and network.

    Attributes:
        as_of: when the table was read; a report prints it beside every amount.
        tier: 1 or 2.
        vcpu_usd_per_s: a vCPU while its instance starts or serves.
        memory_usd_per_gib_s: a GiB while its instance starts or serves.
        idle_vcpu_usd_per_s: a vCPU of an idle instance kept by min-instances.
        idle_memory_usd_per_gib_s: a GiB of an idle instance kept by min-instances.
        requests_usd_per_million: the price of a million requests.
        free_vcpu_s: free vCPU-seconds a month.
        free_gib_s: free GiB-seconds a month.
        free_requests: free requests a month.
        free_tier: whether the free amounts are subtracted, on the assumption that nothing else uses them.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    as_of: date
    tier: int
    vcpu_usd_per_s: Amount
    memory_usd_per_gib_s: Amount
    idle_vcpu_usd_per_s: Amount
    idle_memory_usd_per_gib_s: Amount
    requests_usd_per_million: Amount = 0.40
    free_vcpu_s: Amount = 180_000.0
    free_gib_s: Amount = 360_000.0
    free_requests: Amount = 2_000_000.0
    free_tier: bool = False

    def run_usd(
        self, instance_s: float, requests: float, *, vcpu: float, memory_gib: float, idle_s: float = 0.0
    ) -> float:
        """Return the price of a run: of its requests, and of the time in which instances start, serve or are idle.

        Idle instances are billed only if min-instances keeps them. The price does not include network, builds, logs, or
        the cost of min-instances before and after the run.
        """
        busy = (
            (instance_s * vcpu, self.vcpu_usd_per_s, self.free_vcpu_s, TIER_1.vcpu_usd_per_s),
            (instance_s * memory_gib, self.memory_usd_per_gib_s, self.free_gib_s, TIER_1.memory_usd_per_gib_s),
            (requests, self.requests_usd_per_million / 1e6, self.free_requests, TIER_1.requests_usd_per_million / 1e6),
        )
        usd = self.idle_usd(idle_s, vcpu=vcpu, memory_gib=memory_gib)
        for (
            amount,
            price,
            free,
            free_price,
        ) in busy:  # the free amounts are subtracted as a discount, at the prices of tier 1
            usd += max(0.0, amount * price - (free * free_price if self.free_tier else 0.0))
        return usd

    def active_usd(self, instance_s: float, *, vcpu: float, memory_gib: float) -> float:
        """Return the price of `instance_s` seconds of serving instances, without the free tier and without requests."""
        return instance_s * (vcpu * self.vcpu_usd_per_s + memory_gib * self.memory_usd_per_gib_s)

    def idle_usd(self, instance_s: float, *, vcpu: float, memory_gib: float) -> float:
        """Return the price of `instance_s` seconds of idle instances that min-instances keeps."""
        return instance_s * (vcpu * self.idle_vcpu_usd_per_s + memory_gib * self.idle_memory_usd_per_gib_s)

    def describe(self, region: str | None) -> tuple[str, str]:
        """Return the assumptions behind every amount: which price list is used, and what is free."""
        where = region or "region not known"
        return (
            f"list prices of {self.as_of.isoformat()}, tier {self.tier} ({where}), request-based billing",
            "the monthly free tier is subtracted, on the assumption that nothing else uses it"
            if self.free_tier
            else "free tier not counted",
        )


TIER_1 = Prices(
    as_of=date(2026, 8, 1),
    tier=1,
    vcpu_usd_per_s=0.000024,
    memory_usd_per_gib_s=0.0000025,
    idle_vcpu_usd_per_s=0.0000025,
    idle_memory_usd_per_gib_s=0.0000025,
)

TIER_2 = Prices(
    as_of=date(2026, 8, 1),
    tier=2,
    vcpu_usd_per_s=0.0000336,
    memory_usd_per_gib_s=0.0000035,
    idle_vcpu_usd_per_s=0.0000035,
    idle_memory_usd_per_gib_s=0.0000035,
)


def prices_for(region: str | None, given: Mapping[str, object] | None = None) -> Prices:
    """Return the list prices of `region` (tier 1 if it is unknown), with the fields that `given` overrides.

    Raises:
        ValueError: `given` has an unknown field, or a value is not a price.
    """
    listed = TIER_2 if region in TIER_2_REGIONS else TIER_1
    if not given:
        return listed
    try:
        return TypeAdapter(Prices).validate_python(dataclasses.asdict(listed) | dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        known = ", ".join(field.name for field in dataclasses.fields(Prices))
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}; valid fields: {known}") from error
