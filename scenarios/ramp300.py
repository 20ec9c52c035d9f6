"""Ramp to 300 users at 5 a second, then hold: 2 min in total."""

from __future__ import annotations

from loadtest.users.shapes import PlannedShape, Ramp
from scenarios.loan.borrower import Borrower


class Applicant(Borrower):
    """Requests one prediction per second: 300 users make 300 requests/s."""


class Shape(PlannedShape):
    """Reaches 300 users after a minute and holds them for another minute."""

    plan = Ramp(users=300, spawn_rate=5, duration_s=120)
