"""One login for all users of a process. Every request sends its token, and the token is renewed after a 401."""

import threading

from locust import HttpUser, between, events, task

TOKENS = {}
LOCK = threading.Lock()


def log_in(client):
    with LOCK:
        if "value" not in TOKENS:
            answer = client.post("/oauth/token", data={"grant_type": "client_credentials"}, name="log in")
            TOKENS["value"] = f"token-{answer.status_code}"
    return TOKENS["value"]


@events.test_stop.add_listener
def forget(**_kwargs):
    TOKENS.clear()


class Customer(HttpUser):
    wait_time = between(0.05, 0.2)

    def on_start(self):
        self.client.headers["Authorization"] = f"Bearer {log_in(self.client)}"

    @task
    def orders(self):
        with self.client.get("/orders", catch_response=True) as answer:
            if answer.status_code == 401:
                TOKENS.clear()
                self.on_start()
                answer.failure("the token had ended")
