"""A locustfile as found in the wild: it has its own LoadTestShape."""

from locust import FastHttpUser, LoadTestShape, constant, task


class Visitor(FastHttpUser):
    wait_time = constant(0.1)

    @task
    def hit(self):
        self.client.get("/hit")


class StagesShape(LoadTestShape):
    stages = [
        {"duration": 2, "users": 4, "spawn_rate": 4},
        {"duration": 4, "users": 2, "spawn_rate": 4},
    ]

    def tick(self):
        run_time = self.get_run_time()
        for stage in self.stages:
            if run_time < stage["duration"]:
                return stage["users"], stage["spawn_rate"]
        return None
