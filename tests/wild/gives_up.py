"""Users stop if they cannot log in. A few users log in, and the run ends by itself when they have done their work."""

import itertools

from locust import FastHttpUser, constant, events, task
from locust.exception import StopUser

NUMBERS = itertools.count()


class LogsIn(FastHttpUser):
    wait_time = constant(0.1)

    def on_start(self):
        self.number = next(NUMBERS)
        answer = self.client.post("/login", json={"user": self.number})
        if self.number % 2:
            raise StopUser
        self.token = answer.json()["default_probability"]
        self.done = 0

    @task
    def work(self):
        self.client.get("/work", headers={"authorization": f"Bearer {self.token}"})
        self.done += 1
        if self.done == 5:
            self.environment.events.request.fire(
                request_type="NOTE", name="done", response_time=0, response_length=0, exception=None, context={}
            )
            self.stop()


@events.user_error.add_listener
def noted(user_instance, exception, tb, **_):
    print("user error", type(exception).__name__)
