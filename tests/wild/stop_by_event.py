"""Ends the test as soon as a number of requests has been made, from the listener of a worker's requests."""

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
