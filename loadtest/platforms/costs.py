"""Define the interface for the cost of a load, before a run and during it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..core.plan import Point
from ..recording.run import PlanPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The load that will be sent.

    Attributes:
        plan: points of the planned users, joined by straight lines.
        duration_s: the length of the load; the users of the last point stay until its end.
        requests_per_user_s: the rate of a user. None if not known: then the platform assumes a rate, and the estimate
            says so.
        service_s: how long an instance works on a request. None if not known: then the platform assumes a time, and the
            estimate says so.
        service_from: the source of `service_s`, which is printed after the value.
        held_s: how long a request counts towards an instance's concurrency, including the time it waits; None means
            `service_s`.
    """

    plan: Sequence[PlanPoint]
    duration_s: float
    requests_per_user_s: float | None = None
    service_s: float | None = None
    service_from: str = "measured"
    held_s: float | None = None

    def sent(self, requests: int, duration_s: float) -> Load:
        """Return this load as if it sent `requests` evenly over `duration_s`."""
        plan = [PlanPoint(at_s=0.0, users=requests / duration_s)]
        return dataclasses.replace(self, plan=plan, duration_s=duration_s, requests_per_user_s=1.0)

    def points(self) -> list[Point]:
        """Return the plan's points, and one more point at infinite time, because the last users stay.

        If there is no plan, the number of users is zero.
        """
        points = [(point.at_s, point.users) for point in self.plan] or [(0.0, 0.0)]
        return [*points, (math.inf, points[-1][1])]


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimated cost of a run.

    Attributes:
        usd: the expected cost.
        most_usd: the cost if all allowed instances served during the whole run.
        requests: the planned number.
        instance_s: the seconds in which instances start or serve, summed over all instances.
        idle_s: the seconds in which instances that min-instances keeps are idle, summed over these instances.
        most_instances: the expected highest number of instances.
        assumptions: the assumptions, as sentences.
    """

    usd: float
    most_usd: float
    requests: float
    instance_s: float
    idle_s: float
    most_instances: int
    assumptions: tuple[str, ...]


class CostModel(Protocol):
    """The interface for pricing loads on one service."""

    def estimate(self, load: Load) -> Estimate:
        """Return the estimated cost of `load`."""

    def projected(self, load: Load, *, elapsed_s: float, requests: int) -> Estimate:
        """Return the estimate for the whole run.

        The number of requests per user is corrected so that it matches the requests that were sent in the first
        `elapsed_s`.
        """
