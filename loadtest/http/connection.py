"""Send HTTP/1.1 requests and receive their responses over one TCP or TLS connection under gevent.

Three design decisions keep the CPU cost low: a raw non-blocking socket; one read watcher for the whole connection,
which switches to the waiting greenlet; and one timer per process for all deadlines.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from errno import EINPROGRESS
from time import perf_counter_ns
from typing import Any, NoReturn

import gevent
from gevent import getcurrent, monkey, socket
from gevent.hub import get_hub

from .addresses import Address
from .limits import GeneratorLimitError, generator_limit
from .receive_timestamps import ANCILLARY_BYTES, Stamps, ask_for_stamps
from .response_parser import MAX_BODY_BYTES, Answer, ClosedEarlyError, read_answer
from .tcp_info import nothing_was_read
from .tls import TlsLayer
from .transport import Transport

RECEIVE_BYTES = 65_536
FIRST_BYTES = 8_192
"""Buffer size for a response. Most responses fit into this buffer, and allocating a small buffer takes less time."""

IDLE_NS = 5_000_000
"""A connection that was unused for longer than this is checked before the next request, because the server may have
closed the connection. Servers close idle connections after seconds. After a shorter time no check is made, because the
read watcher notices that the server closed the connection; this saves a system call."""

READS_WITHOUT_A_BREAK = 16
"""Maximum number of reads in a row without letting other greenlets run. Without this limit, a server that sends faster
than the client reads would block the event loop, and the deadline of its request would not be checked."""

FIRST_TRY_S = 1.0
"""How long one of several addresses may take to accept a connection before the next address is tried."""

EXPIRED = "no whole response in time"

_READABLE, _WRITABLE = 1, 2


class StaleConnectionError(ClosedEarlyError):
    """When a request was sent on a reused connection, the connection turned out to be closed.

    Attributes:
        unread: True if the server certainly read nothing of the request.
    """

    def __init__(self, *, unread: bool) -> None:
        super().__init__("the server closed the idle connection while the request was being sent on it")
        self.unread = unread


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The server to connect to.

    Attributes:
        host: a name or an IPv4 or IPv6 address (without brackets).
        port: TCP port.
        tls: the TLS context; None for plain HTTP.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None


class Connection:
    """One connection, opened at its first use and reopened after it was closed.

    A connection is used for one request and its response at a time.

    Attributes:
        waiting: the greenlet that waits for this connection, or None.
        deadline_ns: the end of the connection's current wait (`time.perf_counter_ns()`).
        used_ns: the time at which the connection's last response had been read (same clock).
        stamps: the kernel's receive timestamp of the last bytes read (receive_timestamps.py), or nothing.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        transport: Transport,
        *,
        connect_timeout_s: float,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self.endpoint = endpoint
        self.connect_timeout_s = connect_timeout_s
        self.max_body_bytes = max_body_bytes
        self.waiting: gevent.Greenlet | None = None
        self.deadline_ns = 0
        self.used_ns = 0
        self._transport = transport
        self._deadlines = transport.deadlines
        self._read_head = transport.heads.read
        self._loop = get_hub().loop
        self._hub_switch: Callable[[], object] = get_hub().switch
        self._socket: Any = None
        self._tls: TlsLayer | None = None
        self._watcher: Any = None
        self.stamps: Stamps = []
        self._reads = 0
        self._send: Callable[[Any], int] = _not_open
        self._recvmsg: Callable[[int, int], tuple[bytes, Stamps, int, Any]] = _not_open

    @property
    def is_open(self) -> bool:
        """Whether there is a socket. The server may nevertheless have closed the connection."""
        return self._socket is not None

    def exchange(  # noqa: PLR0912, PLR0915 - one function, because a call takes 0.1 of the 10 µs of an exchange
        self, request: bytes, started_ns: int, deadline_ns: int, replayable: bool, bodiless: bool
    ) -> Answer:
        """Send `request` and return its response. If the connection is closed, open it first.

        A server may close an idle connection at any time, even while the next request is being sent. The request is
        then sent again on a new connection in two cases: it is certain that the server read nothing of it, or no answer
        came and the request is `replayable`, so executing it twice does no harm (RFC 9110, 9.2.2).

        Args:
            request: head and body.
            started_ns: the current time (`time.perf_counter_ns()`).
            deadline_ns: the deadline of the whole exchange, on the same clock.
            replayable: whether the request's method is idempotent.
            bodiless: whether the request's method is HEAD.

        Raises:
            TimeoutError: the connection was not opened, or the request was not sent or answered in time.
            GeneratorLimitError: the load generator lacks a resource.
            OSError: any other failure of the connection. After every error the connection is closed, and the next call
                opens it again.
        """
        if self._socket is not None and started_ns - self.used_ns > IDLE_NS:
            self._on_idle_readable()
        if deadline_ns - started_ns < self._deadlines.shortest_ns:
            self._deadlines.shorten(deadline_ns - started_ns)
        fresh = self._socket is None
        try:
            if fresh:
                self._open(deadline_ns)
            self.deadline_ns = deadline_ns
            tls = self._tls
            wire = request if tls is None else tls.encrypt(request)
            try:
                sent = self._send(wire)
            except BlockingIOError:
                sent = 0
            except ConnectionError as error:
                raise StaleConnectionError(unread=True) from error
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
                raise StaleConnectionError(unread=nothing_was_read(self._socket, len(wire))) from error
            if not data:
                raise StaleConnectionError(unread=nothing_was_read(self._socket, len(wire)))
            end = data.find(b"\r\n\r\n")
            if end > 0:
                raw_head = data[:end]
                parsed = self._read_head(raw_head)
                missing = parsed[0].whole_length - len(data) + end + 4
                # uvicorn and other servers send head and body separately
                if 0 < missing <= self.max_body_bytes and not bodiless:
                    rest = self._receive()
                    data += rest
                    missing -= len(rest)
                if not missing and not bodiless:
                    self.used_ns = perf_counter_ns()
                    return parsed, data[end + 4 :], raw_head, True
            return self._read_answer(data, bodiless)
        except StaleConnectionError as stale:
            self.close()
            if fresh:
                raise ClosedEarlyError("the server closed the connection without a response") from stale
            if not (stale.unread or replayable):
                raise
        except BaseException:
            self.close()
            raise
        self._transport.resent += 1
        return self.exchange(request, started_ns, deadline_ns, replayable, bodiless)

    def _read_answer(self, first: bytes, bodiless: bool) -> Answer:
        transport = self._transport
        answer = read_answer(
            first,
            self._receive,
            transport.heads,
            bodiless=bodiless,
            limit_bytes=self.max_body_bytes,
            budget=transport.bodies,
        )
        self.used_ns = perf_counter_ns()
        if not answer[3]:
            self.close()
        return answer

    def close(self) -> None:
        """Close at once. Closing a closed connection does nothing."""
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
        """End the wait with a TimeoutError in the waiting greenlet. Only the hub calls this."""
        greenlet, self.waiting = self.waiting, None
        if greenlet is not None:
            greenlet.throw(TimeoutError(EXPIRED))

    def _read_last(self, first: bytes, bodiless: bool) -> Answer:
        """Return the response that came before the whole request was sent.

        No other response can follow this response.
        """
        answer = self._read_answer(first, bodiless)
        self.close()
        return answer

    def _wait(self) -> None:
        """Let other greenlets run until the socket is readable, or the time is up.

        In `_send_rest`, the wait also ends when the socket becomes writable.
        """
        self._reads = 0
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
        """Close if the server closed the connection or sent data without a request.

        Messages of the TLS protocol do not count as data.
        """
        try:
            data = self._recv()
            if data and self._tls is not None and not self._tls.decrypt(data) and not self._tls.closed:
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # after a reset or a broken record, the connection is also closed
        self.close()

    def _recv(self) -> bytes:
        """Return the bytes that can be read now; b"" when the server has closed the connection.

        If there are none, the function raises BlockingIOError.
        """
        data, self.stamps, _, _ = self._recvmsg(RECEIVE_BYTES, ANCILLARY_BYTES)
        return data

    def _receive(self) -> bytes:
        """Wait for the next plain bytes until the deadline, and return them; b"" when the server has closed."""
        while True:
            if self._reads > READS_WITHOUT_A_BREAK:
                self._wait()
                if perf_counter_ns() > self.deadline_ns:
                    raise TimeoutError(EXPIRED)
            try:
                data = self._recv()
            except BlockingIOError:
                self._wait()
                continue
            self._reads += 1
            if self._tls is None or not data:
                return data
            data = self._tls.decrypt(data)
            if data or self._tls.closed:
                return data

    def _send_rest(self, wire: bytes, sent: int) -> bytes:
        """Send the bytes that did not fit into the socket's buffer. Return b"", or an early answer of the server."""
        left = memoryview(wire)[sent:]
        watcher = self._loop.io(self._socket.fileno(), _WRITABLE)
        watcher.start(self._on_ready)
        try:
            while left:
                self._wait()
                try:
                    left = left[self._send(left) :]
                except BlockingIOError:  # this greenlet was woken because there are bytes to read
                    early = self._read_now()
                    if early:
                        return early
                except ConnectionError:
                    early = self._read_now()  # many servers answer 413 and close the connection
                    if early:
                        return early
                    raise
        finally:
            watcher.stop()
            watcher.close()
        return b""

    def _read_now(self) -> bytes:
        """Return the plain bytes that have already arrived; b"" if there are none.

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
            raise ClosedEarlyError("the server closed the connection before it had received the whole request")
        return data

    def _open(self, deadline_ns: int) -> None:
        """Connect to the first of the endpoint's addresses that accepts.

        Raises:
            TimeoutError: no connection was opened within `connect_timeout_s` or before the deadline, whichever is
                earlier.
            GeneratorLimitError: the load generator has no file descriptors or ports left, or its resolver does not
                answer.
            OSError: the name is unknown, or every address refused the connection (this is the error of the last
                address).
        """
        endpoint, now_ns = self.endpoint, perf_counter_ns()
        deadline_ns = min(deadline_ns, now_ns + round(self.connect_timeout_s * 1e9))
        book = self._transport.addresses
        addresses = book.of(endpoint.host, endpoint.port, (deadline_ns - now_ns) / 1e9).order(time.monotonic())
        for left, address in zip(range(len(addresses) - 1, -1, -1), addresses, strict=True):
            now_ns = perf_counter_ns()
            self.deadline_ns = deadline_ns
            if left:  # so that an address that never answers leaves time for the other addresses
                self.deadline_ns = min(now_ns + (deadline_ns - now_ns) // (left + 1), now_ns + round(FIRST_TRY_S * 1e9))
            self._deadlines.shorten(self.deadline_ns - now_ns)
            try:
                self._connect(address)
                address.opened()
                return
            except OSError as error:
                self.close()
                if isinstance(error, GeneratorLimitError):
                    address.probing = False
                    raise
                address.failed(time.monotonic())
                if left:
                    continue
                if isinstance(error, TimeoutError):
                    raise TimeoutError(f"no connection to {endpoint.host} in time") from None
                raise
            except BaseException:  # the user was stopped, so the address may still be good
                address.probing = False
                self.close()
                raise

    def _connect(self, address: Address) -> None:
        family, kind, protocol, _, where = address.info
        try:
            self._socket = monkey.get_original("socket", "socket")(family, kind, protocol)
        except OSError as error:
            raise generator_limit(error) or error from None
        self._socket.setblocking(False)
        self._deadlines.connections.add(self)
        self._send, self._recvmsg = self._socket.send, self._socket.recvmsg
        number = self._socket.connect_ex(where)
        if number == EINPROGRESS:
            writable = self._loop.io(self._socket.fileno(), _WRITABLE)
            writable.start(self._on_ready)
            try:
                self._wait()
            finally:
                writable.stop()
                writable.close()
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            failure = OSError(number, os.strerror(number))
            raise generator_limit(failure) or failure
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
            if answer and self._send(answer) != len(answer):  # a few hundred bytes always fit into an empty buffer
                raise ConnectionError("the TLS handshake could not be sent")
            if done:
                break
            received = self._receive()
            if not received:
                raise ClosedEarlyError("the server closed the connection during the TLS handshake")
        self._tls = layer


def _not_open(*_: Any) -> NoReturn:
    raise ConnectionError("this connection is not open")
