"""The listener of a worker's requests ends the test as soon as a given number of requests has been made."""

from locust import FastHttpUser, constant, events, task

MADE = []


@events.init.add_listener
def count(environment, **_kwargs):
    @environment.events.request.add_listener
    def made(name, **_kwargs):
        MADE.append(name)
        if len(MADE) == 15:
            environment.runner.quit()


class Visitor(FastHttpUser):
    wait_time = constant(0.1)

    @task
    def visit(self):
        self.client.get("/visit")
