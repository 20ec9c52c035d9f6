"""Sequential flows with nested task sets, `interrupt` in both forms, pacing, and users that stop themselves."""

from locust import HttpUser, SequentialTaskSet, TaskSet, constant_pacing, tag, task
from locust.exception import RescheduleTask, RescheduleTaskImmediately, StopUser


class Checkout(SequentialTaskSet):
    @task
    def cart(self):
        self.client.get("/cart")

    @task
    class Pay(TaskSet):
        @task(3)
        def card(self):
            self.client.post("/pay", json={"n": 1})

        @task
        def back(self):
            self.interrupt()

    @task
    def done(self):
        self.client.get("/done")
        self.interrupt(reschedule=False)


@tag("browse")
class Browse(TaskSet):
    @tag("deep")
    @task
    def look(self):
        self.client.get("/look")

    @task
    def leave(self):
        self.interrupt()


class Shopper(HttpUser):
    wait_time = constant_pacing(0.1)
    tasks = {Checkout: 1, Browse: 2}


class Visitor(HttpUser):
    """Sends six requests, in spite of being rescheduled, and stops."""

    fixed_count = 2
    wait_time = constant_pacing(0.1)
    seen = 0

    @task
    def visit(self):
        self.seen += 1
        self.client.get("/visit")
        if self.seen == 3:
            raise RescheduleTaskImmediately
        if self.seen == 4:
            raise RescheduleTask
        if self.seen >= 6:
            raise StopUser


class Never(HttpUser):
    weight = 0

    @task
    def never(self):
        self.client.get("/never")
