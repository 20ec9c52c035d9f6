"""Connections shared between users of a class, cookies, authentication, every method, redirects not followed."""

from geventhttpclient.url import URL
from geventhttpclient.useragent import UserAgent
from locust import FastHttpUser, HttpUser, constant, task
from locust.contrib.fasthttp import FastHttpSession
from requests.auth import HTTPBasicAuth


class Shared(FastHttpUser):
    wait_time = constant(0.1)
    concurrency = 2
    default_headers = {"x-team": "a"}
    client_pool = None

    @task
    def methods(self):
        self.client.put("/put", data="text")
        self.client.patch("/patch", json={"a": None})
        self.client.delete("/delete")
        self.client.head("/head")
        self.client.options("/options")

    @task
    def another(self):
        session = FastHttpSession(
            base_url=self.host,
            request_event=self.environment.events.request,
            user=self,
            insecure=True,
            client_pool=None,
        )
        session.get("/another")
        answer = UserAgent().urlopen(str(URL(self.host + "/untold")))
        answer.read()


class Stateful(HttpUser):
    wait_time = constant(0.1)

    def on_start(self):
        self.client.auth = HTTPBasicAuth("user", "pass")
        self.client.cookies.set("session", "1")
        self.client.headers["accept"] = "application/json"
        self.client.verify = False

    @task
    def whole_url(self):
        self.client.get(f"{self.host}/whole?x=1")
        self.client.request("REPORT", "/unusual", name="unusual")
        self.client.get("/bytes", data=b"body")
