"""The master sends the test data to its workers in the scenario's own messages, and the workers confirm them."""

from locust import FastHttpUser, constant, events, task
from locust.runners import MasterRunner, WorkerRunner

USERS = []
DONE = []


def take(environment, msg, **_kwargs):
    USERS.extend(msg.data)
    environment.runner.send_message("acknowledge_users", f"Thanks for the {len(msg.data)} users!")


def acknowledged(environment, msg, **_kwargs):
    DONE.append(msg.data)
    print(msg.data)


@events.init.add_listener
def on_locust_init(environment, **_kwargs):
    if not isinstance(environment.runner, MasterRunner):
        environment.runner.register_message("test_users", take)
    if not isinstance(environment.runner, WorkerRunner):
        environment.runner.register_message("acknowledge_users", acknowledged)


@events.test_start.add_listener
def on_test_start(environment, **_kwargs):
    if not isinstance(environment.runner, WorkerRunner):
        users = [f"user-{number}" for number in range(10)]
        chunk = len(users) // environment.runner.worker_count
        for index, worker in enumerate(environment.runner.clients):
            environment.runner.send_message("test_users", users[index * chunk : (index + 1) * chunk], worker)


class Handed(FastHttpUser):
    wait_time = constant(0.1)

    @task
    def ask(self):
        if USERS:
            self.client.get(f"/handed/{USERS[0]}", name="/handed")
