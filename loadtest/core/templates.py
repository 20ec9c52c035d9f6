"""Group texts that differ only in ids, numbers, UUIDs or hashes under one template.

Imported by Locust's processes: standard library only.
"""

from __future__ import annotations

import re

_UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_HASH = r"(?=[0-9a-fA-F]*[0-9])(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,}|0x[0-9a-fA-F]+"
_TOKEN = r"(?=[A-Za-z_-]*[0-9][A-Za-z_-]*[0-9])(?=[0-9_-]*[A-Za-z])[A-Za-z0-9_-]{20,}"
_NUMBER = r"[0-9]+(?:[.,:][0-9]+)*"

_VARIABLE = re.compile(
    rf"(?<![0-9A-Za-z])(?:(?P<uuid>{_UUID})|(?P<hash>{_HASH}|{_TOKEN}))(?![0-9A-Za-z])|(?P<n>{_NUMBER})"
)

_ID_SEGMENT = re.compile(
    rf"(?:{_UUID}|{_HASH}|{_TOKEN}|[0-9]+|[A-Za-z]{{0,12}}[-_][0-9]{{2,}}|[0-9]+[-_][0-9A-Za-z_-]+)", re.ASCII
)


def text_template(text: str) -> str:
    """Return the text with UUIDs, hashes, tokens and numbers as `{uuid}`, `{hash}` and `{n}`.

    Idempotent. Meant for error messages, where what varies from request to request would make a kind of each. It is
    about appearance only: two texts of one template may still mean different things.
    """
    return _VARIABLE.sub(_placeholder, text)


def path_template(path: str) -> str:
    """Return a URL's path with each segment that looks like an id as `{id}`, and its query's values as `{value}`.

    Idempotent: `/users/17/orders/9f8e7d6c5b4a` is `/users/{id}/orders/{id}`. A segment that is a word (`v1`, `users`,
    `predict2`) stays.
    """
    route, mark, query = path.partition("?")
    segments = ["{id}" if _ID_SEGMENT.fullmatch(segment) else segment for segment in route.split("/")]
    if not mark:
        return "/".join(segments)
    values = (
        f"{name}={{value}}" if equals else name for name, equals, _ in (p.partition("=") for p in query.split("&"))
    )
    return "/".join(segments) + mark + "&".join(values)


def _placeholder(found: re.Match[str]) -> str:
    return f"{{{found.lastgroup}}}"
