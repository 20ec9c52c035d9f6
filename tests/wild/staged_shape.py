"""Stages that each have their own user classes, as in Locust's documentation."""

from locust import FastHttpUser, LoadTestShape, constant, task


class Early(FastHttpUser):
    wait_time = constant(0.1)

    @task
    def call(self):
        self.client.get("/early")


class Late(Early):
    @task
    def call(self):
        self.client.get("/late")


class Stages(LoadTestShape):
    stages = (
        {"duration": 2, "users": 20, "spawn_rate": 20, "user_classes": [Early]},
        {"duration": 60, "users": 30, "spawn_rate": 20, "user_classes": [Early, Late]},
    )

    def tick(self):
        for stage in self.stages:
            if self.get_run_time() < stage["duration"]:
                return stage["users"], stage["spawn_rate"], stage["user_classes"]
        return None
