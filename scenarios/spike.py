"""Idle for a minute, then a burst of 200 users for a minute: shows what a cold start costs the first users."""

from __future__ import annotations

from loadtest.users.shapes import Burst, PlannedShape
from scenarios.loan.borrower import Borrower


class Applicant(Borrower):
    """Requests one prediction per second."""


class Shape(PlannedShape):
    """Starts with 2 users, then reaches 200 within 4 s."""

    plan = Burst(idle_users=2, users=200, spawn_rate=50, duration_s=120, idle_ratio=0.5)
