"""Hold 50 users for 5 min: the baseline for comparisons."""

from __future__ import annotations

from loadtest.users.shapes import PlannedShape, Ramp
from scenarios.loan.borrower import Borrower


class Applicant(Borrower):
    """Requests one prediction per second."""


class Shape(PlannedShape):
    """Starts 50 users at once."""

    plan = Ramp(users=50, spawn_rate=50, duration_s=300)
