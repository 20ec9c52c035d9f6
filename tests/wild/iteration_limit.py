"""Every user does five rounds and stops. The test ends when no user is left."""

import gevent
from locust import HttpUser, constant, events, task
from locust.exception import StopUser
from locust.runners import WorkerRunner


class Worker(HttpUser):
    wait_time = constant(0.05)

    def on_start(self):
        self.rounds = 0

    @task
    def work(self):
        if self.rounds == 5:
            raise StopUser
        self.rounds += 1
        self.client.get("/work")


@events.spawning_complete.add_listener
def wait_for_the_last(**_kwargs):
    environment = ENVIRONMENTS[0]
    if not isinstance(environment.runner, WorkerRunner):
        gevent.spawn(end, environment)


def end(environment):
    gevent.sleep(1.5)
    while environment.runner.user_count:
        gevent.sleep(0.2)
    environment.process_exit_code = 0
    environment.runner.quit()


ENVIRONMENTS = []


@events.init.add_listener
def remember(environment, **_kwargs):
    ENVIRONMENTS.append(environment)
