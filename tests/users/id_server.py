"""Count which rows arrive as POST {"id": n}. `GET /seen` answers {"total", "distinct", "most"}.

The program prints its port.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter

SEEN: Counter[int] = Counter()


class Service(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.data = transport, b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
            if len(self.data) < end + 4 + length:
                return
            body, self.data = self.data[end + 4 : end + 4 + length], self.data[end + 4 + length :]
            answer = b"{}"
            if head.startswith(b"post"):
                SEEN[json.loads(body)["id"]] += 1
            elif head.startswith(b"get /seen"):
                most = max(SEEN.values(), default=0)
                answer = json.dumps({"total": SEEN.total(), "distinct": len(SEEN), "most": most}).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Service, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
