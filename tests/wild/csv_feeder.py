"""Reads accounts from a file next to the locustfile, gives one to each user, and names requests by a template."""

import csv
import itertools
from pathlib import Path

from locust import FastHttpUser, constant_throughput, task

with (Path(__file__).parent / "people.csv").open(newline="") as file:
    PEOPLE = itertools.cycle(list(csv.DictReader(file)))


class Person(FastHttpUser):
    wait_time = constant_throughput(5)

    def on_start(self):
        self.person = next(PEOPLE)

    @task
    def profile(self):
        self.client.get(f"/people/{self.person['name']}", name="/people/[name]")

    @task
    def search(self):
        self.client.post("/search", json={"city": self.person["city"]}, name=f"/search {self.person['city']}")
