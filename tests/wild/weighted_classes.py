"""Three times as many readers as writers, and one administrator for any number of users."""

from locust import FastHttpUser, HttpUser, constant, task


class Site(FastHttpUser):
    abstract = True
    wait_time = constant(0.1)


class Reader(Site):
    weight = 3

    @task
    def read(self):
        self.client.get("/read")


class Writer(Site):
    weight = 1

    @task
    def write(self):
        self.client.put("/write", json={"a": 1})


class Administrator(HttpUser):
    fixed_count = 1
    wait_time = constant(0.1)

    @task
    def administer(self):
        self.client.delete("/admin")
