"""Hold Cloud Run's list prices as one dated table that a caller may override."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

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
        "me-west1",
        "northamerica-northeast1",
        "northamerica-northeast2",
        "southamerica-east1",
        "southamerica-west1",
        "us-west2",
        "us-west3",
        "us-west4",
    }
)
"""Regions with the higher price; every other region is tier 1 (https://cloud.google.com/run/pricing)."""

SECONDS_PER_MONTH = 730 * 3600
"""Google's own price sheets count 730 hours a month."""


@dataclass(frozen=True, slots=True)
class Prices:
    """List prices in US dollars of request-based billing, before discounts, taxes and network.

    Attributes:
        as_of: when the table was read; a report prints it beside every amount.
        tier: 1 or 2.
        vcpu_usd_per_s: a vCPU while its instance starts or serves.
        memory_usd_per_gib_s: a GiB while its instance starts or serves.
        idle_vcpu_usd_per_s: a vCPU of an idle instance kept by min-instances.
        idle_memory_usd_per_gib_s: a GiB of such an instance.
        requests_usd_per_million: for each million requests.
        free_vcpu_s: free vCPU-seconds a month; not taken off unless a caller asks for it.
        free_gib_s: free GiB-seconds a month.
        free_requests: free requests a month.
    """

    as_of: date
    tier: int
    vcpu_usd_per_s: float
    memory_usd_per_gib_s: float
    idle_vcpu_usd_per_s: float
    idle_memory_usd_per_gib_s: float
    requests_usd_per_million: float = 0.40
    free_vcpu_s: float = 180_000.0
    free_gib_s: float = 360_000.0
    free_requests: float = 2_000_000.0

    def active_usd(self, instance_s: float, *, vcpu: float, memory_gib: float) -> float:
        """Return the price of `instance_s` seconds of instances that start or serve; requests come on top."""
        return instance_s * (vcpu * self.vcpu_usd_per_s + memory_gib * self.memory_usd_per_gib_s)

    def idle_usd(self, instance_s: float, *, vcpu: float, memory_gib: float) -> float:
        """Return the price of `instance_s` seconds of idle instances that min-instances keeps."""
        return instance_s * (vcpu * self.idle_vcpu_usd_per_s + memory_gib * self.idle_memory_usd_per_gib_s)

    def requests_usd(self, requests: float) -> float:
        """Return the price of the requests themselves."""
        return requests / 1e6 * self.requests_usd_per_million


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


def prices_for(region: str | None) -> Prices:
    """Return the list prices of `region`; tier 1 when the region is not known (say so where it is printed)."""
    return TIER_2 if region in TIER_2_REGIONS else TIER_1
