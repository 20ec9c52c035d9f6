"""Five kinds of clients, two users each, that all call LT_TEST_PATH and give up after LT_TEST_TIMEOUT_S."""

import http.client
import os
import ssl
import time
from urllib.parse import urlsplit

from locust import FastHttpUser, HttpUser, User, constant_pacing, task

from loadtest import FastUser, OpenLoopUser

PATH = os.environ["LT_TEST_PATH"]
TIMEOUT_S = float(os.environ["LT_TEST_TIMEOUT_S"])


class Fast(FastUser):
    fixed_count = 2
    wait_time = constant_pacing(0.2)
    network_timeout = connection_timeout = TIMEOUT_S

    @task
    def call(self):
        self.client.get(f"{PATH}?Fast", name="Fast")


class Open(OpenLoopUser, FastUser):
    fixed_count = 2
    arrivals_per_s = 5
    wait_time = OpenLoopUser.wait_time
    network_timeout = connection_timeout = TIMEOUT_S

    @task
    def call(self):
        self.client.get(f"{PATH}?Open", name="Open")


class Stock(HttpUser):
    fixed_count = 2
    wait_time = constant_pacing(0.2)

    @task
    def call(self):
        self.client.get(f"{PATH}?Stock", name="Stock", timeout=TIMEOUT_S)


class StockFast(FastHttpUser):
    fixed_count = 2
    wait_time = constant_pacing(0.2)
    network_timeout = connection_timeout = TIMEOUT_S

    @task
    def call(self):
        self.client.get(f"{PATH}?StockFast", name="StockFast")


class Custom(User):
    fixed_count = 2
    wait_time = constant_pacing(0.2)

    @task
    def call(self):
        error, size, begin_s = None, 0, time.perf_counter()
        try:
            size = self.ask()
        except Exception as raised:
            error = raised
        self.environment.events.request.fire(
            request_type="CUSTOM",
            name="Custom",
            response_time=(time.perf_counter() - begin_s) * 1000,
            response_length=size,
            exception=error,
        )

    def ask(self):
        parts = urlsplit(self.host)
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=TIMEOUT_S, context=context)
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)
        try:
            connection.request("GET", f"{PATH}?Custom")
            answer = connection.getresponse()
            size = len(answer.read())
            if answer.status >= 400:
                raise RuntimeError(f"HTTP {answer.status}")
            return size
        finally:
            connection.close()
