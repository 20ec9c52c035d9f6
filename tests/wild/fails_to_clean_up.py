"""A listener that raises an error when the test has ended, in the master and in its workers."""

from locust import HttpUser, constant, events, task


@events.test_stop.add_listener
def clean_up(**_):
    raise RuntimeError("cannot delete the tenant")


class User(HttpUser):
    wait_time = constant(0.1)

    @task
    def ask(self):
        self.client.get("/asked")
