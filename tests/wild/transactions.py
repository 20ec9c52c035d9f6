"""Sums of requests as separate events, which began in the past and whose names could break a table."""

import time
from contextlib import contextmanager

from locust import FastHttpUser, constant, task

NAMES = ["Überweisung → Konto", "a|b", "x" * 400, "two\nlines", "{id}", "100 %", "<b>", "/users/17/orders/18", ""]


class Buyer(FastHttpUser):
    wait_time = constant(0.1)
    turn = 0

    @contextmanager
    def transaction(self, name):
        begin_s, wall_s = time.perf_counter(), time.time()
        try:
            yield
        finally:
            self.environment.events.request.fire(
                request_type="Transaction",
                name=name,
                start_time=wall_s,
                response_time=round((time.perf_counter() - begin_s) * 1000),
                response_length=0,
                context={**self.context()},
                exception=None,
            )

    def context(self):
        return {"user": self.turn}

    @task
    def buy(self):
        self.turn += 1
        with self.transaction(NAMES[self.turn % len(NAMES)]):
            self.client.get("/one", name="one " + NAMES[self.turn % 2])
            self.client.get(f"/two/{self.turn}", name="two")
