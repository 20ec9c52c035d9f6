"""The scenario's own client for a protocol that Locust does not know (lines over a socket), measured with events."""

import socket
import time
from urllib.parse import urlsplit

from locust import User, constant, task


class LineClient:
    def __init__(self, host, request_event):
        address = urlsplit(host)
        self.address, self.request_event = (address.hostname, address.port), request_event

    def call(self, name):
        meta = {
            "request_type": "LINE",
            "name": name,
            "response_length": 0,
            "response": None,
            "context": {"who": name},
            "exception": None,
            "start_time": time.time(),
        }
        begin = time.perf_counter()
        try:
            with socket.create_connection(self.address, timeout=2) as connection:
                connection.sendall(f"GET /{name} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
                meta["response"] = connection.recv(4096)
                meta["response_length"] = len(meta["response"])
                if name == "odd":
                    raise ValueError("an odd answer")
        except Exception as error:
            meta["exception"] = error
        meta["response_time"] = (time.perf_counter() - begin) * 1000
        self.request_event.fire(**meta)
        return meta["response"]


class LineUser(User):
    abstract = True

    def __init__(self, environment):
        super().__init__(environment)
        self.client = LineClient(self.host, environment.events.request)


class Caller(LineUser):
    wait_time = constant(0.1)

    @task(3)
    def even(self):
        self.client.call("even")

    @task
    def odd(self):
        self.client.call("odd")
