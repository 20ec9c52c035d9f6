"""A small service that honours $PORT and counts its own requests in flight.

GET /?ms=20 answers after that time · /burn?ms=5 uses that much CPU · /max answers the highest number of concurrent
requests · /crash ends the process · /fill?mib=300 takes memory · /who answers its pid and names · /missing answers 404.
START_S delays the listening, EXIT_WITH ends the process at once with a message, and STUBBORN makes it ignore SIGTERM.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from urllib.parse import parse_qs, urlsplit

at_once = {"now": 0, "most": 0}
held: list[bytearray] = []


async def answer(path: str, query: dict[str, list[str]]) -> str:
    seconds = float(query.get("ms", ["0"])[0]) / 1000
    if path == "/crash":
        os._exit(3)
    if path == "/fill":
        held.append(bytearray(os.urandom(1) * (int(query["mib"][0]) * 2**20)))
    if path == "/burn":
        until = time.process_time() + seconds
        while time.process_time() < until:
            pass
    elif seconds:
        await asyncio.sleep(seconds)
    if path == "/who":
        names = ("K_REVISION", "K_SERVICE", "K_CONFIGURATION", "GREETING")
        return " ".join([str(os.getpid()), *(os.environ.get(name, "-") for name in names)])
    return str(at_once["most"])


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        while (await reader.readline()).strip():
            pass
        parts = urlsplit(line.split()[1].decode())
        at_once["now"] += 1
        at_once["most"] = max(at_once.values())
        body = (await answer(parts.path, parse_qs(parts.query))).encode()
        at_once["now"] -= 1  # before the last byte: after it, the next request may already have arrived
        status = 404 if parts.path == "/missing" else 200
        writer.write(b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
    writer.close()


async def main() -> None:
    if "EXIT_WITH" in os.environ:
        print("last words before the end", flush=True)
        sys.exit(int(os.environ["EXIT_WITH"]))
    if "STUBBORN" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(float(os.environ.get("START_S", "0")))
    server = await asyncio.start_server(
        handle, os.environ.get("HOST", "0.0.0.0"), int(os.environ["PORT"]), backlog=4096
    )
    async with server:
        await server.serve_forever()


asyncio.run(main())
