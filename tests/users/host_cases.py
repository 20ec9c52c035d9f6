"""Load, data and tokens are sent only to the named host, even if that host redirects to another one.

All three clients are tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import locust  # noqa: F401 - first, because it patches sockets and threads
import pytest
from locust import FastHttpUser, HttpUser
from locust.env import Environment

from loadtest.users.fast_user import FastUser
from loadtest.users.host_guard import guard_stock_clients, leaves
from tests.http.scripted import Peer, Script, scripted

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def environment() -> Iterator[Environment]:
    guard_stock_clients()
    made = Environment(user_classes=[])
    made.create_local_runner()
    yield made
    made.runner.quit()


def sending_to(location: str) -> Script:
    def script(peer: Peer) -> None:
        while request := peer.read():
            if b" /here" in request:
                peer.send(OK)
            else:
                fields = f"Location: {location}\r\nSet-Cookie: a=1\r\nContent-Length: 5"
                peer.send(f"HTTP/1.1 302 Found\r\n{fields}\r\n\r\nmoved".encode())

    return script


def always_ok(peer: Peer) -> None:
    while peer.read():
        peer.send(OK)


def user_of(environment: Environment, base: type, port: int, **fields: Any) -> Any:
    made = type("Made", (base,), {"abstract": True, "host": f"http://127.0.0.1:{port}", **fields})(environment)
    made.client.headers = getattr(made.client, "headers", {})
    return made


BASES = [FastUser, FastHttpUser, HttpUser]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("catch", [False, True])
def test_a_redirect_to_another_host_is_not_followed(environment: Environment, base: type, catch: bool) -> None:
    """The redirect is the answer. It is a failure, and the message says why and which setting allows the redirect.

    The other host gets nothing.
    """
    seen: list[dict[str, Any]] = []
    environment.events.request.add_listener(lambda **event: seen.append(event))
    with scripted(always_ok) as other, scripted(sending_to(f"http://127.0.0.1:{other.port}/stolen?x=1")) as server:
        client = user_of(environment, base, server.port).client
        for _ in range(3):
            response = client.get("/a", headers={"Authorization": "Bearer secret"}, catch_response=catch)
            if catch:
                with response:
                    pass
            assert response.status_code == 302
        assert other.peers == []
        seen_before = len(seen)
        response = client.get("/a", allow_redirects=False)
        assert response.status_code == 302
    assert seen_before == 3
    for event in seen[:3]:
        assert "allow_other_hosts = True" in str(event["exception"])
        assert f"127.0.0.1:{other.port}" in str(event["exception"])
        assert "stolen" not in str(event["exception"])  # the text groups failures
    assert seen[3]["exception"] is None


@pytest.mark.parametrize("base", BASES)
def test_a_user_that_allows_it_is_led_elsewhere_without_its_token(environment: Environment, base: type) -> None:
    """With allow_other_hosts the redirect is followed, and neither Authorization nor Cookie is sent along."""
    with scripted(always_ok) as other, scripted(sending_to(f"http://127.0.0.1:{other.port}/there")) as server:
        client = user_of(environment, base, server.port, allow_other_hosts=True).client
        if base is FastUser:
            client.headers["Authorization"] = "Bearer always"
        assert client.get("/a", headers={"Authorization": "Bearer secret"}).status_code == 200
        ((request,),) = [peer.requests for peer in other.peers]
    assert request.startswith(b"GET /there ")
    if base is not HttpUser:  # requests treats another port of a host as the same host
        assert b"uthorization" not in request


@pytest.mark.parametrize("base", BASES)
def test_a_redirect_on_the_same_host_is_followed(environment: Environment, base: type) -> None:
    for location in ("/here", "//127.0.0.1:{port}/here", "http://127.0.0.1:{port}/here"):
        script: list[Script] = []
        with scripted(lambda peer, script=script: script[0](peer)) as server:  # type: ignore[misc]
            script.append(sending_to(location.format(port=server.port)))
            assert user_of(environment, base, server.port).client.get("/a").status_code == 200


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/b", False),
        ("?x", False),
        ("http://a/b", False),
        ("http://A:80/b", False),
        ("https://a/b", False),
        ("https://a:444/b", True),
        ("http://a:81/b", True),
        ("http://b/", True),
        ("//b/", True),
        ("http://a.b/", True),
        ("http://a@b/", True),
        ("http://b\\@a/", True),
        ("ftp://b/", False),
    ],
)
def test_which_redirects_leave(location: str, expected: bool) -> None:
    assert leaves("http://a/x", location, "http://a") is expected
