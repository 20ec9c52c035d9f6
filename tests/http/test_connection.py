"""Cases that a connection must survive. In each case, a server sends exactly the given bytes, plain and with TLS."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable

import gevent
import pytest

from loadtest.http.addresses import Address
from loadtest.http.connection import Connection, Endpoint, StaleConnectionError
from loadtest.http.limits import GeneratorLimitError
from loadtest.http.response_parser import Answer, BodyTooLongError, ClosedEarlyError, ProtocolError
from loadtest.http.transport import Transport
from tests.http.scripted import Peer, Scripted, always, client_tls, scripted

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "tls")


def connect(server: Scripted, *, tls: bool, host: str = "localhost", timeout_s: float = 5.0) -> Connection:
    endpoint = Endpoint(host, server.port, client_tls() if tls else None)
    return Connection(endpoint, Transport(), connect_timeout_s=timeout_s)


def ask(
    connection: Connection,
    request: bytes = GET,
    *,
    timeout_s: float = 10.0,
    replayable: bool = True,
    head: bool = False,
) -> Answer:
    now_ns = time.perf_counter_ns()
    return connection.exchange(request, now_ns, now_ns + int(timeout_s * 1e9), replayable, head)


def settle(condition: Callable[[], bool]) -> None:
    """Let the hub run until the condition holds."""
    give_up_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up_s
        gevent.sleep(0.002)


ANSWERS = {
    "whole": ([OK], 200, b"ok"),
    "split": ([b"HTTP/1.1 200 OK\r\nConte", b"nt-Length: 10\r\n\r", b"\nhello", b"world"], 200, b"helloworld"),
    "head and body apart": ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"ok"], 200, b"ok"),
    "head, body in two pieces": ([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", b"o", b"kay"], 200, b"okay"),
    "chunked": (
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"],
        200,
        b"hello world",
    ),
    "chunked with trailers, in pieces": (
        [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"5\r\nhel",
            b"lo\r\n6;a=b\r",
            b"\n world\r\n0",
            b"\r\nX-T: 1\r\n",
            b"\r\n",
        ],
        200,
        b"hello world",
    ),
    "100 before it": (
        [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"],
        201,
        b"ok",
    ),
    "100 apart": ([b"HTTP/1.1 100 Continue\r\n\r\n", OK], 200, b"ok"),
    "103 hints": ([b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK], 200, b"ok"),
    "204": ([b"HTTP/1.1 204 No Content\r\n\r\n"], 204, b""),
    "304": ([b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"], 304, b""),
    "500": ([b"HTTP/1.1 500 X\r\nContent-Length: 3\r\n\r\nerr"], 500, b"err"),
    "no reason phrase": ([b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"], 200, b"ok"),
    "empty": ([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], 200, b""),
    "same length twice": ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\nok"], 200, b"ok"),
    "3 MB": ([b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000], 200, b"x" * 3_000_000),
    "HTTP/1.0 kept alive": ([b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"], 200, b"ok"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_is_read_and_the_connection_used_again(case: str, tls: bool) -> None:
    """Status and body are returned for any framing and any split into pieces, twice over one connection."""
    pieces, status, body = ANSWERS[case]
    with scripted(always(*pieces), tls=tls) as server:
        connection = connect(server, tls=tls)
        for _ in range(3):
            (head, _, _), content, _, reusable = ask(connection)
            assert (head.status, content, reusable) == (status, body, True)
        assert len(server.peers) == 1
        connection.close()


CLOSING = {
    "until closed": (b"HTTP/1.1 200 OK\r\n\r\nuntil-close", b"until-close"),
    "Connection: close": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
}


@pytest.mark.parametrize("case", CLOSING)
def test_an_answer_that_ends_the_connection_is_followed_by_a_new_one(case: str, tls: bool) -> None:
    """If the server announces a close, no request is lost: the next one opens a connection."""
    answer, body = CLOSING[case]

    def once(peer: Peer) -> None:
        peer.read()
        peer.send(answer)

    with scripted(once, tls=tls) as server:
        connection = connect(server, tls=tls)
        for _ in range(2):
            assert ask(connection, replayable=False)[1] == body
            assert not connection.is_open
        assert len(server.peers) == 2


@pytest.mark.parametrize("pieces", [[OK + OK], [OK[:-2], OK[-2:] + OK]], ids=["at once", "head and body apart"])
def test_bytes_behind_an_answer_end_the_connection_but_not_the_answer(pieces: list[bytes], tls: bool) -> None:
    """Bytes that belong to no request cannot become the next answer."""
    with scripted(always(*pieces), tls=tls) as server:
        connection = connect(server, tls=tls)
        for _ in range(2):
            assert ask(connection)[1] == b"ok"
        assert len(server.peers) == 2


def test_the_answer_to_head_has_no_body(tls: bool) -> None:
    """The content-length of a HEAD describes a body that does not come."""
    with scripted(always(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"), tls=tls) as server:
        connection = connect(server, tls=tls)
        for _ in range(2):
            assert ask(connection, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", head=True)[1] == b""
        assert len(server.peers) == 1
        connection.close()


BROKEN = {
    "garbage": b"SSH-2.0-x\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "length no number": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "no chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    "chunk too long": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
    "folded line": b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000,
    "protocols switched": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("case", BROKEN)
def test_bytes_that_are_no_answer_are_refused_and_the_connection_is_dropped(case: str, tls: bool) -> None:
    """Bytes that cannot be framed raise a ProtocolError, and the next request uses a new connection."""

    def script(peer: Peer) -> None:
        while peer.read():
            peer.send(BROKEN[case] if peer.number == 0 else OK)

    with scripted(script, tls=tls) as server:
        connection = connect(server, tls=tls)
        with pytest.raises(ProtocolError):
            ask(connection)
        assert not connection.is_open
        assert ask(connection)[1] == b"ok"
        connection.close()


CUT_OFF = {
    "no byte": b"",
    "in the head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "in the body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
    "before the trailers' end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n",
}


@pytest.mark.parametrize("case", CUT_OFF)
def test_an_answer_cut_off_is_an_error_and_never_sent_again(case: str, tls: bool) -> None:
    """If a new connection ends early, the request fails and is not repeated."""

    def once(peer: Peer) -> None:
        peer.read()
        peer.send(CUT_OFF[case])

    with scripted(once, tls=tls) as server:
        connection = connect(server, tls=tls)
        with pytest.raises((ClosedEarlyError, ConnectionResetError)):
            ask(connection)
        assert len(server.peers) == 1
        assert not connection.is_open


def test_an_idle_connection_closed_by_the_server_costs_no_request(tls: bool) -> None:
    """The close is noticed while the connection is idle.

    The next request opens a new connection, even if it must not be repeated.
    """

    def one_each(peer: Peer) -> None:
        peer.read()
        peer.send(OK)

    with scripted(one_each, tls=tls) as server:
        connection = connect(server, tls=tls)
        for _ in range(3):
            assert ask(connection, replayable=False)[1] == b"ok"
            settle(lambda: not connection.is_open)
        assert len(server.peers) == 3


@pytest.mark.parametrize("replayable", [True, False])
def test_a_request_that_crossed_the_servers_close_is_repeated_only_if_that_is_safe(tls: bool, replayable: bool) -> None:
    """A request that was read but not answered on a used connection is sent again if it is idempotent.

    Otherwise it is an error, and only one request was sent.
    """

    def second_unanswered(peer: Peer) -> None:
        peer.read()
        peer.send(OK)
        if peer.number == 0:
            peer.read()  # and close without an answer
        else:
            peer.read()

    with scripted(second_unanswered, tls=tls) as server:
        connection = connect(server, tls=tls)
        ask(connection)
        if replayable:
            assert ask(connection, replayable=True)[1] == b"ok"
            assert [len(peer.requests) for peer in server.peers] == [2, 1]
        else:
            with pytest.raises((StaleConnectionError, ConnectionResetError)):
                ask(connection, replayable=False)
            assert [len(peer.requests) for peer in server.peers] == [2]
        connection.close()


def test_a_silent_server_is_a_timeout_and_the_next_request_works(tls: bool) -> None:
    """The deadline ends the wait, twice in a row, and the connection can be used afterwards."""

    def deaf_at_first(peer: Peer) -> None:
        while peer.read():
            if peer.number >= 2:
                peer.send(OK)

    with scripted(deaf_at_first, tls=tls) as server:
        connection = connect(server, tls=tls)
        for _ in range(2):
            began_s = time.perf_counter()
            with pytest.raises(TimeoutError):
                ask(connection, timeout_s=0.3)
            assert time.perf_counter() - began_s >= 0.3
        assert ask(connection)[1] == b"ok"
        connection.close()


def test_a_server_that_trickles_is_a_timeout_too() -> None:
    """The deadline applies to the whole answer. Single bytes do not extend the deadline."""

    def trickle(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            peer.send(b"x")
            time.sleep(0.02)

    with scripted(trickle) as server, pytest.raises(TimeoutError):
        ask(connect(server, tls=False), timeout_s=0.3)


def test_a_greenlet_killed_while_it_waits_leaves_a_usable_connection(tls: bool) -> None:
    """Locust kills users in the middle of a request."""

    def deaf_at_first(peer: Peer) -> None:
        while peer.read():
            if peer.number > 0:
                peer.send(OK)

    with scripted(deaf_at_first, tls=tls) as server:
        connection = connect(server, tls=tls)
        waiting = gevent.spawn(ask, connection)
        settle(lambda: bool(server.peers and server.peers[0].requests))
        waiting.kill()
        assert not connection.is_open
        assert ask(connection)[1] == b"ok"
        connection.close()


def test_a_request_larger_than_the_sockets_buffer_arrives_whole(tls: bool) -> None:
    """If the kernel accepts a part of the bytes, the rest is sent later."""
    body = bytes(range(256)) * 40_000  # 10 MB
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def late(peer: Peer) -> None:
        while peer.read():
            peer.send(OK)

    with scripted(late, tls=tls) as server:
        connection = connect(server, tls=tls)
        for _ in range(2):
            assert ask(connection, request, timeout_s=60, replayable=False)[1] == b"ok"
        assert [got == request for got in server.peers[0].requests] == [True, True]
        connection.close()


def test_an_answer_that_comes_before_the_request_is_sent_is_taken(tls: bool) -> None:
    """If a server answers 413 after the head, this answer is returned, and the connection is not used again."""

    def too_large(peer: Peer) -> None:
        peer.socket.recv(1000)
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        peer.socket.recv(1000)
        time.sleep(0.2)  # gives the client time to read before the connection closes; no assertion depends on this time

    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 40000000\r\n\r\n" + b"x" * 40_000_000
    with scripted(too_large, tls=tls) as server:
        connection = connect(server, tls=tls)
        (head, _, _), body, _, _ = ask(connection, request, timeout_s=60, replayable=False)
        assert (head.status, body) == (413, b"big")
        assert not connection.is_open


def test_ipv6_and_a_name_with_several_addresses_are_reached(tls: bool) -> None:
    """::1 works, and if the first address of a name refuses, the next one is tried."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with scripted(always(OK), tls=tls, family=socket.AF_INET6) as server:
            assert ask(connect(server, tls=tls, host="::1"))[1] == b"ok"
            connection = connect(server, tls=tls, host="::1")
            known = connection._transport.addresses.of("::1", server.port, 5)
            refused = Address((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)))
            known.addresses.insert(0, refused)
            for _ in range(3):
                assert ask(connection)[1] == b"ok"
                connection.close()
            assert refused.dead_until_s > time.monotonic()
    except OSError as error:
        pytest.skip(f"no IPv6 loopback here: {error}")


def test_nobody_listening_is_a_refused_connection() -> None:
    """The system's own error is raised."""
    with scripted(always(OK)) as server:
        pass
    with pytest.raises(ConnectionRefusedError):
        ask(connect(server, tls=False, host="127.0.0.1"))


def test_a_tls_server_that_never_shakes_hands_is_a_connect_timeout() -> None:
    """A port that accepts connections and sends nothing does not hold a user forever."""

    def mute(peer: Peer) -> None:
        peer.socket.recv(1)
        time.sleep(5)

    with scripted(mute) as server, pytest.raises(TimeoutError, match="no connection"):
        ask(connect(server, tls=True, timeout_s=0.3))


def test_an_untrusted_certificate_is_refused() -> None:
    """Certificates are verified unless the user class turns that off."""
    with scripted(always(OK), tls=True) as server:
        endpoint = Endpoint("localhost", server.port, ssl.create_default_context())
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(Connection(endpoint, Transport(), connect_timeout_s=5))


def test_a_plain_server_asked_in_tls_is_an_error() -> None:
    """The client does not hang, and no body contains garbage."""
    with scripted(always(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server, pytest.raises(OSError):
        ask(connect(server, tls=True), timeout_s=0.5)


def test_an_unacknowledged_request_is_sent_again_with_any_method() -> None:
    """The server closes, and the client sends without checking. A POST arrives once, and is counted as resent."""

    def one_each(peer: Peer) -> None:
        peer.read()
        peer.send(OK)

    with scripted(one_each) as server:
        connection = connect(server, tls=False)
        for _ in range(3):
            assert ask(connection, replayable=False)[1] == b"ok"
            closed_s = time.monotonic() + 0.05
            while time.monotonic() < closed_s:  # the event loop does not see the close, because it does not run
                pass
            connection.used_ns = time.perf_counter_ns()  # and the check of an idle connection does not see it either
        assert [len(peer.requests) for peer in server.peers] == [1, 1, 1]
        assert connection._transport.resent == 2


def test_a_connection_that_was_idle_is_looked_at_before_it_is_used() -> None:
    """The server of the connection has closed it while the event loop was busy.

    The next request opens another connection, and nothing is resent.
    """

    def one_each(peer: Peer) -> None:
        peer.read()
        peer.send(OK)

    with scripted(one_each) as server:
        connection = connect(server, tls=False)
        for _ in range(3):
            assert ask(connection, replayable=False)[1] == b"ok"
            closed_s = time.monotonic() + 0.05
            while time.monotonic() < closed_s:
                pass
        assert [len(peer.requests) for peer in server.peers] == [1, 1, 1]
        assert connection._transport.resent == 0


HEAD = b"HTTP/1.1 200 OK\r\n"
TOO_LONG = {
    "announced": HEAD + b"Content-Length: 1000001\r\n\r\n",
    "in chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"40000\r\n" + b"x" * 0x40000 + b"\r\n",
    "one chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n",
    "until closed": HEAD + b"\r\n",
}


@pytest.mark.parametrize("case", TOO_LONG)
def test_a_body_longer_than_the_limit_is_not_read(case: str, tls: bool) -> None:
    """An endless body ends at the limit with any framing. The error says what to do, and the next request works."""

    def endless(peer: Peer) -> None:
        peer.read()
        peer.send(TOO_LONG[case] if peer.number == 0 else OK)
        piece = TOO_LONG["in chunks"].partition(b"\r\n\r\n")[2] if case == "in chunks" else b"x" * 65536
        while peer.number == 0:
            peer.send(piece)

    with scripted(endless, tls=tls) as server:
        connection = connect(server, tls=tls)
        connection.max_body_bytes = 1_000_000
        with pytest.raises(BodyTooLongError, match=r"1,000,000 bytes.*max_body_bytes"):
            ask(connection)
        assert not connection.is_open
        assert connection._transport.bodies.held_bytes == 0
        assert ask(connection)[1] == b"ok"
        connection.close()


def test_a_body_of_exactly_the_limit_is_read() -> None:
    with scripted(always(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n")) as server:
        connection = connect(server, tls=False)
        connection.max_body_bytes = 4
        assert ask(connection)[1] == b"abcd"
        connection.max_body_bytes = 3
        with pytest.raises(BodyTooLongError):
            ask(connection)


def test_a_server_that_sends_faster_than_it_is_read_ends_at_the_deadline() -> None:
    """The server sends without a pause, so there is always something to read.

    The deadline applies nevertheless, and other greenlets run in the meantime.
    """

    def flood(peer: Peer) -> None:
        peer.read()
        peer.send(HEAD + b"\r\n")
        while True:
            peer.send(b"x" * 1_000_000)

    turns = 0

    def others() -> None:
        nonlocal turns
        while True:
            gevent.sleep(0)
            turns += 1

    with scripted(flood) as server:
        connection = connect(server, tls=False)
        connection.max_body_bytes = 1 << 60
        connection._transport.bodies.limit_bytes = 1 << 60
        other = gevent.spawn(others)
        with pytest.raises(TimeoutError):
            ask(connection, timeout_s=0.3)
        other.kill()
    assert turns > 3


def test_the_bodies_of_one_process_have_a_bound_together() -> None:
    """The limit leaves no memory for the second of two unfinished bodies.

    The load generator lacks the memory, not the service.
    """

    def half(peer: Peer) -> None:
        peer.read()
        peer.send(HEAD + b"Content-Length: 2000000\r\n\r\n" + b"x" * 1_000_000)
        peer.socket.recv(1)

    with scripted(half) as server:
        first = connect(server, tls=False)
        second = Connection(first.endpoint, first._transport, connect_timeout_s=5)
        first._transport.bodies.limit_bytes = 1_500_000
        waiting = gevent.spawn(ask, first)
        settle(lambda: first._transport.bodies.held_bytes > 800_000)
        with pytest.raises(GeneratorLimitError, match="max_body_bytes"):
            ask(second)
        waiting.kill()
        assert first._transport.bodies.held_bytes == 0


def test_no_more_files_is_the_generators_shortage() -> None:
    """The error for EMFILE says what to do, and the address is not considered dead."""
    import resource

    with scripted(always(OK)) as server:
        connection = connect(server, tls=False, host="127.0.0.1")
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as next_one:
            resource.setrlimit(resource.RLIMIT_NOFILE, (next_one.fileno(), before[1]))
        try:
            with pytest.raises(GeneratorLimitError, match="ulimit"):
                ask(connection)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert ask(connection)[1] == b"ok"
