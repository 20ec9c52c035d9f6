"""The test of the original tutorial: two payloads, 300 users at 5 a second, a timeout of 1 s that cuts off p95."""

from __future__ import annotations

import random

from locust import HttpUser, constant_throughput, task

from loadtest.users.shapes import PlannedShape, Ramp

PAYLOADS = [
    {
        "Term": 84,
        "NoEmp": 5,
        "CreateJob": 0,
        "RetainedJob": 5,
        "longitude": -77.9221,
        "latitude": 35.3664,
        "GrAppv": 1500000.0,
        "SBA_Appv": 1275000.0,
        "is_new": True,
        "FranchiseCode": "0",
        "UrbanRural": 1,
        "City": "Other",
        "State": "NC",
        "Bank": "BBCN BANK",
        "BankState": "CA",
        "RevLineCr": "N",
        "naics_first_two": "45",
        "same_state": False,
    },
    {
        "Term": 19,
        "NoEmp": 10,
        "CreateJob": 0,
        "RetainedJob": 10,
        "longitude": -85.0117,
        "latitude": 41.0699,
        "GrAppv": 3500000.0,
        "SBA_Appv": 1750000.0,
        "is_new": False,
        "FranchiseCode": "1",
        "UrbanRural": 2,
        "City": "Other",
        "State": "IN",
        "Bank": "WELLS FARGO BANK NATL ASSOC",
        "BankState": "SD",
        "RevLineCr": "Y",
        "naics_first_two": "81",
        "same_state": True,
    },
]


class TutorialUser(HttpUser):
    """Locust's standard user, as in the tutorial."""

    requests_per_s = 1.0
    wait_time = constant_throughput(requests_per_s)

    @task
    def predict(self) -> None:
        """Send one of the two payloads."""
        self.client.post("/predict", json=random.choice(PAYLOADS), timeout=1)


class Shape(PlannedShape):
    """Reaches 300 users after a minute and holds them for another minute."""

    plan = Ramp(users=300, spawn_rate=5, duration_s=120)
