"""The master sends every worker its share of the accounts, and each worker replies how many it has taken."""

from locust import FastHttpUser, between, events, task
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

ACCOUNTS = []
TAKEN = []


def share_out(environment, msg, **_):
    ACCOUNTS.extend(msg.data)
    environment.runner.send_message("taken", len(msg.data))


def taken(environment, msg, **_):
    TAKEN.append((msg.node_id, msg.data))


@events.init.add_listener
def register(environment, **_):
    if not isinstance(environment.runner, MasterRunner):
        environment.runner.register_message("accounts", share_out, concurrent=True)
    if not isinstance(environment.runner, WorkerRunner):
        environment.runner.register_message("taken", taken)


@events.test_start.add_listener
def send(environment, **_):
    runner = environment.runner
    accounts = [f"user{number}" for number in range(20)]
    if isinstance(runner, MasterRunner):
        workers = list(runner.clients)
        for index, worker in enumerate(workers):
            runner.send_message("accounts", accounts[index :: len(workers)], client_id=worker)
    elif isinstance(runner, LocalRunner):
        ACCOUNTS.extend(accounts)


class Account(FastHttpUser):
    wait_time = between(0.05, 0.15)

    @task
    def look(self):
        if ACCOUNTS:
            self.client.get(f"/accounts/{ACCOUNTS[-1]}", name="/accounts/[user]", headers={"x-user": ACCOUNTS[0]})
