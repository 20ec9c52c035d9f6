"""Writes every request to the scenario's own file, measures a whole transaction, and checks what it has recorded."""

import json
import os
import time
from collections import Counter

from locust import FastHttpUser, constant, events, task

SEEN = Counter()


class Exporter:
    def __init__(self, environment):
        self.environment = environment
        self.file = open(os.environ.get("EXPORT_TO", os.devnull), "a", encoding="utf-8")  # noqa: SIM115, PTH123
        environment.events.request.add_listener(self.write)
        environment.events.quitting.add_listener(lambda **_kwargs: self.file.close())

    def write(self, request_type, name, response_time, response_length, exception, context, **_kwargs):
        SEEN[name] += 1
        line = {"type": request_type, "name": name, "ms": response_time, "ok": exception is None, **(context or {})}
        self.file.write(json.dumps(line) + "\n")


@events.init.add_listener
def export(environment, **_kwargs):
    Exporter(environment)


class Buyer(FastHttpUser):
    wait_time = constant(0.1)

    def context(self):
        return {"buyer": id(self)}

    @task
    def buy(self):
        begin = time.perf_counter()
        with self.environment.events.request.measure("TRANSACTION", "buy"):
            self.client.get("/basket")
            self.client.post("/order", json={"at": begin})
