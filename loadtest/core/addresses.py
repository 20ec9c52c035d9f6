"""Read addresses and URLs as users give them, and find ports that are free."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import closing
from urllib.parse import urlsplit

from .errors import UnusableError, UsageError

LOOPBACK = "127.0.0.1"

DEFAULT_MASTER_PORT = 5557
"""Locust's own, where workers of other machines look for the master."""


def parse_address(text: str, *, option: str, default_port: int = DEFAULT_MASTER_PORT) -> tuple[str, int]:
    """Return host and port of `HOST`, `HOST:PORT` or `[IPV6]:PORT`.

    Raises:
        UsageError: it is none of these.
    """
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.path or parts.username:
        raise UsageError(f"`{option} {text}`: give a host and perhaps a port, such as 10.0.0.2:5557.")
    return host, default_port if port is None else port


def is_loopback(url: str) -> bool:
    """Whether the host of a URL, or of HOST:PORT, is this machine by name or by address."""
    host = urlsplit(url if "://" in url else f"//{url}").hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def free_port(host: str = LOOPBACK) -> int:
    """Return a TCP port that is free on `host` now.

    Raises:
        UnusableError: this machine has no such address.
    """
    with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, 0))
        except OSError as error:
            raise UnusableError(f"`--bind {host}`: this machine has no such address ({error.strerror}).") from error
        port: int = probe.getsockname()[1]
        return port
