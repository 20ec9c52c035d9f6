"""Answer predictions in a scripted time and count them. Recorded rows are compared with this count.

Run as `python tests/counting_server.py SCRIPT`; prints its port. SCRIPT is JSON:
    {"delay_ms": [5, 5, 20]}              answer after these delays, in turn
    {"stall_s": 1, "every_s": 5}          answer nothing during the first second of every five
    {"status": 500, "every": 3}           every third answer has this status
    {"bearer": "…"}                       401 to every prediction without this bearer token
    {"deaf": true}                        accept and never answer
    {"host": "0.0.0.0"}                   listen there and not on loopback
`GET /stats` answers {"requests": n}, which counts each request when it has been read completely. `GET /latencies`
answers a list: for each request, the ms from that moment until its answer is written.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time


class Service(asyncio.Protocol):
    """One connection; the class counts the requests of all connections."""

    script: dict[str, object] = {}  # noqa: RUF012 - set once, before the server listens
    requests = 0
    begin_s = 0.0
    latencies_ms: list[float] = []  # noqa: RUF012 - of all connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end]
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
            if len(self.data) < end + 4 + length:
                return
            path = self.data.split(b" ", 2)[1]
            self.data = self.data[end + 4 + length :]
            if path == b"/stats":
                self.answer(200, json.dumps({"requests": Service.requests}).encode())
            elif path == b"/latencies":
                self.answer(200, json.dumps(Service.latencies_ms).encode())
            elif path == b"/":
                self.answer(200, b"{}")
            else:
                Service.requests += 1
                self.predict(Service.requests, head)

    def predict(self, number: int, head: bytes) -> None:
        script = Service.script
        if script.get("deaf"):
            return
        status = 200
        if "status" in script and number % int(str(script.get("every", 1))) == 0:
            status = int(str(script["status"]))
        if "bearer" in script and f"Authorization: Bearer {script['bearer']}".encode() not in head:
            status = 401
        delays = script.get("delay_ms")
        delay_s = delays[(number - 1) % len(delays)] / 1000 if isinstance(delays, list) else 0.0
        if "stall_s" in script:
            stall_s, every_s = float(str(script["stall_s"])), float(str(script["every_s"]))
            into_s = (time.monotonic() - Service.begin_s) % every_s
            delay_s += max(0.0, stall_s - into_s)
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, self.predicted, status, time.monotonic())
        else:
            self.predicted(status, time.monotonic())

    def predicted(self, status: int, read_s: float) -> None:
        Service.latencies_ms.append((time.monotonic() - read_s) * 1000)
        self.answer(status, b'{"default_probability":0.5}')

    def answer(self, status: int, body: bytes) -> None:
        if not self.transport.is_closing():
            head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nx-instance-id: one\r\n"
            head += f"x-instance-age-ms: 7\r\nserver-timing: predict;dur=0.25\r\ncontent-length: {len(body)}\r\n\r\n"
            self.transport.write(head.encode() + body)


async def main(script: dict[str, object]) -> None:
    Service.script, Service.begin_s = script, time.monotonic()
    host = str(script.get("host", "127.0.0.1"))
    server = await asyncio.get_running_loop().create_server(Service, host, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}))
