"""HAProxy with the queue holder queues, refuses and forwards requests like Cloud Run's front end."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadtest.core.errors import EmulatorError
from loadtest.emulator.access_log import AccessLog, Answered
from loadtest.emulator.folders import EmulatorFolder
from loadtest.emulator.haproxy import FrontOptions, HAProxy, find_haproxy
from loadtest.emulator.instance import INSTANCE_ADDRESS
from loadtest.emulator.process_supervisor import ProcessSupervisor
from loadtest.emulator.queue_holder import QueueHolder
from tests.emulator.local import eventually, get


@dataclass(frozen=True)
class Front:
    url: str
    haproxy: HAProxy
    log: list[Answered]


@asynccontextmanager
async def front(*, pending_limit_s: float = 30, timeout_s: float = 30, concurrency: int = 8) -> AsyncIterator[Front]:
    folder = EmulatorFolder.make()
    log: list[Answered] = []
    access_log, holder = AccessLog(log.append), QueueHolder(folder.path)
    options = FrontOptions(folder.path, 4, concurrency, timeout_s, pending_limit_s)
    haproxy = HAProxy(options, binary=find_haproxy(), supervisor=ProcessSupervisor(folder.mark))
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
            folder.remove()


@asynccontextmanager
async def instance(answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") -> AsyncIterator[int]:
    """Run a server with one answer, and yield its port. b"" closes the connection without an answer."""

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
            assert {(await future).status for future in waiting} == {200}
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
            assert {answer.status for answer in answers} == {200}

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
            answer = await asyncio.wait_for(reader.read(-1), 20)  # read to its end
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
            assert {(await future).status for future in waiting} == {200}

    asyncio.run(story())


def test_without_haproxy_a_sentence_names_the_ways_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LT_HAPROXY", str(tmp_path / "nowhere"))
    with pytest.raises(EmulatorError, match="LT_HAPROXY"):
        find_haproxy()


async def streaming(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with an endless stream that has ten lines a second."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    try:
        while True:
            writer.write(b"data: x\n\n")
            await writer.drain()
            await asyncio.sleep(0.1)
    except OSError:
        writer.close()


def test_a_stream_is_cut_off_after_the_request_timeout() -> None:
    async def story() -> None:
        server = await asyncio.start_server(streaming, INSTANCE_ADDRESS, 0)
        async with front(timeout_s=1) as plane:
            await plane.haproxy.enable(1, server.sockets[0].getsockname()[1])
            asking = asyncio.create_task(get(plane.url))
            while not asking.done():
                await plane.haproxy.end_overdue()
                await asyncio.sleep(0.05)
            answer = await asking
            assert (answer.status, "data: x" in answer.text) == (200, True)
        server.close()

    asyncio.run(story())


def test_the_wait_for_an_instance_counts_for_the_request_timeout() -> None:
    async def story() -> None:
        async with front(timeout_s=0.3, pending_limit_s=30) as plane:
            assert (await get(plane.url)).status == 504

    asyncio.run(story())


def test_a_foreign_name_and_a_page_of_another_site_reach_no_instance() -> None:
    async def story() -> None:
        async with front() as plane, instance() as port:
            await plane.haproxy.enable(1, port)
            for head, status in (
                ("Host: evil.example", 421),
                ("Host: 127.0.0.1.evil.example", 421),
                ("Host: localhost\r\nOrigin: https://evil.example\r\nSec-Fetch-Site: cross-site", 403),
                ("Host: localhost\r\nSec-Fetch-Site: cross-site", 403),
                (f"Host: localhost\r\nOrigin: null\r\n{UPGRADE}", 403),
                ("Host: localhost\r\nContent-Length: 33554433", 413),
                ("Host: localhost\r\nOrigin: http://localhost:3000\r\nSec-Fetch-Site: cross-site", 200),
                ("Host: [::1]:8080", 200),
            ):
                assert (await asked(plane.url, head))[:12] == b"HTTP/1.1 %d" % status, head

    asyncio.run(story())


UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
)


async def asked(url: str, head: str) -> bytes:
    host, number = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(number))
    writer.write(f"GET / HTTP/1.1\r\n{head}\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    writer.close()
    return answer


def test_an_instance_is_told_who_asks_and_how_to_trace_it() -> None:
    seen: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).lower())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def story() -> None:
        server = await asyncio.start_server(note, INSTANCE_ADDRESS, 0)
        async with front() as plane:
            await plane.haproxy.enable(1, server.sockets[0].getsockname()[1])
            assert (await get(plane.url)).status == 200
        server.close()

    asyncio.run(story())
    assert b"x-forwarded-for: 127.0.0.1" in seen[0]
    assert b"x-forwarded-proto: http" in seen[0]
    trace = re.search(rb"traceparent: 00-([0-9a-f]{32})-[0-9a-f]{16}-00\r\n", seen[0])
    assert trace is not None
    assert re.search(rb"x-cloud-trace-context: %b/\d+;o=0\r\n" % trace[1], seen[0])


def test_a_connection_without_a_request_is_no_request() -> None:
    async def story() -> None:
        async with front() as plane, instance() as port:
            await plane.haproxy.enable(1, port)
            host, number = plane.url.removeprefix("http://").split(":")
            _, writer = await asyncio.open_connection(host, int(number))
            writer.close()
            assert (await get(plane.url)).status == 200
            await eventually(lambda: plane.log, "the log line of the real request")
            assert [line.status for line in plane.log] == [200]

    asyncio.run(story())
