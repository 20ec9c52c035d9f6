"""Answer like a model whose handlers share a variable: some requests that overlap get the answer of another request.

    python -m benchmarks.racy_service PORT EVERY

The service listens on loopback and prints the port (0 takes a free one). It answers a POST of any body to any path with
a score of the body. For one request in EVERY, chosen at random, a mix-up becomes due. It happens at the next request
that is in flight at the same time as another, so a client that sends one request at a time never sees it. The answer of
POST /stamped also contains the time. GET /mixed_up returns how many answers were mixed up.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
import zlib

SERVICE_S = 0.001


class RacyModel:
    """The state that the handlers share.

    Attributes:
        mixed_up: answers that belonged to another request.
    """

    def __init__(self, every: int) -> None:
        self.mixed_up = 0
        self._every = every
        self._draw = random.Random(7)
        self._due = 0
        self._in_flight = 0
        self._last = b""

    async def predict(self, body: bytes) -> bytes:
        """Return the score of a body, or, if a mix-up is due, of the previous request."""
        self._due += self._draw.random() < 1 / self._every
        self._in_flight += 1
        await asyncio.sleep(SERVICE_S)
        own = json.dumps({"score": zlib.crc32(body) / 2**32}).encode()
        answer = own
        if self._due and self._in_flight > 1 and self._last not in (b"", own):
            self._due -= 1
            self.mixed_up += 1
            answer = self._last
        self._last = own
        self._in_flight -= 1
        return answer

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                sizes = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(sizes[0]) if sizes else 0)
                if head.startswith(b"GET /mixed_up"):
                    answer = str(self.mixed_up).encode()
                elif head.startswith(b"POST /stamped"):
                    answer = json.dumps({"score": 1, "time": time.time()}).encode()
                else:
                    answer = await self.predict(body)
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(answer), answer)
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def main(port: int, every: int) -> None:
    """Serve until this process is killed."""
    server = await asyncio.start_server(RacyModel(every).handle, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
