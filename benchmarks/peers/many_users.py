"""Define users that send one request per second: FastUser, or the class that PEER names (`python -m benchmarks.users`).
If EVEN is set, that class sends evenly too (`python -m benchmarks.low_rate`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from locust import FastHttpUser, constant_throughput, task

from loadtest import FastUser, spread_throughput

OURS = os.environ.get("PEER", "FastUser") == "FastUser"
EVEN = OURS or "EVEN" in os.environ
BASE: Any = FastUser if OURS else FastHttpUser
BODY = Path(__file__).with_name("payload.json").read_bytes()


class Caller(BASE):
    wait_time = spread_throughput(1) if EVEN else constant_throughput(1)
    requests_per_s = 1.0

    @task
    def predict(self) -> None:
        self.client.post("/predict", data=BODY)
