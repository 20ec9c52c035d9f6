"""Many user classes, made by a function and by inheritance. A run picks some of them."""

import os

from locust import HttpUser, constant, task


class Base(HttpUser):
    abstract = True
    wait_time = constant(0.1)
    path = "/"

    @task
    def call(self):
        self.client.get(self.path)


def made(name, path):
    return type(name, (Base,), {"path": path, "__module__": __name__})


Alpha = made("Alpha", "/alpha")
Beta = made("Beta", "/beta")


class Gamma(Beta):
    path = "/gamma"


if os.environ.get("WITH_DELTA"):
    Delta = made("Delta", "/delta")
