"""Decide whether and how to follow a redirect (RFC 9110, 15.4), as FastHttpUser does, except for other hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..http.response_parser import fields_of
from .encoding import without
from .request_body import NO_BODY
from .sites import Site, Sites

REDIRECTS = frozenset({301, 302, 303, 307, 308})

OF_A_BODY = frozenset({"content-length", "content-type", "content-encoding"})
CREDENTIALS = frozenset({"authorization"})


class RedirectError(Exception):
    """The service answered with a redirect that is not followed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request in a chain of redirects: the first request, or a request that follows a redirect.

    Attributes:
        kind: the kind of the request's body (request_body.py).
        headers: the headers of the request itself.
    """

    site: Site
    target: str
    method: str
    body: bytes
    kind: int
    headers: Mapping[str, str] | None


def location_of(status: int, raw_head: bytes) -> str:
    """Return the location to which an answer redirects; "" if it does not redirect."""
    if status not in REDIRECTS:
        return ""
    return next((value.decode("latin-1") for name, value in fields_of(raw_head) if name == b"location"), "")


def next_step(step: Step, first: Site, sites: Sites, status: int, location: str) -> Step:
    """Return the request that follows a redirect.

    For 301, 302 and 303 the next request is a GET without body (after a HEAD, it is a HEAD); 307 and 308 repeat the
    request. A Cookie header of the request is dropped, because the cookies of the jar are added again. The
    Authorization header is dropped if the redirect leads to another server.

    Raises:
        RedirectError: the redirect may not be followed; the message says why.
    """
    try:
        site, target = sites.redirected(step.site, step.target, location)
    except ValueError as refusal:
        raise RedirectError(f"HTTP {status}: the redirect is not followed: {refusal}") from refusal
    dropped = frozenset({"cookie", "host"})
    method, body, kind = step.method, step.body, step.kind
    if status in (301, 302, 303):
        method, body, kind = "HEAD" if method == "HEAD" else "GET", b"", NO_BODY
        dropped |= OF_A_BODY
    if site is not first:
        dropped |= CREDENTIALS
    return Step(site, target, method, body, kind, without(step.headers, dropped))
