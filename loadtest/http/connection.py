"""Carry HTTP/1.1 exchanges over one TCP or TLS connection under gevent.

A connection costs what it must and no more: a raw non-blocking socket, one read watcher for its whole life that
switches to the greenlet which waits, and one timer of the process for all deadlines.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from errno import EINPROGRESS
from typing import Any, NoReturn

import gevent
from gevent import getcurrent, monkey, socket
from gevent.hub import get_hub

from .receive_timestamps import ANCILLARY_BYTES, Stamps, ask_for_stamps
from .response_parser import Answer, ClosedEarlyError, KnownHeads, read_answer
from .tls import TlsLayer

RECEIVE_BYTES = 65_536
FIRST_BYTES = 8_192
"""What most answers fit into; a smaller buffer is cheaper to be given."""

SWEEP_S = 0.05
"""How often deadlines are looked at: a time-out comes at most this much late."""

EXPIRED = "no whole answer in time"

_READABLE, _WRITABLE = 1, 2


class StaleConnectionError(ClosedEarlyError):
    """A connection that had been used before turned out to be closed when the next request was sent on it.

    Attributes:
        untouched: nothing of the request was taken by the connection.
    """

    def __init__(self, *, untouched: bool) -> None:
        super().__init__("the server closed the idle connection as the request was sent on it")
        self.untouched = untouched


@dataclass(slots=True)
class Endpoint:
    """Where the connections of one client lead.

    Attributes:
        host: a name or an IPv4 or IPv6 address (without brackets).
        port: TCP port.
        tls: what a TLS connection is made with; None for plain HTTP.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    _addresses: list[Any] = field(default_factory=list)

    def addresses(self, timeout_s: float) -> list[Any]:
        """Return what the host's name stands for, in the resolver's order of preference; asked for once.

        Raises:
            OSError: the name is not known, or (TimeoutError) the resolver did not answer in time.
        """
        if not self._addresses:
            with gevent.Timeout(timeout_s, TimeoutError(f"no answer about the name {self.host!r} in time")):
                self._addresses = socket.getaddrinfo(self.host, self.port, 0, socket.SOCK_STREAM)
        return list(self._addresses)

    def prefer(self, address: Any) -> None:
        """Try `address` first from now on."""
        self._addresses.remove(address)
        self._addresses.insert(0, address)


class Deadlines:
    """The timer that ends every wait of this thread's connections that has lasted too long."""

    def __init__(self) -> None:
        self.connections: set[Connection] = set()
        self._timer = get_hub().loop.timer(SWEEP_S, SWEEP_S, ref=False)
        self._timer.start(self._sweep)

    def _sweep(self) -> None:
        now_ns = time.perf_counter_ns()
        for connection in list(self.connections):
            if connection.waiting is not None and connection.deadline_ns < now_ns:
                connection.expire()


class Connection:
    """One connection, opened when first used and again after it was closed; one exchange at a time.

    Attributes:
        waiting: the greenlet that waits for this connection, or None.
        deadline_ns: when its wait ends (`time.perf_counter_ns()`).
        stamps: what came with the bytes read last: when the kernel had them (arrival.py), or nothing.
    """

    def __init__(
        self, endpoint: Endpoint, deadlines: Deadlines, heads: KnownHeads, *, connect_timeout_s: float
    ) -> None:
        self.endpoint = endpoint
        self.connect_timeout_s = connect_timeout_s
        self.waiting: gevent.Greenlet | None = None
        self.deadline_ns = 0
        self._deadlines = deadlines
        self._heads = heads
        self._read_head = heads.read
        self._loop = get_hub().loop
        self._hub_switch: Callable[[], object] = get_hub().switch
        self._socket: Any = None
        self._tls: TlsLayer | None = None
        self._watcher: Any = None
        self.stamps: Stamps = []
        self._send: Callable[[Any], int] = _not_open
        self._recvmsg: Callable[[int, int], tuple[bytes, Stamps, int, Any]] = _not_open

    @property
    def is_open(self) -> bool:
        """Whether there is a socket; the server may have closed its end without our knowing yet."""
        return self._socket is not None

    def exchange(  # noqa: PLR0912, PLR0915 - one function, because a call costs 0.1 µs and this is the inmost loop
        self, request: bytes, deadline_ns: int, replayable: bool, bodiless: bool
    ) -> Answer:
        """Send `request` and return its answer; opens the connection first where there is none.

        A server may close an idle connection at any moment, also in the one in which the next request sets out.
        What was sent on such a connection is sent once more, on a new one, when that is safe: nothing of it had
        been taken, or not one byte came back and the request is `replayable` (RFC 9110, 9.2.2).

        Args:
            request: head and body.
            deadline_ns: of the whole exchange, on the clock of `time.perf_counter_ns()`.
            replayable: its method is idempotent.
            bodiless: its method is HEAD.

        Raises:
            TimeoutError: not connected, sent or answered in time.
            OSError: any other failure of the connection. In both cases it is closed, and may be used again.
        """
        fresh = self._socket is None
        if fresh:
            self._open(deadline_ns)
        self.deadline_ns = deadline_ns
        tls = self._tls
        try:
            wire = request if tls is None else tls.encrypt(request)
            try:
                sent = self._send(wire)
            except BlockingIOError:
                sent = 0
            except ConnectionError as error:
                raise StaleConnectionError(untouched=True) from error
            if sent != len(wire) and (early := self._send_rest(wire, sent)):
                return self._read_last(early, bodiless)
            self.waiting = getcurrent()
            self._hub_switch()
            try:
                if tls is None:
                    data, self.stamps, _, _ = self._recvmsg(FIRST_BYTES, ANCILLARY_BYTES)
                else:
                    data = self._receive()
            except BlockingIOError:
                data = self._receive()
            except ConnectionError as error:
                raise StaleConnectionError(untouched=False) from error
            if not data:
                raise StaleConnectionError(untouched=False)
            end = data.find(b"\r\n\r\n")
            if end > 0:
                raw_head = data[:end]
                reading = self._read_head(raw_head)
                missing = reading[0].whole_length - len(data) + end + 4
                if missing > 0 and not bodiless:  # uvicorn and others send head and body apart
                    rest = self._receive()
                    data += rest
                    missing -= len(rest)
                if not missing and not bodiless:
                    return reading, data[end + 4 :], raw_head, True
            answer = read_answer(data, self._receive, self._heads, bodiless=bodiless)
            if not answer[3]:
                self.close()
            return answer
        except StaleConnectionError as stale:
            self.close()
            if fresh:
                raise ClosedEarlyError("the server closed the connection without an answer") from stale
            if not (stale.untouched or replayable):
                raise
        except BaseException:
            self.close()
            raise
        return self.exchange(request, deadline_ns, replayable, bodiless)

    def close(self) -> None:
        """Close at once; harmless when closed already."""
        self.waiting = None
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
        if self._socket is not None:
            self._deadlines.connections.discard(self)
            self._socket.close()
            self._socket, self._tls = None, None
            self._send = self._recvmsg = _not_open

    def expire(self) -> None:
        """End the wait with a TimeoutError in the greenlet that waits. For the hub, which alone may call it."""
        greenlet, self.waiting = self.waiting, None
        if greenlet is not None:
            greenlet.throw(TimeoutError(EXPIRED))

    def _read_last(self, first: bytes, bodiless: bool) -> Answer:
        """Return the answer that came before the request was sent whole: nothing can follow it."""
        answer = read_answer(first, self._receive, self._heads, bodiless=bodiless)
        self.close()
        return answer

    def _wait(self) -> None:
        """Let others run until there is something to read (in `_send_rest`: or room to write), or time is up."""
        self.waiting = getcurrent()
        self._hub_switch()

    def _on_ready(self) -> None:
        greenlet = self.waiting
        if greenlet is not None:
            self.waiting = None
            greenlet.switch()
        else:
            self._on_idle_readable()

    def _on_idle_readable(self) -> None:
        """Close what the server closed, or where it speaks unasked; TLS's own messages are not speech."""
        try:
            data = self._recv()
            if data and self._tls is not None and not self._tls.decrypt(data) and not self._tls.closed:
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # reset, or a broken record: closed all the same
        self.close()

    def _recv(self) -> bytes:
        """Return what is there to read, b"" once the server has closed; BlockingIOError says that there is nothing."""
        data, self.stamps, _, _ = self._recvmsg(RECEIVE_BYTES, ANCILLARY_BYTES)
        return data

    def _receive(self) -> bytes:
        """Return the next plain bytes, waiting as long as the deadline allows; b"" once the server has closed."""
        while True:
            try:
                data = self._recv()
            except BlockingIOError:
                self._wait()
                continue
            if self._tls is None or not data:
                return data
            data = self._tls.decrypt(data)
            if data or self._tls.closed:
                return data

    def _send_rest(self, wire: bytes, sent: int) -> bytes:
        """Send what the socket's buffer had no room for; return b"", or what the server answered meanwhile."""
        left = memoryview(wire)[sent:]
        watcher = self._loop.io(self._socket.fileno(), _WRITABLE)
        watcher.start(self._on_ready)
        try:
            while left:
                self._wait()
                try:
                    left = left[self._send(left) :]
                except BlockingIOError:  # woken by something to read
                    early = self._read_now()
                    if early:
                        return early
                except ConnectionError:
                    early = self._read_now()  # many a server answers 413 and closes
                    if early:
                        return early
                    raise
        finally:
            watcher.stop()
            watcher.close()
        return b""

    def _read_now(self) -> bytes:
        """Return the plain bytes that are there already, b"" for none.

        Raises:
            ClosedEarlyError: the server closed the connection.
        """
        try:
            data = self._recv()
        except BlockingIOError:
            return b""
        if data and self._tls is not None:
            data = self._tls.decrypt(data)
            if not data and not self._tls.closed:
                return b""
        if not data:
            raise ClosedEarlyError("the server closed the connection before it had the whole request")
        return data

    def _open(self, deadline_ns: int) -> None:
        """Connect to the first of the endpoint's addresses that takes the connection.

        Raises:
            TimeoutError: not connected within `connect_timeout_s`, or by the deadline if that is earlier.
            OSError: the name is unknown, or every address refused (the last one's error).
        """
        deadline_ns = min(deadline_ns, time.perf_counter_ns() + round(self.connect_timeout_s * 1e9))
        addresses = self.endpoint.addresses((deadline_ns - time.perf_counter_ns()) / 1e9)
        for tried, address in enumerate(addresses, start=1):
            now_ns = time.perf_counter_ns()
            # An address that never answers leaves the others their share of the time.
            self.deadline_ns = now_ns + (deadline_ns - now_ns) // (len(addresses) - tried + 1)
            try:
                self._connect(address)
            except BaseException as error:
                self.close()
                if isinstance(error, OSError) and tried < len(addresses):
                    continue
                if isinstance(error, TimeoutError):
                    raise TimeoutError(f"no connection to {self.endpoint.host} in time") from None
                raise
            if tried > 1:
                self.endpoint.prefer(address)
            return

    def _connect(self, address: Any) -> None:
        family, kind, protocol, _, where = address
        self._socket = monkey.get_original("socket", "socket")(family, kind, protocol)
        self._socket.setblocking(False)
        self._deadlines.connections.add(self)
        self._send, self._recvmsg = self._socket.send, self._socket.recvmsg
        error = self._socket.connect_ex(where)
        if error == EINPROGRESS:
            writable = self._loop.io(self._socket.fileno(), _WRITABLE)
            writable.start(self._on_ready)
            try:
                self._wait()
            finally:
                writable.stop()
                writable.close()
            error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ask_for_stamps(self._socket)
        self._watcher = self._loop.io(self._socket.fileno(), _READABLE)
        self._watcher.start(self._on_ready)
        if self.endpoint.tls is not None:
            self._shake_hands(TlsLayer(self.endpoint.tls, self.endpoint.host))

    def _shake_hands(self, layer: TlsLayer) -> None:
        received, done = b"", False
        while True:
            answer, done = layer.handshake(received)
            if answer and self._send(answer) != len(answer):  # a few hundred bytes into an empty buffer
                raise ConnectionError("the TLS handshake could not be sent")
            if done:
                break
            received = self._receive()
            if not received:
                raise ClosedEarlyError("the server closed the connection during the TLS handshake")
        self._tls = layer


def _not_open(*_: Any) -> NoReturn:
    raise ConnectionError("this connection is not open")
