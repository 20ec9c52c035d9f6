"""An HTTP server that misbehaves in the way that a path requests, and counts the requests that it reads.

    python -m tests.misbehaving PORT [HOST [CERTIFICATE]]

`/ok` answers, `/status/503` answers with that status, `/says/422/TEXT` answers with that status and body, and
`/slow/500` answers after 500 ms. `/slow-then-fine/20/500` answers its first 20 requests after 500 ms, and later ones at
once. `/hang` never answers, `/close` closes without an answer, and `/reset` resets the connection. `/half` sends half a
head and hangs, `/stalls` sends a tenth of a body and hangs, and `/garbage` sends bytes that are not HTTP. `/endless`
sends a body without an end, `/drip` sends one byte of a body per second, and `/short` closes in the middle of a body.
`/bye` answers and closes, `/header/NAME/VALUE` answers with that header, and `/hang-after/60` hangs after its first 60
requests. `/_counts` returns the number of requests read, by path and query, and `/_down/2` stops the server for 2 s.
With a certificate (a PEM file with its key) it uses TLS; `/_break` closes every connection and makes every later
handshake fail.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from urllib.parse import unquote, unquote_to_bytes


class Misbehaving:
    """The server listens on loopback at `port`, in threads of this process."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1", certificate: str | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self._broken = False
        self._host = host
        self._listener = socket.create_server((host, port), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop listening and close every connection."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # close() alone leaves the thread in accept() listening
        self._listener.close()
        self._close_connections()

    def _close_connections(self, *, but: socket.socket | None = None) -> None:
        for connection in list(self._open):
            if connection is not but:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _restart(self, down_s: float) -> None:
        self.close()
        time.sleep(down_s)
        self._listener = socket.create_server((self._host, self.port), backlog=512)
        self._accept()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            is_tls = self._tls is not None and connection.recv(1, socket.MSG_PEEK) == b"\x16"
            if is_tls and self._broken:
                connection.recv(1024)
                connection.sendall(b"\x15\x03\x01\x00\x02\x02\x28")  # the alert handshake_failure
                return
            if self._tls is not None and is_tls:  # control paths are requested without TLS
                self._open.discard(connection)
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.add(connection)
            while self._one(connection):
                pass
        except OSError:
            pass
        finally:
            self._open.discard(connection)
            connection.close()

    def _one(self, connection: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return False
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                while len(body) < int(line[15:]):
                    body += connection.recv(65536)
        path = head.split(b" ")[1].decode()
        if path == "/_counts":
            self._answer(connection, json.dumps(self.counts).encode())
            return True
        if path.startswith("/_"):
            self._answer(connection, b"ok")
            self._broken = path == "/_break"
            if self._broken:
                self._close_connections(but=connection)
            if path.startswith("/_down/"):
                threading.Thread(target=self._restart, args=(float(path[7:]),), daemon=True).start()
            return False
        with self._lock:
            self.counts[path] += 1
            number = self.counts[path]
        return self._behave(connection, path.partition("?")[0].strip("/").split("/"), number)

    def _behave(self, connection: socket.socket, parts: list[str], number: int) -> bool:
        match parts:
            case ["status", code]:
                self._answer(connection, b"no", status=int(code))
            case ["says", code, *text]:
                self._answer(connection, unquote_to_bytes("/".join(text)), status=int(code))
            case ["slow", ms]:
                time.sleep(int(ms) / 1000)
                self._answer(connection, b"ok")
            case ["header", name, value]:
                self._answer(connection, b"ok", extra=f"{name}: {unquote(value)}\r\n")
            case ["slow-then-fine", most, ms]:
                time.sleep(int(ms) / 1000 if number <= int(most) else 0)
                self._answer(connection, b"ok")
            case _ if self._breaks(connection, parts, number):
                return parts[0] in ("hang", "hang-after", "half")
            case _:
                self._answer(connection, b"ok")
        return True

    def _breaks(self, connection: socket.socket, parts: list[str], number: int) -> bool:  # noqa: PLR0912 - one a kind
        """Misbehave in the way that a path requests. Return False for a path that gives a complete answer."""
        match parts:
            case ["endless"]:
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while True:
                    connection.sendall(b"1000\r\n" + bytes(4096) + b"\r\n")
                    time.sleep(0.02)
            case ["drip"]:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while True:
                    connection.sendall(b"x")
                    time.sleep(1)
            case ["short"]:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.")
            case ["stalls"]:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.")
                self._wait_for_the_end(connection)
            case ["bye"]:
                self._answer(connection, b"ok", extra="Connection: close\r\n")
            case ["hang"]:
                self._wait_for_the_end(connection)
            case ["hang-after", most] if number > int(most):
                self._wait_for_the_end(connection)
            case ["half"]:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-")
                self._wait_for_the_end(connection)
            case ["garbage"]:
                connection.sendall(b"\x00\x01garbage\r\n\r\n")
            case ["close"]:
                pass
            case ["reset"]:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case _:
                return False
        return True

    @staticmethod
    def _answer(connection: socket.socket, body: bytes, *, status: int = 200, extra: str = "") -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
        connection.sendall(head.encode("latin-1") + body)

    @staticmethod
    def _wait_for_the_end(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass


if __name__ == "__main__":
    server = Misbehaving(int(sys.argv[1]), *sys.argv[2:])
    print(server.url, flush=True)
    threading.Event().wait()
