"""A locustfile as found in the wild: HttpUser, weighted tasks, headers, assertions by hand."""

import random

from locust import HttpUser, between, events, task


@events.test_start.add_listener
def announce(environment, **kwargs):
    print("A new test is starting against", environment.host)


class WebsiteUser(HttpUser):
    wait_time = between(0.05, 0.2)

    def on_start(self):
        self.client.headers.update({"X-Client": "wild"})
        self.client.get("/login")

    @task(3)
    def predict(self):
        self.client.post("/predict", json={"Term": random.randint(1, 300)}, name="predict")

    @task
    def index(self):
        self.client.get(f"/items/{random.randint(1, 1000)}", name="/items/[id]")
