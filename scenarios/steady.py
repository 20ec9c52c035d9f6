"""Hold 50 users for 5 min: the baseline for comparisons."""

from __future__ import annotations

from loadtest.users.shapes import PlannedShape, Ramp
from scenarios.loan.borrower import Borrower


class Applicant(Borrower):
    """One prediction a second."""


class Shape(PlannedShape):
    """50 users at once."""

    plan = Ramp(users=50, spawn_rate=50, duration_s=300)
