"""Ramp to 300 arrivals/s, then hold: 2 min in all. Open loop: the rate does not depend on the service."""

from __future__ import annotations

from loadtest.users.open_loop import OpenLoopUser
from loadtest.users.shapes import PlannedShape, Ramp
from scenarios.loan.borrower import Borrower


class Arrival(OpenLoopUser, Borrower):
    """One arrival a second; together they are a Poisson process."""

    poisson = True
    wait_time = OpenLoopUser.wait_time


class Shape(PlannedShape):
    """300 arrivals/s after a minute, held for another."""

    plan = Ramp(users=300, spawn_rate=5, duration_s=120)
