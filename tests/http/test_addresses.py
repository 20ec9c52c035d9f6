"""A process keeps one list of addresses per name. The tests cover lookups, the order of tries, and dead addresses."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from loadtest.http import addresses
from loadtest.http.addresses import DEAD_S, FRESH_S, Address, AddressBook, AddressList
from loadtest.http.connection import Connection, Endpoint
from loadtest.http.limits import GeneratorLimitError
from loadtest.http.transport import Transport
from tests.http.scripted import always, scripted

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def info(host: str, port: int = 80, family: int = socket.AF_INET) -> Any:
    return (family, socket.SOCK_STREAM, 6, "", (host, port))


class Resolver:
    """A fake of the system's resolver that answers from a table, counts calls, and may be slow."""

    def __init__(self, table: dict[str, list[Any]]) -> None:
        self.table, self.asked, self.wait_s = table, Counter[str](), 0.0

    def __call__(self, host: str, port: int, *words: object) -> list[Any]:
        self.asked[host] += 1
        gevent.sleep(self.wait_s)
        if host not in self.table:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.table[host]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    made = Resolver({"a": [info("10.0.0.1"), info("10.0.0.2")]})
    monkeypatch.setattr(addresses.socket, "getaddrinfo", made)  # the system's resolver would need a network
    return made


def test_a_thousand_users_look_a_name_up_once(resolver: Resolver) -> None:
    """A thousand users ask at the same moment, while the resolver is slow, and others ask later."""
    book, resolver.wait_s = AddressBook(), 0.02
    asking = [gevent.spawn(book.of, "a", 80, 5.0) for _ in range(1000)]
    gevent.joinall(asking, raise_error=True)
    assert len({id(thread.value) for thread in asking}) == 1
    book.of("a", 80, 5.0)
    assert resolver.asked == {"a": 1}


def test_a_resolver_that_says_nothing_is_the_generators_and_an_unknown_name_is_not(resolver: Resolver) -> None:
    book = AddressBook()
    with pytest.raises(socket.gaierror):
        book.of("unknown", 80, 5.0)
    resolver.wait_s = 5
    with pytest.raises(GeneratorLimitError, match="'a'"):
        book.of("a", 80, 0.02)


def test_a_list_is_refreshed_by_age_without_anybody_waiting(resolver: Resolver) -> None:
    """During a lookup, the old addresses are used.

    If the lookup fails, they are kept. An address that is in the old and in the new list keeps its state.
    """
    book = AddressBook()
    known = book.of("a", 80, 5.0)
    kept = known.addresses[0]
    kept.proven = True
    resolver.table["a"] = [info("10.0.0.1"), info("10.0.0.9")]
    known.looked_up_s -= FRESH_S + 1
    assert book.of("a", 80, 5.0) is known
    assert [address.info[4][0] for address in known.addresses] == ["10.0.0.1", "10.0.0.2"]
    gevent.sleep(0)
    gevent.sleep(0.01)
    assert [address.info[4][0] for address in known.addresses] == ["10.0.0.1", "10.0.0.9"]
    assert known.addresses[0] is kept
    del resolver.table["a"]
    known.looked_up_s -= FRESH_S + 1
    book.of("a", 80, 5.0)
    gevent.sleep(0.01)
    assert len(known.addresses) == 2
    assert resolver.asked["a"] == 3


def test_numeric_hosts_need_no_lookup() -> None:
    """An address needs no lookup, so not even a thread of gevent's pool is used."""
    book = AddressBook()
    before = gevent.get_hub().threadpool.size
    assert book.of("127.0.0.1", 80, 0.0).addresses[0].info[4] == ("127.0.0.1", 80)
    assert book.of("::1", 80, 0.0).addresses[0].info[4][:2] == ("::1", 80)
    assert gevent.get_hub().threadpool.size == before


def list_of(*hosts: str) -> AddressList:
    return AddressList([Address(info(host)) for host in hosts], 0.0)


def test_addresses_take_turns() -> None:
    """300 connections to three working addresses are 100 connections to each address."""
    known = list_of("10.0.0.1", "10.0.0.2", "10.0.0.3")
    firsts: Counter[str] = Counter()
    for _ in range(300):
        first = known.order(0.0)[0]
        first.opened()
        firsts[first.info[4][0]] += 1
    assert set(firsts.values()) == {100}


def test_a_dead_address_is_tried_once_and_again_after_its_time() -> None:
    """One connection fails at the dead address, while another address works.

    For DEAD_S, no connection tries the dead address again. After that, one connection tries it.
    """
    known = list_of("10.0.0.1", "10.0.0.2")
    known.addresses[0].opened()
    tries = 0
    for now_s in (0.0, DEAD_S + 1):
        for _ in range(100):
            first = known.order(now_s)[0]
            tries += first is known.addresses[1]
        known.addresses[1].failed(now_s)
        for _ in range(100):
            assert known.order(now_s + 1)[0] is known.addresses[0]
    assert tries == 2


def test_the_other_family_is_for_when_the_first_fails() -> None:
    known = AddressList([Address(info("::1", family=socket.AF_INET6)), Address(info("127.0.0.1"))], 0.0)
    for _ in range(4):
        first = known.order(0.0)[0]
        assert first is known.addresses[0]
        first.opened()
    known.addresses[0].failed(0.0)
    assert known.order(1.0)[0] is known.addresses[1]


def test_one_dead_address_of_two_fails_no_request() -> None:
    """One address has no listener, and the other address answers.

    Every request is answered, whichever address comes first.
    """
    with scripted(always(OK)) as server, socket.create_server(("127.0.0.1", 0)) as unused:
        dead_port = unused.getsockname()[1]
        unused.close()
        transport = Transport()
        both = [Address(info("127.0.0.1", dead_port)), Address(info("127.0.0.1", server.port))]
        transport.addresses._lists["service", 80] = AddressList(both, time.monotonic())
        for _ in range(20):
            connection = Connection(Endpoint("service", 80), transport, connect_timeout_s=5)
            now_ns = time.perf_counter_ns()
            assert (
                connection.exchange(b"GET / HTTP/1.1\r\n\r\n", now_ns, now_ns + 5_000_000_000, True, False)[1] == b"ok"
            )
            connection.close()
        assert both[0].dead_until_s > time.monotonic()
        assert both[1].proven
