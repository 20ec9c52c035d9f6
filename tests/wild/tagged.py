"""Tasks with tags, some of them in a nested task set."""

from locust import FastHttpUser, TaskSet, constant, tag, task


class Shop(TaskSet):
    @tag("smoke")
    @task
    def front(self):
        self.client.get("/shop")

    @tag("slow", "write")
    @task
    def buy(self):
        self.client.post("/shop/buy")
        self.interrupt()


class Visitor(FastHttpUser):
    wait_time = constant(0.1)
    tasks = [Shop]

    @tag("smoke", "read")
    @task
    def index(self):
        self.client.get("/index")

    @task
    def untagged(self):
        self.client.get("/untagged")
