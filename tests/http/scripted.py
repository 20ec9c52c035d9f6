"""A server that sends exactly the given bytes, plain or with TLS, in a system thread without gevent."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

import trustme

Script = Callable[["Peer"], None]


@cache
def authority() -> trustme.CA:
    """Return a certificate authority for this test process."""
    return trustme.CA()


def client_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


@dataclass
class Peer:
    """The server's end of one connection."""

    socket: socket.socket
    number: int  # 0 for the first connection
    requests: list[bytes] = field(default_factory=list)

    def read(self) -> bytes:
        """Return the next complete request; b"" if the client has closed."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.socket.recv(65536)
            if not piece:
                return b""
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
        while len(body) < length:
            body += self.socket.recv(1 << 20)
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]

    def send(self, *pieces: bytes) -> None:
        """Send the pieces one by one, each in a separate segment."""
        for piece in pieces:
            self.socket.sendall(piece)
            if len(pieces) > 1:
                time.sleep(0.003)  # separates the segments; no assertion depends on the time


@dataclass
class Scripted:
    """A running server."""

    port: int
    peers: list[Peer]


@contextmanager
def scripted(script: Script, *, tls: bool = False, family: int = socket.AF_INET) -> Iterator[Scripted]:
    """Run `script` in a thread for every connection. The connection is closed when the script returns."""
    listener = socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("localhost", "127.0.0.1", "::1").configure_cert(context)
    server = Scripted(listener.getsockname()[1], [])

    def serve(accepted: socket.socket, number: int) -> None:
        try:
            with context.wrap_socket(accepted, server_side=True) if tls else accepted as connected:
                peer = Peer(connected, number)
                server.peers.append(peer)
                script(peer)
        except OSError:
            pass  # the client has closed, which the test checks

    def accept() -> None:
        number = 0
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(accepted, number), daemon=True).start()
            number += 1

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # close() alone would leave the port open in the thread that is in accept()
        listener.close()


def always(*pieces: bytes) -> Script:
    """Answer every request of a connection with the same pieces."""

    def script(peer: Peer) -> None:
        while peer.read():
            peer.send(*pieces)

    return script
