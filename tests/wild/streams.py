"""Answers that are read in parts: lines of a stream, the time to the first byte as an event, half-read bodies."""

import time

from locust import FastHttpUser, HttpUser, constant, task


class Lines(HttpUser):
    wait_time = constant(0.1)

    @task
    def lines(self):
        begin_s = time.perf_counter()
        with self.client.get("/lines", stream=True, catch_response=True) as answer:
            for line in answer.iter_lines():
                self.environment.events.request.fire(
                    request_type="SSE",
                    name="first line",
                    response_time=(time.perf_counter() - begin_s) * 1000,
                    response_length=len(line),
                    exception=None,
                    context={},
                )
                break

    @task
    def half(self):
        answer = self.client.get("/half-read", stream=True)
        next(answer.iter_content(4), None)
        answer.close()


class FastLines(FastHttpUser):
    wait_time = constant(0.1)

    @task
    def stream(self):
        answer = self.client.get("/fast-stream", stream=True)
        answer.stream.read(3)

    @task
    def lines(self):
        for _ in self.client.iter_lines("/fast-lines"):
            break
