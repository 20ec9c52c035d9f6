"""Encode the part of a request before its body: path, query and headers."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlencode

from .refusals import SEE
from .request_body import JSON, KIND_TYPES, NO_BODY

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_PLAIN_TARGET = re.compile(r"[A-Za-z0-9\-._~/?&=:@!$'()*+,;]*\Z")

Params = Mapping[str, Any] | Iterable[tuple[str, Any]] | str | bytes


class ClientHeaders(MutableMapping[str, str]):
    """Headers that are sent with every request. A change takes effect at the next request."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._values: dict[str, tuple[str, str]] = {}

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()][1]

    def __setitem__(self, name: str, value: str) -> None:
        encode_header(name, value)
        self._values[name.lower()] = (name, value)
        self._changed()

    def __delitem__(self, name: str) -> None:
        del self._values[name.lower()]
        self._changed()

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._values.values())

    def __len__(self) -> int:
        return len(self._values)


def encode_header(name: str, value: Any) -> bytes:
    """Return `Name: value` and its line end.

    Raises:
        ValueError: the name is not valid, or the value has a line break, which would end the header early, or a
            character that Latin-1 does not contain.
    """
    text = str(value)
    if not _TOKEN.match(name) or "\r" in text or "\n" in text or "\0" in text:
        raise ValueError(f"header {name!r}: the name is not a valid header name, or the value contains a line break")
    return f"{name}: {text}".encode("latin-1") + b"\r\n"


def encode_headers(
    client_headers: Mapping[str, str], kind: int, headers: Mapping[str, str] | None, extra: Mapping[str, str]
) -> dict[str, bytes]:
    """Return the encoded lines of the headers, by name in lower case.

    The request's headers override those of the client and of the body, and `extra` overrides all headers. The headers
    of a JSON body override the headers of the client, but the headers of other bodies do not. Content-Length is left
    out, because the client itself states the length of the body.

    Raises:
        ValueError: a header cannot be sent, or is Transfer-Encoding.
    """
    fields = {name.lower(): encode_header(name, value) for name, value in client_headers.items()}
    if kind == JSON:
        fields["content-type"] = encode_header("Content-Type", KIND_TYPES[JSON])
        fields["accept"] = encode_header("Accept", KIND_TYPES[JSON])
    elif kind != NO_BODY:
        fields.setdefault("content-type", encode_header("Content-Type", KIND_TYPES[kind]))
    for name, value in {**(headers or {}), **extra}.items():
        if value is not None:
            fields[name.lower()] = encode_header(name, value)
    fields.pop("content-length", None)
    if "transfer-encoding" in fields:
        raise ValueError(
            f"header Transfer-Encoding: bodies are always sent in one piece, with their Content-Length. {SEE}."
        )
    return fields


def basic_auth(user: str | bytes, password: str | bytes) -> str:
    """Return the value of an Authorization header (RFC 7617, Latin-1 as FastHttpUser encodes it)."""
    pair = [part.encode("latin-1") if isinstance(part, str) else part for part in (user, password)]
    return "Basic " + b64encode(b":".join(pair)).decode()


def with_params(target: str, params: Params | None) -> str:
    """Return path and query with the parameters added. None values are left out, and lists become repeated parameters.

    Raises:
        ValueError: `params` is neither text, a mapping nor pairs.
    """
    if params is None:
        return target
    if isinstance(params, bytes):
        query = params.decode("latin-1")
    elif isinstance(params, str):
        query = params
    else:
        pairs = []
        for name, values in list(params.items() if isinstance(params, Mapping) else params):
            for value in [values] if isinstance(values, str | bytes) or not isinstance(values, Iterable) else values:
                if value is not None:
                    pairs.append((name, value))
        query = urlencode(pairs)
    if not query:
        return target
    return f"{target}{'&' if '?' in target else '?'}{query}"


def quoted(target: str) -> str:
    """Return path and query, in which characters that a request line does not allow are percent-encoded.

    As in FastHttpUser, characters that are already encoded are not encoded again.
    """
    if _PLAIN_TARGET.match(target):
        return target
    from requests.utils import requote_uri

    return requote_uri(target)


def without(headers: Mapping[str, str] | None, names: frozenset[str]) -> dict[str, str]:
    """Return the headers except those of `names` (in lower case)."""
    return {name: value for name, value in (headers or {}).items() if name.lower() not in names}
