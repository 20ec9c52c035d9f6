"""The number of users changes during the run: the scenario sets it on the master, and its user classes continue."""

import gevent
from locust import FastHttpUser, constant, events, task
from locust.runners import WorkerRunner

STATE = {"spawned": 0, "stopped": 0}


@events.spawning_complete.add_listener
def count(user_count, **_):
    STATE["spawned"] = user_count


class Counted(FastHttpUser):
    wait_time = constant(0.1)
    total = 0

    def on_start(self):
        type(self).total += 1
        self.number = type(self).total
        with self.client.get("/start", catch_response=True) as answer:
            answer.success()

    def on_stop(self):
        STATE["stopped"] += 1
        self.client.get("/stop")

    @task
    def work(self):
        self.client.get("/work")


@events.test_start.add_listener
def change(environment, **_):
    if isinstance(environment.runner, WorkerRunner):
        return

    def later():
        gevent.sleep(1.5)
        environment.runner.start(2, 10)

    gevent.spawn(later)
