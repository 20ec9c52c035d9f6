"""Answer each request after a known delay, and report in Server-Timing how long it really took; print the port.

`python delaying_server.py 1 1 1 20` uses these delays in ms, in turn. Each connection has a thread with blocking calls,
so no event loop adds a delay. The time of a request begins when the kernel receives its last byte (SO_TIMESTAMPNS) and
ends when the answer is sent. A busy thread of this process cannot delay the kernel's time stamp.
"""

from __future__ import annotations

import itertools
import socket
import struct
import sys
import threading
import time

SO_TIMESTAMPNS = 35  # the option's value on Linux for x86-64 and aarch64; Python has no constant for it


def serve(connected: socket.socket, delays_s: itertools.cycle[float]) -> None:
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    with connected:
        while True:
            data = b""
            while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < _length(data):
                try:
                    piece, stamps, _, _ = connected.recvmsg(65536, 64)
                except ConnectionResetError:  # the generator was stopped
                    return
                if not piece:
                    return
                data += piece
            arrived_ns = time.time_ns()
            for _, _, stamp in stamps:  # the very first packets have no stamps
                seconds, nanoseconds = struct.unpack("qq", stamp)
                arrived_ns = seconds * 1_000_000_000 + nanoseconds
            time.sleep(next(delays_s))
            took_ms = (time.time_ns() - arrived_ns) / 1e6
            head = f"HTTP/1.1 200 OK\r\nServer-Timing: predict;dur={took_ms:.3f}\r\nContent-Length: 2\r\n\r\n{{}}"
            connected.sendall(head.encode())


def _length(data: bytes) -> int:
    return int(data.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(listener.getsockname()[1], flush=True)
    delays = itertools.cycle([float(word) / 1000 for word in sys.argv[1:]])
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0], delays), daemon=True).start()
