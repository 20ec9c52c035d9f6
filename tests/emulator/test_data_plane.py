"""HAProxy with the queue holder queues, refuses and passes on as Cloud Run's front does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadtest.core.errors import EmulatorError
from loadtest.emulator.access_log import AccessLog, Answered
from loadtest.emulator.haproxy import FrontOptions, HAProxy, find_haproxy
from loadtest.emulator.instance import INSTANCE_ADDRESS
from loadtest.emulator.process_supervisor import ProcessSupervisor
from loadtest.emulator.queue_holder import QueueHolder
from loadtest.emulator.rooms import Room
from tests.emulator.local import eventually, get


@dataclass(frozen=True)
class Front:
    url: str
    haproxy: HAProxy
    log: list[Answered]


@asynccontextmanager
async def front(*, pending_limit_s: float = 30, timeout_s: float = 30, concurrency: int = 8) -> AsyncIterator[Front]:
    room = Room.make()
    log: list[Answered] = []
    access_log, holder = AccessLog(log.append), QueueHolder(room.path)
    options = FrontOptions(room.path, 4, concurrency, timeout_s, pending_limit_s)
    haproxy = HAProxy(options, binary=find_haproxy(), supervisor=ProcessSupervisor(room.mark))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        access_log.startup()
        await holder.startup()
        try:
            await haproxy.startup(listen_fd=listening.fileno(), log_fd=access_log.write_fd)
            await holder.fill()
            yield Front(f"http://127.0.0.1:{listening.getsockname()[1]}", haproxy, log)
        finally:
            await holder.shutdown()
            await haproxy.shutdown()
            access_log.shutdown()
            room.remove()


@asynccontextmanager
async def instance(answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") -> AsyncIterator[int]:
    """Run a server of one answer; b"" closes without one; yields its port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(handle, INSTANCE_ADDRESS, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def pending(plane: Front, count: int) -> None:
    found = -1
    while found != count:
        found = await plane.haproxy.pending()
        await asyncio.sleep(0.01)


def test_requests_queue_while_there_is_no_instance_and_are_served_when_one_comes() -> None:
    async def story() -> None:
        async with front() as plane, instance() as port:
            waiting = [asyncio.create_task(get(plane.url)) for _ in range(50)]
            await asyncio.wait_for(pending(plane, 50), 20)
            await plane.haproxy.enable(1, port)
            assert {(await one).status for one in waiting} == {200}
            await eventually(lambda: len(plane.log) == 50, "the log of all")
            assert all(line.pending_ms > 0 and line.slot == 1 for line in plane.log)

    asyncio.run(story())


def test_a_request_that_waited_too_long_is_answered_429() -> None:
    async def story() -> None:
        async with front(pending_limit_s=0.3) as plane:
            assert (await get(plane.url)).status == 429
            await eventually(lambda: plane.log, "its line in the log")
            assert (plane.log[0].status, plane.log[0].slot) == (429, None)
            assert plane.log[0].pending_ms >= 300

    asyncio.run(story())


def test_a_request_without_an_answer_in_time_is_answered_504() -> None:
    async def story() -> None:
        silent = await asyncio.start_server(lambda _reader, _writer: None, INSTANCE_ADDRESS, 0)
        async with front(timeout_s=0.3) as plane:
            await plane.haproxy.enable(1, silent.sockets[0].getsockname()[1])
            assert (await get(plane.url)).status == 504
        silent.close()

    asyncio.run(story())


def test_an_instance_that_ends_without_an_answer_is_answered_503() -> None:
    async def story() -> None:
        async with front() as plane, instance(b"") as port:
            await plane.haproxy.enable(1, port)
            assert (await get(plane.url)).status == 503
            await eventually(lambda: plane.log, "its line in the log")
            assert (plane.log[0].status, plane.log[0].slot) == (503, 1)

    asyncio.run(story())


@pytest.mark.parametrize("status", [b"502 Bad Gateway", b"503 Service Unavailable", b"429 Too Many Requests"])
def test_the_service_s_own_errors_pass_unchanged(status: bytes) -> None:
    async def story() -> None:
        async with front() as plane, instance(b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\n\r\nmine") as port:
            await plane.haproxy.enable(1, port)
            answer = await get(plane.url)
            assert (answer.status, answer.text) == (int(status[:3]), "mine")

    asyncio.run(story())


def test_a_request_to_a_dead_instance_goes_to_a_living_one() -> None:
    async def story() -> None:
        async with instance() as dead:
            pass
        async with front() as plane, instance() as port:
            await plane.haproxy.enable(1, dead)
            await plane.haproxy.enable(2, port)
            answers = await asyncio.gather(*(get(plane.url) for _ in range(40)))
            assert {one.status for one in answers} == {200}

    asyncio.run(story())


def test_a_request_to_the_only_instance_that_is_dead_waits_for_the_next_one() -> None:
    async def story() -> None:
        async with instance() as dead:
            pass
        async with front() as plane, instance() as port:
            await plane.haproxy.enable(1, dead)
            waiting = asyncio.create_task(get(plane.url))
            await asyncio.wait_for(pending(plane, 1), 20)
            await plane.haproxy.enable(2, port)
            assert (await waiting).status == 200

    asyncio.run(story())


def test_a_drained_instance_gets_nothing_new_and_comes_back_at_once() -> None:
    async def story() -> None:
        async with front() as plane, instance() as port:
            await plane.haproxy.enable(1, port)
            await plane.haproxy.drain(1)
            waiting = asyncio.create_task(get(plane.url))
            await asyncio.wait_for(pending(plane, 1), 20)
            await plane.haproxy.undrain(1)
            assert (await waiting).status == 200

    asyncio.run(story())


def test_after_leaving_a_kept_connection_gets_its_answer_and_is_closed() -> None:
    async def story() -> None:
        async with front() as plane, instance() as port:
            await plane.haproxy.enable(1, port)
            host, number = plane.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(number))
            await plane.haproxy.leave()
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = await asyncio.wait_for(reader.read(-1), 20)  # to its end
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"connection: close" in answer.lower()
            writer.close()

    asyncio.run(story())


def test_losing_the_queue_holder_for_a_moment_loses_no_request() -> None:
    async def story() -> None:
        async with front() as plane, instance() as port:
            waiting = [asyncio.create_task(get(plane.url)) for _ in range(20)]
            await asyncio.wait_for(pending(plane, 20), 20)
            await plane.haproxy.command("shutdown sessions server be/hold")
            await plane.haproxy.enable(1, port)
            assert {(await one).status for one in waiting} == {200}

    asyncio.run(story())


def test_without_haproxy_a_sentence_names_the_ways_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LT_HAPROXY", str(tmp_path / "nowhere"))
    with pytest.raises(EmulatorError, match="LT_HAPROXY"):
        find_haproxy()
