"""The target is a staging server with a self-signed certificate, and the scenario accepts it on purpose."""

from locust import constant, task
from loadtest import FastUser


class Caller(FastUser):
    insecure = True
    wait_time = constant(0.2)

    @task
    def ask(self):
        self.client.post("/predict", json={})
