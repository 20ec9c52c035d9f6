"""Send the same rate with one kind of user: KIND selects it, RATE is the total requests/s, and ROWS_FILE is the
output."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, constant_throughput, events, task
from locust.env import Environment

from loadtest.recording.buffer import RECORDED_KEY, RowBuffer, attach
from loadtest.recording.frames import ABSENT, COLUMNS
from loadtest.users.fast_user import FastUser, spread_throughput
from loadtest.users.open_loop import OpenLoopUser

BODY = Path(__file__).with_name("payload.json").read_bytes()
EMPTY = {**dict.fromkeys(COLUMNS, 0), **ABSENT}
KIND, RATE, USERS = os.environ["KIND"], float(os.environ["RATE"]), int(os.environ["USERS"])


class Mixed(OpenLoopUser, FastUser):
    abstract = True


class Applicant({"open": Mixed, "stock": FastHttpUser}.get(KIND, FastUser)):  # type: ignore[misc]
    arrivals_per_s = RATE / USERS
    max_in_flight = 100_000
    if KIND != "open":
        wait_time = spread_throughput(RATE / USERS) if KIND == "spread" else constant_throughput(RATE / USERS)

    @task
    def predict(self) -> None:
        self.client.post("/predict", data=BODY)


@events.init.add_listener
def _record(environment: Environment, **_: object) -> None:
    buffer = RowBuffer("benchmark")
    attach(environment, buffer)

    def stock(response_time: float, start_time: float, context: dict[str, Any], **_: object) -> None:
        if RECORDED_KEY not in context:
            row = {**EMPTY, "start": int(start_time * 1e9), "latency_us": round(response_time * 1000), "status": 200}
            buffer.add(**row)

    if KIND == "stock":
        environment.events.request.add_listener(stock)

    def flush() -> None:
        with Path(os.environ["ROWS_FILE"]).open("ab") as file:
            file.write(buffer.take() or b"")

    def every_second() -> None:
        while True:
            gevent.sleep(1)
            flush()

    gevent.spawn(every_second)
    environment.events.quit.add_listener(lambda **_: flush())
