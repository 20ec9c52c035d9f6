"""Ports that are chosen for listeners stay free until the listeners use them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from loadtest.core import addresses
from loadtest.core.errors import UnusableError

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_a_free_port_is_none_that_an_outgoing_connection_could_take() -> None:
    if not RANGE.exists():
        pytest.skip("the system does not name the ports of outgoing connections")
    low, high = map(int, RANGE.read_text().split())
    if low < addresses.PORTS[1] and high >= addresses.PORTS[0]:
        pytest.skip(f"here the kernel takes the ports of outgoing connections from {low} to {high}")
    assert not any(low <= addresses.free_port() <= high for _ in range(50))


@pytest.mark.parametrize("listens", [True, False])
def test_a_taken_port_is_not_free(listens: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """This includes a port whose owner listens later and lets others reuse the address (the emulator's services do)."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        if listens:
            taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(addresses, "PORTS", (port, port + 1))
        for host in ("127.0.0.1", "0.0.0.0"):
            with pytest.raises(UnusableError, match="No free port"):
                addresses.free_port(host)


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(UnusableError, match=r"203\.0\.113\.1"):
        addresses.free_port("203.0.113.1")


@pytest.mark.parametrize(
    "other", ["http://localhost:8080", "http://LOCALHOST.:8080/", "http://[::1]:8080", "http://0.0.0.0:8080"]
)
def test_the_names_of_this_machine_are_one_host(other: str) -> None:
    assert addresses.same_service("http://127.0.0.1:8080", other)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("http://a.example", "http://A.example:80/", True),
        ("https://a.example", "https://a.example:443", True),
        ("http://a.example", "https://a.example", False),
        ("http://127.0.0.1:8080", "http://localhost:8081", False),
        ("http://127.0.0.1:8080", "http://127.0.0.2:8080", False),
        ("http://a.localhost:8080", "http://b.localhost:8080", False),  # a proxy may serve two services
        ("http://127.0.0.1:8080/v1", "http://localhost:8080/v2", False),
    ],
)
def test_two_urls_are_one_service_if_host_port_and_path_are_the_same(first: str, second: str, same: bool) -> None:
    assert addresses.same_service(first, second) is same
