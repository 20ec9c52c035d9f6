"""Send the same request with Locust's users or with FastUser: PEER selects the class, CHECK enables a check of the
answer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from locust import FastHttpUser, HttpUser, constant, events, task
from locust.env import Environment

from loadtest.users.fast_user import FastUser

BODY = Path(__file__).with_name("payload.json").read_bytes().strip()
PAYLOAD = json.loads(BODY)
PATH = os.environ.get("TARGET_PATH", "/predict")
JSON = {"Content-Type": "application/json"}
BASE: Any = {"HttpUser": HttpUser, "FastHttpUser": FastHttpUser, "FastUser": FastUser}[os.environ["PEER"]]


class Applicant(BASE):
    wait_time = constant(0)
    insecure = True  # a throw-away certificate

    def on_start(self) -> None:
        if isinstance(self, HttpUser):
            self.client.verify = False

    if os.environ.get("CHECK"):

        @task
        def predict(self) -> None:
            with self.client.post(PATH, json=PAYLOAD, catch_response=True) as answer:
                if answer.json()["default_probability"] != 0.5:
                    answer.failure("not the right probability")
    else:

        @task
        def predict(self) -> None:
            self.client.post(PATH, data=BODY, headers=JSON)


@events.init.add_listener
def _record_rows(environment: Environment, **_: object) -> None:
    """Record every request as a worker does: in a row buffer that is encoded as a frame once a second."""
    if not os.environ.get("ROWS"):
        return
    import gevent

    from loadtest.recording.buffer import RowBuffer, attach

    buffer = RowBuffer("benchmark")
    attach(environment, buffer)

    def flush() -> None:
        while True:
            gevent.sleep(1)
            buffer.take()

    gevent.spawn(flush)

    @events.quit.add_listener
    def _say(**_: object) -> None:
        buffer.take()
        print(f"ROWS {buffer.rows_sent}", flush=True)
