"""A client library reports requests from its own threads, from gevent's pool, and with call_later."""

import socket
import time
from urllib.parse import urlsplit

import gevent
from locust import User, constant, task


def exchange(host):
    parts = urlsplit(host)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        connection.sendall(b"GET /threads HTTP/1.0\r\n\r\n")
        data = b""
        while piece := connection.recv(4096):
            data += piece
            if b"\r\n\r\n" in data:
                break
    return len(data)


class Threaded(User):
    wait_time = constant(0.1)

    def tell(self, name, begin_s, size):
        self.environment.events.request.fire(
            request_type="LIB",
            name=name,
            response_time=(time.perf_counter() - begin_s) * 1000,
            response_length=size,
            exception=None,
            context={},
            start_time=time.time(),
        )

    @task
    def by_pool(self):
        begin_s = time.perf_counter()
        size = gevent.get_hub().threadpool.apply(exchange, (self.host,))
        self.tell("pool", begin_s, size)

    @task
    def by_pool_that_tells(self):
        def call():
            begin_s = time.perf_counter()
            self.tell("told in the thread", begin_s, exchange(self.host))

        gevent.get_hub().threadpool.apply(call)

    @task
    def later(self):
        begin_s = time.perf_counter()
        size = exchange(self.host)
        gevent.spawn_later(0.05, self.tell, "later", begin_s, size)
