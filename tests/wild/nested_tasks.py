"""Task sets within task sets, tasks as a dictionary with weights, and flows that end early."""

from locust import HttpUser, SequentialTaskSet, TaskSet, between, task
from locust.exception import RescheduleTask


def ping(user):
    user.client.get("/ping")


class Forum(TaskSet):
    wait_time = between(0.01, 0.05)

    def on_start(self):
        self.client.get("/forum")

    def on_stop(self):
        self.client.get("/forum/left")

    @task(5)
    class Threads(SequentialTaskSet):
        @task
        def open_thread(self):
            self.client.get("/forum/thread")
            if self.user.tired():
                raise RescheduleTask

        @task
        def answer(self):
            self.client.post("/forum/answer", {"text": "me too"})

        @task
        def leave(self):
            self.interrupt(reschedule=False)

    @task
    def leave(self):
        self.interrupt()


class Member(HttpUser):
    wait_time = between(0.01, 0.1)
    tasks = {Forum: 2, ping: 1}
    visits = 0

    def tired(self):
        self.visits += 1
        return self.visits % 4 == 0
