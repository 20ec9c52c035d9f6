"""A locustfile as found in the wild: FastHttpUser, SequentialTaskSet, catch_response."""

from locust import FastHttpUser, SequentialTaskSet, constant_pacing, task


class Checkout(SequentialTaskSet):
    @task
    def browse(self):
        self.client.get("/browse")

    @task
    def buy(self):
        with self.client.post("/predict", json={"item": 1}, catch_response=True) as response:
            if "default_probability" not in response.text:
                response.failure("no probability")
            elif response.json()["default_probability"] < 0.9:
                response.failure("too low")

    @task
    def leave(self):
        self.interrupt()


class Shopper(FastHttpUser):
    wait_time = constant_pacing(0.2)
    tasks = [Checkout]
