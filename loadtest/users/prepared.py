"""Prepare the parts that all requests with the same method, address and kind of body have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..core.templates import path_template
from ..http.pool import Pool
from .encoding import encode_headers
from .sites import Site

IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})  # RFC 9110, 9.2.2
WITH_BODY = frozenset(
    {"POST", "PUT", "PATCH"}
)  # methods that are sent with Content-Length even if the body is empty (RFC 9110, 8.6)


@dataclass(frozen=True, slots=True, eq=False)
class PreparedRequest:
    """A request without its body, encoded once.

    Attributes:
        head: everything up to the number of bytes of the body.
        bare: the whole request, if it has no body and states no length; else b"".
        lines: request line and headers without Content-Length.
        name: the name under which the request is recorded without `name=`; `name_id`, `method_id`: ids of interned
            strings.
        site, target: the server, and path with query.
        pool: the connections to that server.
        kind: the kind of the request's body (request_body.py).
        replayable: whether the request's method is idempotent.
        bodiless: whether the answer has no body.
        side: to which of two targets the request is sent, as an index into SIDES; 0 in a run with one target.
    """

    head: bytes
    bare: bytes
    lines: bytes
    method: str
    name: str
    name_id: int
    method_id: int
    site: Site
    target: str
    pool: Pool
    kind: int
    replayable: bool
    bodiless: bool
    side: int

    @property
    def url(self) -> str:
        """The whole URL."""
        return self.site.origin + self.target

    def wire(self, body: bytes, cookies: bytes = b"") -> bytes:
        """Return the whole request. `cookies` is an encoded header, or b""."""
        if cookies:
            lines = self.lines + cookies
            return (
                b"%bContent-Length: %d\r\n\r\n%b" % (lines, len(body), body)
                if body or not self.bare
                else lines + b"\r\n"
            )
        return b"%b%d\r\n\r\n%b" % (self.head, len(body), body) if body or not self.bare else self.bare


def prepare(
    site: Site,
    target: str,
    method: str,
    kind: int,
    *,
    name: str,
    text_id: Callable[[str], int],
    client_headers: Mapping[str, str],
    headers: Mapping[str, str] | None,
    last_headers: Mapping[str, str],
    side: int = 0,
) -> PreparedRequest:
    """Return a request to a path of a server.

    Args:
        site: the server.
        target: path and query, encoded.
        method: in capitals.
        kind: the kind of body (request_body.py).
        name: the request's name in Locust's event; in the request's row, ids in the name are grouped
            (core/templates.py).
        text_id: returns the ids of the row buffer.
        client_headers: sent with every request.
        headers: the headers of this request, which override the headers of the client.
        last_headers: headers that override the client's headers and those of the request.
        side: which of two targets the client calls.
    """
    fields = encode_headers(client_headers, kind, headers, last_headers)
    line = f"{method} {target} HTTP/1.1\r\n".encode("ascii")
    lines = line + fields.pop("host", site.host_header) + b"".join(fields.values())
    return PreparedRequest(
        head=lines + b"Content-Length: ",
        bare=b"" if method in WITH_BODY else lines + b"\r\n",
        lines=lines,
        method=method,
        name=name,
        name_id=text_id(path_template(name)),
        method_id=text_id(method),
        site=site,
        target=target,
        pool=site.pool,
        kind=kind,
        replayable=method in IDEMPOTENT,
        bodiless=method == "HEAD",
        side=side,
    )
