"""Send requests evenly from a bare gevent loop: one timer for what is due, raw sockets, nothing parsed or recorded.

    python benchmarks/peers/bare_loop.py HOST:PORT RATE SECONDS

It prints the number of requests and the seconds of CPU that it used. `python -m benchmarks.low_rate` uses it as a lower
bound: the least CPU of a Python generator that wakes separately for each request and each answer.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import gevent
from gevent.hub import get_hub

from loadtest.users.clock import TimerFd

BODY = Path(__file__).with_name("payload.json").read_bytes()
WARM_S = 1.0
READ = 1


def main() -> None:
    address, rate_per_s, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    host, _, port = address.partition(":")
    head = f"POST /predict HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
    wire = f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
    sockets = [socket.create_connection((host, int(port))) for _ in range(rate_per_s)]  # one per user, as in the plan
    loop, timer, begin_s = get_hub().loop, TimerFd(), time.perf_counter()
    sent = answered = 0

    def send_what_is_due() -> None:
        nonlocal sent
        while begin_s + sent / rate_per_s <= time.perf_counter():
            sockets[sent % rate_per_s].send(wire)
            sent += 1
        timer.set(begin_s + sent / rate_per_s)

    def reader(connection: socket.socket) -> Callable[[], None]:
        def read() -> None:
            nonlocal answered
            connection.recv(65536)
            answered += 1

        return read

    watchers = [loop.io(timer.fileno, READ)]
    watchers[0].start(send_what_is_due)
    for connection in sockets:
        connection.setblocking(False)
        watchers.append(loop.io(connection.fileno(), READ))
        watchers[-1].start(reader(connection))
    timer.set(begin_s)
    gevent.sleep(WARM_S)
    cpu_s, before = time.process_time(), answered
    gevent.sleep(seconds)
    print(answered - before, time.process_time() - cpu_s)


if __name__ == "__main__":
    main()
