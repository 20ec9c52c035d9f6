"""Send loan applications and check the answers: the user of the bundled scenarios."""

from __future__ import annotations

from locust import task

from loadtest.users.fast_user import FastUser, spread_throughput
from scenarios.loan.application import applications_of


class Borrower(FastUser):
    """Requests one prediction per second, and marks an answer that is not a probability as failed."""

    abstract = True
    requests_per_s = 1.0
    wait_time = spread_throughput(requests_per_s)

    def on_start(self) -> None:
        """Begin this user's own sequence of applications."""
        self.applications = applications_of(self)

    @task
    def predict(self) -> None:
        """Send one application."""
        with self.client.post("/predict", json=next(self.applications), catch_response=True) as answer:
            if answer.status_code == 200 and not 0 <= answer.json()["default_probability"] <= 1:
                answer.failure("default_probability is not between 0 and 1")
