"""On loopback, reject requests that name another host, and requests from web pages in a browser on this machine.

A web page can send requests to any port of the machine on which it is displayed, and can make its own host name resolve
to 127.0.0.1 (DNS rebinding). The container image does not use this check: for a container, the network in front of it
decides who may call the service.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

_REFUSALS = {
    403: b"Web pages of other sites are not answered here.",
    421: b"This service is called 127.0.0.1 or localhost here.",
}


def loopback_only(app: ASGIApp) -> ASGIApp:
    """Return an application that checks each request before it calls `app`."""

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        status = refused(scope["headers"]) if scope["type"] == "http" else None
        if status is None:
            await app(scope, receive, send)
            return
        head = [(b"content-type", b"text/plain"), (b"content-length", str(len(_REFUSALS[status])).encode())]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": _REFUSALS[status]})

    return checked


def refused(headers: list[tuple[bytes, bytes]]) -> int | None:
    """Return the status with which a request with these headers is rejected; None if the request may be answered."""
    host = origin = site = b""
    for name, value in headers:
        if name == b"host":
            host = value
        elif name == b"origin":
            origin = value
        elif name == b"sec-fetch-site":
            site = value
    if not is_loopback(b"//" + host):
        return 421
    own_page = origin != b"" and is_loopback(origin)
    if (origin and not own_page) or (site == b"cross-site" and not own_page):
        return 403
    return None


@lru_cache(maxsize=64)
def is_loopback(url: bytes) -> bool:
    """Whether the host of a URL always means this machine."""
    try:
        name = urlsplit(url.decode("latin-1")).hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
