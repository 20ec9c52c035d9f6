"""The master logs in once and sends the token to its workers in the scenario's own message."""

import requests
from locust import HttpUser, between, events, task
from locust.runners import MasterRunner, WorkerRunner

shared = {}


def receive(environment, msg, **_):
    shared["token"] = msg.data


@events.init.add_listener
def listen(environment, **_):
    if not isinstance(environment.runner, MasterRunner):
        environment.runner.register_message("token", receive)


@events.test_start.add_listener
def log_in(environment, **_):
    if not isinstance(environment.runner, WorkerRunner):
        answer = requests.post(f"{environment.host}/login", timeout=10)
        environment.runner.send_message("token", answer.text)


class User(HttpUser):
    wait_time = between(0.05, 0.15)

    @task
    def me(self):
        if shared:
            self.client.get("/me", headers={"X-Session": shared["token"][:40]})
