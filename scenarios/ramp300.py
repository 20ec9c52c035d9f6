"""Ramp to 300 users at 5 a second, then hold: 2 min in all."""

from __future__ import annotations

from loadtest.users.shapes import PlannedShape, Ramp
from scenarios.loan.borrower import Borrower


class Applicant(Borrower):
    """One prediction a second: 300 users are 300 requests/s."""


class Shape(PlannedShape):
    """300 users after a minute, held for another."""

    plan = Ramp(users=300, spawn_rate=5, duration_s=120)
