"""Answer at once and store the time of each request; print the port, and on SIGTERM the times in ns, one per line."""

from __future__ import annotations

import asyncio
import signal
import time

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 28\r\n\r\n{"default_probability": 0.5}'
CAME_NS: list[int] = []


class Requests(asyncio.Protocol):
    """One connection, on which complete requests come one after another."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.missing = 0

    def data_received(self, data: bytes) -> None:
        if self.missing <= 0:
            CAME_NS.append(time.perf_counter_ns())
            head, _, body = data.partition(b"\r\n\r\n")
            length = next((part for part in head.lower().split(b"\r\n") if part.startswith(b"content-length:")), b":0")
            self.missing = int(length.partition(b":")[2]) - len(body)
        else:
            self.missing -= len(data)
        if self.missing <= 0:
            self.transport.write(ANSWER)  # type: ignore[attr-defined] # a TCP connection's


async def main() -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await loop.create_server(Requests, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()
    print("\n".join(map(str, CAME_NS)), flush=True)


asyncio.run(main())
