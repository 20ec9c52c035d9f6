"""Decide whether one of our listeners may answer an HTTP request, by its Host, Origin, content type and secret.

Every listener that `lt` opens is on loopback. So other machines are kept out, but web pages in a browser on this
machine are not. A page can

    send a form or an image request to any port of this machine     -> Origin, Sec-Fetch-Site, content type, secret
    point its own name at 127.0.0.1 (DNS rebinding)                 -> Host: an address or `localhost`, never a name

Every listener calls `Access.refusal`, so that there is only one set of rules. The rules are those of OWASP's Cross-Site
Request Forgery Prevention cheat sheet (origin check, custom header) and of the Fetch Metadata specification.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""HTTP methods that change nothing."""

JSON = "application/json"

NO_TOKEN_REASON = "LOCAL_ACCESS_TOKEN_MISSING"
"""`google.rpc.ErrorInfo.reason` of a gRPC call without the secret. With this reason, our clients distinguish this
refusal from a refusal by Google."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The refusal of a request: an HTTP status, and a sentence that says how to get an answer."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The parts of a request that the rules look at.

    If a header was sent twice, its values are joined by `, `, so that no rule accepts the result.
    """

    method: str
    host: str | None = None
    origin: str | None = None
    fetch_site: str | None = None
    content_type: str | None = None
    authorization: str | None = None
    has_body: bool = False

    @classmethod
    def of(cls, method: str, headers: Iterable[tuple[str, str]]) -> RequestHead:
        """Return the head of a request with these headers. The case and order of the headers do not matter."""
        found: dict[str, str] = {}
        for name, value in headers:
            key = name.lower()
            found[key] = f"{found[key]}, {value}" if key in found else value
        return cls(
            method=method.upper(),
            host=found.get("host"),
            origin=found.get("origin"),
            fetch_site=found.get("sec-fetch-site"),
            content_type=found.get("content-type"),
            authorization=found.get("authorization"),
            has_body="transfer-encoding" in found or found.get("content-length", "0") != "0",
        )


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one listener.

    Attributes:
        secret: generated at each start; a client that knows the secret may do everything that the listener offers.
        names: the listener's host names besides loopback addresses and `localhost`; `*.suffix` is allowed.
    """

    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    names: tuple[str, ...] = ()

    def refusal(self, head: RequestHead, *, needs_secret: bool) -> Refusal | None:
        """Return why the request is refused; None if it may be answered.

        A body must be JSON, which a page cannot send to another site without a preflight.

        Args:
            head: the head of the request.
            needs_secret: whether `Authorization: Bearer SECRET` is required.
        """
        foreign = self.foreign(head)
        if foreign is not None:
            return foreign
        if needs_secret and not self.knows(bearer_of(head.authorization)):
            return Refusal(
                401, "This request needs the access token of the current start: `Authorization: Bearer TOKEN`."
            )
        changes = head.method not in SAFE_METHODS
        if changes and (head.has_body or head.method != "DELETE") and not _is_json(head.content_type):
            return Refusal(415, f"Content-Type {head.content_type!r}: must be {JSON}.")
        return None

    def foreign(self, head: RequestHead) -> Refusal | None:
        """Return why a request seems to come from a web page of another site; None if it does not."""
        if head.host is None or not self._answers_to(head.host):
            return Refusal(403, f"Host {head.host!r} is not a name of this listener: use http://127.0.0.1:PORT.")
        if head.origin is not None and head.origin not in (f"http://{head.host}", f"https://{head.host}"):
            return Refusal(403, f"Origin {head.origin!r}: web pages of other sites are not answered.")
        if head.fetch_site not in (None, "none", "same-origin"):
            return Refusal(403, f"Sec-Fetch-Site {head.fetch_site!r}: web pages of other sites are not answered.")
        return None

    def knows(self, given: str | None) -> bool:
        """Whether `given` is the secret, compared in constant time."""
        return given is not None and secrets.compare_digest(given.encode(), self.secret.encode())

    def _answers_to(self, host: str) -> bool:
        name = host_name(host)
        if name is None:
            return False
        return is_loopback_name(name) or any(
            name == host or (host.startswith("*") and name.endswith(host[1:])) for host in self.names
        )


def host_name(host: str) -> str | None:
    """Return the name in a Host header without its port, in lower case; None if the header is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # ValueError: not a number
    except ValueError:
        return None
    plain = parts.path == parts.query == parts.fragment == "" and "@" not in parts.netloc
    return parts.hostname if plain else None


def is_loopback_name(name: str) -> bool:
    """Whether a host name always means this machine: a loopback address, or `localhost`.

    DNS rebinding cannot change what an address means. On Linux, 0.0.0.0 also reaches loopback, but none of our clients
    uses it.
    """
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def bearer_of(authorization: str | None) -> str | None:
    """Return the token of an `Authorization: Bearer TOKEN` header; None if the header has another form."""
    kind, _, token = (authorization or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


def _is_json(content_type: str | None) -> bool:
    return (content_type or "").partition(";")[0].strip().lower() == JSON
