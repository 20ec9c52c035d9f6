"""Clients that do not use HTTP: XML-RPC as in Locust's docs, events from another greenlet, odd names and numbers."""

import time
from xmlrpc.client import Fault, ServerProxy

import gevent
from gevent.queue import Queue
from locust import User, constant, task


class Remote(ServerProxy):
    def __init__(self, host, request_event):
        super().__init__(host)
        self._request_event = request_event

    def __getattr__(self, name):
        def call(*arguments):
            begun_s = time.perf_counter()
            failed = None
            try:
                raise Fault(1, f"no method {name}{arguments}")
            except Fault as fault:
                failed = fault
            self._request_event.fire(
                request_type="xmlrpc",
                name=name,
                response_time=(time.perf_counter() - begun_s) * 1000,
                response_length=0,
                exception=failed,
                context={},
            )

        return call


class Broker:
    def __init__(self, environment):
        self.waiting = Queue()
        self.environment = environment
        gevent.spawn(self.loop)

    def loop(self):
        while True:
            topic, sent_s = self.waiting.get()
            gevent.sleep(0.01)
            self.environment.events.request.fire(
                request_type="MQTT",
                name=f"publish {topic}",
                response_time=(time.time() - sent_s) * 1000,
                response_length=-5,
                exception=None,
                context={},
            )


class Mixed(User):
    wait_time = constant(0.1)

    def on_start(self):
        self.broker = Broker(self.environment)
        self.remote = Remote("http://localhost", self.environment.events.request)

    @task
    def publish(self):
        self.broker.waiting.put(("readings", time.time()))

    @task
    def call(self):
        self.remote.get_time(1)

    @task
    def lose_the_connection(self):
        self.environment.events.request.fire(
            request_type="grpc",
            name="/svc/Method",
            response_time=3,
            response_length=None,
            exception=ConnectionError("reset"),
        )

    @task
    def wait_too_long(self):
        self.environment.events.request.fire(
            request_type="Kafka",
            name="größe 名前 " + "n" * 5000,
            response_time=2,
            response_length=float("nan"),
            exception=TimeoutError(),
        )
