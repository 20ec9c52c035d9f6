"""Look up the addresses of a service once per process, spread connections over them, and avoid dead addresses."""

from __future__ import annotations

import ipaddress
import logging
import time
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent import monkey, socket
from gevent.event import AsyncResult

from .limits import GeneratorLimitError

log = logging.getLogger(__name__)

FRESH_S = 30.0
"""When an address list is this old, the name is looked up again in the background."""

DEAD_S = 30.0
"""How long an address that accepted no connection is skipped, unless it is the only address."""


@dataclass(slots=True, eq=False)
class Address:
    """One address of a service.

    Attributes:
        info: an entry of `socket.getaddrinfo`: family, type, protocol, canonical name, socket address.
        proven: whether a connection to the address was opened before.
        probing: whether a first connection to the address is being opened now.
        dead_until_s: if the address accepted no connection, it is not tried before this time (`time.monotonic()`).
    """

    info: Any
    proven: bool = False
    probing: bool = False
    dead_until_s: float = 0.0

    def opened(self) -> None:
        """Record that a connection was opened."""
        self.proven, self.probing, self.dead_until_s = True, False, 0.0

    def failed(self, now_s: float) -> None:
        """Record that no connection could be opened."""
        self.proven, self.probing, self.dead_until_s = False, False, now_s + DEAD_S


@dataclass(slots=True)
class AddressList:
    """The addresses of one (host, port), shared by all users of the process."""

    addresses: list[Address]
    looked_up_s: float
    numeric: bool = False
    refreshing: bool = False
    _turn: int = field(default=0)

    def order(self, now_s: float) -> list[Address]:
        """Return the addresses in the order in which a new connection tries them.

        The first address has the family that the resolver prefers (RFC 6724). The addresses of this family are used in
        turn; the other family is used only if they fail. While an address is known to work, only one connection at a
        time tries an untried address, and dead addresses come last. A dead address therefore delays only the first
        connection to it.
        """
        if len(self.addresses) == 1:
            return self.addresses
        self._turn += 1
        family = self.addresses[0].info[0]
        start = self._turn % len(self.addresses)
        turned = [*self.addresses[start:], *self.addresses[:start]]
        somebody_works = any(address.proven for address in turned)

        def rank(address: Address) -> tuple[bool, bool, bool]:
            dead = now_s < address.dead_until_s
            untested = somebody_works and not address.proven and address.probing
            return dead, untested, address.info[0] != family

        ordered = sorted(turned, key=rank)
        ordered[0].probing = not ordered[0].proven
        return ordered


class AddressBook:
    """The address lists of a process, with one lookup per name at a time."""

    def __init__(self) -> None:
        self._lists: dict[tuple[str, int], AddressList] = {}
        self._running: dict[tuple[str, int], AsyncResult] = {}

    def of(self, host: str, port: int, timeout_s: float) -> AddressList:
        """Return the addresses of a host. Known addresses are returned at once, even while the name is looked up again.

        Raises:
            OSError: the name is not known.
            GeneratorLimitError: the resolver did not answer in time.
        """
        key = (host, port)
        known = self._lists.get(key)
        if known is None:
            return self._first(key, timeout_s)
        if not (known.numeric or known.refreshing) and time.monotonic() - known.looked_up_s > FRESH_S:
            known.refreshing = True
            gevent.spawn(self._refresh, key, known)
        return known

    def _first(self, key: tuple[str, int], timeout_s: float) -> AddressList:
        host, port = key
        if _is_numeric(host):  # an IP address needs no resolver, and therefore no thread of gevent's pool
            parse = monkey.get_original("socket", "getaddrinfo")
            infos = parse(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
            self._lists[key] = AddressList([Address(info) for info in infos], time.monotonic(), numeric=True)
            return self._lists[key]
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = AsyncResult()
            gevent.spawn(self._look_up, key, running)
        try:
            found: AddressList = running.get(timeout=timeout_s)
        except gevent.Timeout:
            raise GeneratorLimitError(f"the resolver did not answer for {host!r} in time") from None
        return found

    def _look_up(self, key: tuple[str, int], running: AsyncResult) -> None:
        try:
            infos = socket.getaddrinfo(key[0], key[1], 0, socket.SOCK_STREAM)
        except OSError as error:
            running.set_exception(_lookup_error(key[0], error))
        else:
            self._lists[key] = AddressList([Address(info) for info in infos], time.monotonic())
            running.set(self._lists[key])
        finally:
            del self._running[key]

    def _refresh(self, key: tuple[str, int], known: AddressList) -> None:
        """Replace the addresses by those that the resolver returns now.

        If the resolver returns none, keep the old addresses.
        """
        try:
            infos = socket.getaddrinfo(key[0], key[1], 0, socket.SOCK_STREAM)
        except OSError as error:
            log.warning("The resolver no longer finds %s (%s): its known addresses are still used.", key[0], error)
        else:
            before = {address.info[4]: address for address in known.addresses}
            known.addresses = [before.get(info[4]) or Address(info) for info in infos]
        finally:
            known.looked_up_s, known.refreshing = time.monotonic(), False


def _lookup_error(host: str, error: OSError) -> OSError:
    if error.errno == socket.EAI_AGAIN:
        return GeneratorLimitError(f"this machine's resolver did not answer for {host!r}: {error.strerror}")
    return error


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
