"""Every way to wait: a method, a lambda, a number made anew, time.sleep, self.wait(), gevent, and no wait at all."""

import random
import time

import gevent
from locust import FastHttpUser, HttpUser, SequentialTaskSet, TaskSet, between, task


class ByMethod(FastHttpUser):
    fixed_count = 1

    def wait_time(self):
        self.waited = getattr(self, "waited", 0) + 1
        return 0.05 * (self.waited % 3)

    @task
    def ask(self):
        self.client.get("/method")


class ByLambda(HttpUser):
    fixed_count = 1
    wait_time = lambda self: random.choice([0, 0.1])  # noqa: E731

    @task
    class Steps(SequentialTaskSet):
        wait_time = between(0.01, 0.02)

        @task
        def one(self):
            self.client.get("/one")
            time.sleep(0.05)

        @task
        def two(self):
            self.client.get("/two")
            self.wait()

        @task
        def three(self):
            gevent.sleep(0.02)
            self.client.get("/three")


class Quick(FastHttpUser):
    """Users that do not wait at all, and users with their own pause."""

    fixed_count = 1

    @task
    class Set(TaskSet):
        @task
        def ask(self):
            self.user.client.get("/quick")
            self._sleep(0.1)
