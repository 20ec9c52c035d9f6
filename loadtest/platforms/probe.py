"""Find out what kind of server is at a URL before load is sent there, with one connection, one GET and no redirects."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

_ALERT, _SETTINGS = 0x15, 0x04
"""The first byte of a TLS alert, and the type byte of the frame with which an HTTP/2 server begins."""


class Found(StrEnum):
    """The kind of server that was found."""

    NOTHING = "nothing"
    HTTP = "http"
    SILENT = "silent"
    SLOW = "slow"
    HTTP2 = "http2"
    TLS = "tls"
    NO_TLS = "no_tls"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of one probe.

    Attributes:
        found: NOTHING: no connection; SILENT: the server closed the connection without an answer; SLOW: no answer in
            time; HTTP2: a server without HTTP/1; TLS: a TLS server behind an `http` URL; NO_TLS: a server without TLS
            behind an `https` URL; OTHER: not HTTP.
        why: the reason for NOTHING and NO_TLS.
        untrusted: why the certificate is not trusted; "" if it is trusted or there is none.
    """

    found: Found
    why: str = ""
    untrusted: str = ""


def ask(url: str, *, timeout_s: float) -> Answer:
    """Send a GET to `url` and return the kind of answer. The probe takes at most about twice `timeout_s`.

    The function connects directly, even if the environment names proxies, because the load does the same.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    untrusted = ""
    connected = False
    try:
        connection = _connected(host, port, timeout_s)
        connected = True
        if secure:
            try:
                connection = _secured(connection, host, verify=True)
            except ssl.SSLCertVerificationError as error:
                untrusted = error.verify_message
                connection = _secured(_connected(host, port, timeout_s), host, verify=False)
    except ssl.SSLError as error:
        if "NO_APPLICATION_PROTOCOL" in (error.reason or ""):
            return Answer(Found.HTTP2, untrusted=untrusted)
        return Answer(Found.NO_TLS, why=error.reason or str(error))
    except TimeoutError:
        return Answer(Found.SLOW if connected else Found.NOTHING, why=f"no connection within {timeout_s:g} s")
    except (OSError, UnicodeError) as error:
        return Answer(Found.NOTHING, why=getattr(error, "strerror", None) or str(error))
    with connection:
        return Answer(_first_word(connection, parts.netloc, parts.path or "/", timeout_s), untrusted=untrusted)


def _connected(host: str, port: int, timeout_s: float) -> socket.socket:
    return socket.create_connection((host, port), timeout=timeout_s)


def _secured(connection: socket.socket, host: str, *, verify: bool) -> socket.socket:
    """Return the connection after a TLS handshake that offers only HTTP/1.1, as the load does.

    If this fails, close the connection.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        return context.wrap_socket(connection, server_hostname=host)
    except BaseException:
        connection.close()
        raise


def _first_word(connection: socket.socket, authority: str, path: str, timeout_s: float) -> Found:
    give_up_s = time.monotonic() + timeout_s
    question = f"GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: lt\r\nAccept: */*\r\n"
    data = b""
    try:
        # if the server has answered and closed the connection, its answer is still read
        with suppress(ConnectionError):
            connection.sendall(question.encode() + b"Connection: close\r\n\r\n")
        while len(data) < 9:
            connection.settimeout(max(0.001, give_up_s - time.monotonic()))
            more = connection.recv(4096)
            if not more:
                break
            data += more
    except TimeoutError:
        return Found.SLOW if not data else _kind(data)
    except OSError:
        return _kind(data) if data else Found.SILENT
    return _kind(data) if data else Found.SILENT


def _kind(data: bytes) -> Found:
    if data.startswith(b"HTTP/1."):
        return Found.HTTP
    if data[0] == _ALERT and data[1:2] == b"\x03":
        return Found.TLS
    if len(data) >= 9 and data[3] == _SETTINGS and not any(data[5:9]):
        return Found.HTTP2
    return Found.OTHER
