"""Users that send from their own greenlets, pools and threads, and change their sessions' settings."""

import threading
from concurrent.futures import ThreadPoolExecutor

import gevent
import gevent.ssl
from gevent.pool import Pool
from locust import FastHttpUser, HttpUser, constant, task
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry


def lenient():
    context = gevent.ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = gevent.ssl.CERT_NONE
    return context


class Spawner(HttpUser):
    wait_time = constant(0.1)

    def on_start(self):
        self.pool = ThreadPoolExecutor(2)
        self.client.mount("http://", HTTPAdapter(max_retries=Retry(2, status_forcelist=[503])))
        self.client.hooks["response"].append(lambda response, *_, **__: response)

    @task
    def greenlets(self):
        gevent.joinall([gevent.spawn(self.client.get, f"/part/{i}", name="/part/[i]") for i in range(3)])
        pool = Pool()
        for i in range(2):
            pool.spawn(self.client.get, f"/pool{i}")
        pool.join()

    @task
    def threads(self):
        list(self.pool.map(lambda i: self.client.get(f"/threads{i}"), range(2)))
        thread = threading.Thread(target=self.client.get, args=("/thread",))
        thread.start()
        thread.join()

    @task
    def forgets_the_with_block(self):
        self.client.get("/forgot", catch_response=True)
        self.client.request("GET", "/tuple", timeout=(1.5, 2.5), allow_redirects=False)
        self.client.patch("/large", data=b"x" * 1_000_000)


class Fast(FastHttpUser):
    wait_time = constant(0.1)
    ssl_context_factory = staticmethod(lenient)
    connection_timeout = network_timeout = 5.0
    max_retries, concurrency = 2, 3

    @task
    def ask(self):
        with self.rest("GET", "/rest"):
            pass
        with self.client.rename_request("/renamed"):
            self.client.get("/renamed/1")
