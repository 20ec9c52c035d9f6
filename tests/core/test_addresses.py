"""Ports that are chosen for listeners stay free until these listen."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from loadtest.core import addresses
from loadtest.core.errors import UnusableError

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.mark.skipif(not RANGE.exists(), reason="the system does not name the ports of outgoing connections")
def test_a_free_port_is_none_that_an_outgoing_connection_could_take() -> None:
    low, high = map(int, RANGE.read_text().split())
    assert not any(low <= addresses.free_port() <= high for _ in range(50))


def test_a_taken_port_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(addresses, "PORTS", (port, port + 1))
        with pytest.raises(UnusableError, match="No free port"):
            addresses.free_port()


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(UnusableError, match=r"203\.0\.113\.1"):
        addresses.free_port("203.0.113.1")
