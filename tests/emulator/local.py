"""Run an emulator for a test, send it requests, and wait for conditions."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from loadtest.emulator.control import LocalCloudRun
from loadtest.emulator.model import EmulatorOptions, Phase, RevisionTemplate, Sampling, ServiceKey

APP = (sys.executable, str(Path(__file__).parent / "counting_app.py"))
KEY = ServiceKey("counting")


@dataclass(frozen=True)
class Answer:
    status: int
    text: str


async def get(url: str, path: str = "/", *, timeout_s: float = 60.0) -> Answer:
    """Send one GET on a new connection. The status is 0 if there was no answer."""
    host, port = url.removeprefix("http://").split(":")
    async with asyncio.timeout(timeout_s):
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = (await reader.read(-1)).decode()
            writer.close()
        except OSError as error:
            return Answer(0, str(error))
    head, _, body = answer.partition("\r\n\r\n")
    return Answer(int(head.split()[1]) if head else 0, body)


async def eventually(condition: Callable[[], object], what: str, *, timeout_s: float = 30.0) -> None:
    """Poll a condition until it is true; after the timeout, fail and say what was expected."""
    give_up_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > give_up_s:
            pytest.fail(f"waited {timeout_s:g} s for {what}")
        await asyncio.sleep(0.02)


@asynccontextmanager
async def local_cloud_run(options: EmulatorOptions | None = None) -> AsyncIterator[LocalCloudRun]:
    """Run an emulator with metrics every second."""
    emulator = LocalCloudRun(replace(options or EmulatorOptions(sampling=Sampling(1.0)), allow_any_command=True))
    emulator.startup()
    try:
        yield emulator
    finally:
        await emulator.shutdown()


async def deployed(emulator: LocalCloudRun, template: RevisionTemplate) -> str:
    """Deploy the counting app and return its URL."""
    status = emulator.create_service(KEY, template)
    status = await emulator.settled(KEY, status.generation)
    assert status.phase is Phase.READY, status.message
    return status.url


def told(emulator: LocalCloudRun, words: str) -> bool:
    """Whether an event of the emulator contains this text."""
    return any(words in event.text for event in emulator.events)
