"""A staging server with a certificate of its own, which the scenario takes on purpose."""

from locust import constant, task
from loadtest import FastUser


class Caller(FastUser):
    insecure = True
    wait_time = constant(0.2)

    @task
    def ask(self):
        self.client.post("/predict", json={})
