"""Provide the service to tests as an ASGI application and as a process."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pandas as pd  # noqa: F401 # before CatBoost, which otherwise starts without it (target_service/lean.py)
import pytest

from target_service.app import create_instance
from target_service.model import Model, load_model

ROOT = Path(__file__).resolve().parents[2]

Client = Callable[..., httpx.Response]


@pytest.fixture(scope="session")
def model() -> Model:
    return load_model()


@pytest.fixture
def call(model: Model) -> Client:
    """A function that sends one request to a new instance, without a network."""
    import anyio

    instance = create_instance(model)

    async def send(method: str, path: str, **options: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(instance), base_url="http://service") as client:
            return await client.request(method, path, **options)

    return lambda method, path, **options: anyio.run(lambda: send(method, path, **options))


class ServiceProcess:
    """`python -m target_service`, or another command, on a port that the system chooses.

    `{port}` stands for the port.
    """

    def __init__(
        self, *, command: Sequence[str] = ("-m", "target_service"), cwd: Path = ROOT, **environment: str
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, *(word.format(port=self.port) for word in command)],
            cwd=cwd,
            env={**os.environ, "PORT": str(self.port), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def wait_until_open(self, *, deadline_s: float = 60) -> None:
        def is_open() -> bool:
            assert self.process.poll() is None, self.process.communicate()
            try:
                self.connect().close()
            except ConnectionRefusedError:
                return False
            return True

        wait_for(is_open, deadline_s=deadline_s)

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def end(self) -> tuple[int, str, str]:
        """Wait for the process and return its exit code, stdout and stderr."""
        out, errors = self.process.communicate(timeout=60)
        return self.process.returncode, out.decode(), errors.decode()

    def stop(self) -> tuple[int, str, str]:
        self.process.terminate()
        return self.end()


def wait_for(condition: Callable[[], bool], *, deadline_s: float = 30) -> None:
    """Return as soon as `condition` holds. Fail if the condition does not hold within `deadline_s`."""
    until_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < until_s, f"{condition} did not hold within {deadline_s} s"
        time.sleep(0.01)


@pytest.fixture
def start() -> Iterator[Callable[..., ServiceProcess]]:
    """A function that starts a service. Services that still run at the end of the test are killed."""
    started: list[ServiceProcess] = []

    def begin(**options: Any) -> ServiceProcess:
        started.append(ServiceProcess(**options))
        return started[-1]

    yield begin
    for service in started:
        if service.process.poll() is None:
            service.process.kill()
            service.process.communicate()
