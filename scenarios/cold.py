"""No traffic for 10 s, then 50 arrivals/s for 50 s (open loop): shows how long first requests wait for a cold start."""

from __future__ import annotations

from loadtest.users.open_loop import OpenLoopUser
from loadtest.users.shapes import Burst, PlannedShape
from scenarios.loan.borrower import Borrower


class Arrival(OpenLoopUser, Borrower):
    """Starts one arrival per second, on an evenly spread grid."""

    wait_time = OpenLoopUser.wait_time


class Shape(PlannedShape):
    """Starts with 0 users, then 50 at once."""

    plan = Burst(idle_users=0, users=50, spawn_rate=50, duration_s=60, idle_ratio=1 / 6)
