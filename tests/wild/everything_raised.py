"""Tasks that end in every possible way. Requests that were sent before the end are still counted."""

import random

from locust import FastHttpUser, HttpUser, TaskSet, constant, task
from locust.exception import CatchResponseError, InterruptTaskSet, RescheduleTask, ResponseError


class Odd(HttpUser):
    wait_time = constant(0.05)

    @task
    def asserts(self):
        self.client.get("/asserts")
        assert random.random() > 2, "never true"

    @task
    def raises_in_the_block(self):
        with self.client.get("/in-block", catch_response=True) as answer:
            raise ResponseError(f"not what was asked for: {len(answer.text)}")

    @task
    def raises_another_in_the_block(self):
        with self.client.get("/other-in-block", catch_response=True):
            raise KeyError("id")

    @task
    def marks_and_raises(self):
        with self.client.get("/marked", catch_response=True) as answer:
            answer.failure(CatchResponseError("marked"))
            raise RescheduleTask

    @task
    def interrupts(self):
        self.client.get("/interrupts")
        raise InterruptTaskSet


class Fast(FastHttpUser):
    wait_time = constant(0.05)

    @task
    class Set(TaskSet):
        @task
        def marks_twice(self):
            with self.client.get("/twice", catch_response=True) as answer:
                answer.failure("first")
                answer.success()

        @task
        def leaves(self):
            self.client.get("/leaves")
            self.interrupt()

        @task
        def returns_in_the_block(self):
            with self.client.get("/returned", catch_response=True) as answer:
                if answer.status_code == 200:
                    return
                answer.failure("never")
