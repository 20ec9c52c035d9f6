"""Climb a staircase of 10 steps to 500 users in 5 min: throughput stops growing at the capacity."""

from __future__ import annotations

from loadtest.users.shapes import PlannedShape, Staircase
from scenarios.loan.borrower import Borrower


class Applicant(Borrower):
    """Requests one prediction per second."""


class Shape(PlannedShape):
    """Adds 50 users every half minute."""

    plan = Staircase(users=500, spawn_rate=50, duration_s=300, steps=10)
