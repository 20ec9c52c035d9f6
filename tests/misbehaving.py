"""An HTTP server that misbehaves as its paths say, and counts what it read: for tests of what became of requests.

    python -m tests.misbehaving PORT

`/ok` answers, `/status/503` with that status, `/slow/500` after 500 ms, `/hang` never, `/close` closes without an
answer, `/reset` resets the connection, `/half` sends half a head and hangs, `/garbage` no HTTP, `/header/NAME/VALUE`
with that header, `/hang-after/60` hangs from the 61st request of its kind on. `/_counts` tells how many requests were
read, by path.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from collections import Counter
from urllib.parse import unquote


class Misbehaving:
    """Listens on loopback in threads of this process; `port` says where."""

    def __init__(self, port: int = 0) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop listening and close every connection."""
        self._listener.close()
        for connection in list(self._open):
            connection.close()

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
        with self._lock:
            self.counts[path] += 1
            number = self.counts[path]
        return self._behave(connection, path.partition("?")[0].strip("/").split("/"), number)

    def _behave(self, connection: socket.socket, parts: list[str], number: int) -> bool:
        match parts:
            case ["status", code]:
                self._answer(connection, b"no", status=int(code))
            case ["slow", ms]:
                time.sleep(int(ms) / 1000)
                self._answer(connection, b"ok")
            case ["header", name, value]:
                self._answer(connection, b"ok", extra=f"{name}: {unquote(value)}\r\n")
            case ["hang"]:
                self._wait_for_the_end(connection)
            case ["hang-after", most] if number > int(most):
                self._wait_for_the_end(connection)
            case ["half"]:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-")
                self._wait_for_the_end(connection)
            case ["garbage"]:
                connection.sendall(b"\x00\x01garbage\r\n\r\n")
                return False
            case ["close"]:
                return False
            case ["reset"]:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
            case _:
                self._answer(connection, b"ok")
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
    server = Misbehaving(int(sys.argv[1]))
    print(server.url, flush=True)
    threading.Event().wait()
