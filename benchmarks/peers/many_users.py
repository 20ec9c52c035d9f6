"""Users that ask once a second each, spread evenly: the plan of `python -m benchmarks.users`."""

from __future__ import annotations

from pathlib import Path

from locust import task

from loadtest import FastUser, spread_throughput

BODY = Path(__file__).with_name("payload.json").read_bytes()


class Caller(FastUser):
    wait_time = spread_throughput(1)
    requests_per_s = 1.0

    @task
    def predict(self) -> None:
        self.client.post("/predict", data=BODY)
