"""Parse the addresses and URLs that users give, and find free ports."""

from __future__ import annotations

import errno
import ipaddress
import random
import re
import socket
from contextlib import closing
from urllib.parse import urlsplit

from .errors import UnusableError, UsageError

LOOPBACK = "127.0.0.1"

PORTS = (12_000, 30_000)
"""Ports for our listeners, below the ports that the kernel usually uses for outgoing connections (32768 and up)."""

_ENDS_IN_PORT = re.compile(r":\d+$")
_URL_SIGNS = re.compile(r"[!-~]+")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")

DEFAULT_MASTER_PORT = 5557
"""Locust's default port for the master. A worker connects to this port if no other port is given."""


def parse_address(text: str, *, option: str) -> tuple[str, int]:
    """Return the host and port of a master, given as `HOST`, `HOST:PORT` or `[IPV6]:PORT`.

    Raises:
        UsageError: the text has none of these forms.
    """
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.path or parts.username or not is_host(host):
        raise UsageError(f"`{option} {text}`: give a host and, if needed, a port, such as 10.0.0.2:5557.")
    return host, DEFAULT_MASTER_PORT if port is None else port


def parse_base_url(text: str, *, option: str, instead: str = "") -> str:
    """Check the base URL of a service (any scheme, or HOST:PORT), and return it without a trailing slash.

    Args:
        text: the URL as the user gave it.
        option: the option that has this value, for the message.
        instead: other values that the option accepts; the message lists them before the URL.

    Raises:
        UsageError: the text is not such a URL; the message says what is wrong.
    """
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        host, authority = parts.hostname, parts.netloc
    except ValueError:
        host, authority = None, ""
    if not host or ("://" not in text and not _ENDS_IN_PORT.search(authority)):
        raise UsageError(f"`{option} {text}`: give {instead}a URL such as http://127.0.0.1:8080.")
    if not _URL_SIGNS.fullmatch(text):
        raise UsageError(
            f"`{option} {text}`: a URL has only ASCII characters and no spaces; percent-encode all others."
        )
    if not is_host(host):
        raise UsageError(
            f"`{option} {text}`: `{host}` is not a host name: between dots there may be letters, digits and -, at "
            f"most 63 characters."
        )
    try:
        port = parts.port
    except ValueError:
        port = -1
    if port is not None and port < 1:
        raise UsageError(f"`{option} {text}`: the port must be a number from 1 to 65535.")
    if parts.query or parts.fragment or parts.username is not None:
        raise UsageError(f"`{option} {text}`: give only the base URL, without user, query or fragment.")
    return text.rstrip("/")


def is_host(text: str) -> bool:
    """Whether a text can be a host: an IP address, or a name that is valid in DNS."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return len(text) <= 253 and all(_LABEL.fullmatch(label) for label in text.removesuffix(".").split("."))
    return True


def is_loopback(url: str) -> bool:
    """Whether the host of a URL or of HOST:PORT is this machine."""
    host = (urlsplit(url if "://" in url else f"//{url}").hostname or "").removesuffix(".")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def same_service(first: str, second: str) -> bool:
    """Whether two URLs lead to the same service: the same host, port and path.

    `localhost`, 127.0.0.1, ::1 and the addresses of "any interface" are one host. Other names are compared as texts,
    because a proxy may serve several services at one address (`a.localhost`).
    """
    return _place(first) == _place(second)


def _place(url: str) -> tuple[str, int | None, str]:
    parts = urlsplit(url)
    host = (parts.hostname or "").removesuffix(".")
    if host in ("localhost", "::1", "0.0.0.0", "::"):
        host = LOOPBACK
    return host, parts.port or {"http": 80, "https": 443}.get(parts.scheme), parts.path.rstrip("/")


def free_port(host: str = LOOPBACK) -> int:
    """Return a TCP port below 32768 that no other socket has on `host`.

    The kernel usually uses ports from 32768 up for outgoing connections. If such a port were returned, another program
    could get it before the caller listens on it.

    Raises:
        UnusableError: this machine has no such address, or no free port.
    """
    for _ in range(200):
        port = random.randrange(*PORTS)
        with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
            try:  # with SO_REUSEADDR, a port that is bound but does not listen yet would seem free
                probe.bind((host, port))
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    continue
                raise UnusableError(f"`--bind {host}`: this machine has no such address ({error.strerror}).") from error
            return port
    raise UnusableError(f"No free port between {PORTS[0]} and {PORTS[1]}: stop a program that listens there.")
