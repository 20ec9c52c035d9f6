"""Hold 100 users for an hour: leaks, drift and rare events."""

from __future__ import annotations

from loadtest.users.shapes import PlannedShape, Ramp
from scenarios.loan.borrower import Borrower


class Applicant(Borrower):
    """Requests one prediction per second."""


class Shape(PlannedShape):
    """Reaches 100 users after 20 s."""

    plan = Ramp(users=100, spawn_rate=5, duration_s=3600)
