"""A shopper that chooses its next step at random (MarkovTaskSet), and one whose tasks are created when it begins."""

from locust import FastHttpUser, HttpUser, MarkovTaskSet, User, constant, task, transition, transitions


class Walk(MarkovTaskSet):
    @transition("item", 3)
    @task
    def index(self):
        self.client.get("/index")

    @transitions({"index": 1, "basket": 2})
    @task
    def item(self):
        self.client.get("/item/7", name="/item")

    @transition("index")
    @task
    def basket(self):
        self.client.post("/basket", json={"n": 1})


class Shopper(HttpUser):
    wait_time = constant(0.1)
    tasks = [Walk]


class Made(FastHttpUser):
    wait_time = constant(0.1)

    def __init__(self, environment):
        super().__init__(environment)
        self.tasks = [self.make(number) for number in range(3)]

    @staticmethod
    def make(number):
        def call(user):
            user.client.get(f"/made/{number}", name=f"made {number}")

        call.__name__ = f"call_{number}"
        return call

    tasks = [lambda user: None]


class Base(User):
    abstract = True
