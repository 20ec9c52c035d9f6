"""Ramp to 300 arrivals/s, then hold: 2 min in total. Open loop: the rate does not depend on the service."""

from __future__ import annotations

from loadtest.users.open_loop import OpenLoopUser
from loadtest.users.shapes import PlannedShape, Ramp
from scenarios.loan.borrower import Borrower


class Arrival(OpenLoopUser, Borrower):
    """Starts one arrival per second on average; the arrivals of all users together are a Poisson process."""

    poisson = True
    wait_time = OpenLoopUser.wait_time


class Shape(PlannedShape):
    """Reaches 300 arrivals/s after a minute and holds them for another minute."""

    plan = Ramp(users=300, spawn_rate=5, duration_s=120)
