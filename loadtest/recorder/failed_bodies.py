"""Keep one failed answer's body for each endpoint and status, because the body shows what is wrong."""

from __future__ import annotations

from typing import Any

from ..core.redaction import redact
from ..recording.run import FailedBodyRecord
from ..users.response import Response

MAX_KINDS = 50
"""A process keeps at most this many bodies, one for each endpoint and status; these are the first bodies that occur."""

MAX_BODY_CHARS = 2_000

MAX_READ_BYTES = 16 * 1024
"""Number of bytes of a body that are searched for secrets before the text is cut."""

TEXT_RATIO = 0.9
"""A body with a smaller share of printable characters is not text, and is not kept."""

_Kind = tuple[str, str, int]


class FailedBodies:
    """The first body that is text, for each kind of failed answer.

    Only bytes that the client has already read are used.
    """

    def __init__(self) -> None:
        self._kept: dict[_Kind, str] = {}
        self._new: list[FailedBodyRecord] = []

    def add(self, *, method: str, name: str, status: int, response: object) -> None:
        """Keep the body of a failed answer, unless a body of the same kind is already kept."""
        kind = (method, name, status)
        if not status or kind in self._kept or len(self._kept) >= MAX_KINDS:
            return
        text = text_of_body(body_read(response))
        if text:
            self._kept[kind] = text
            self._new.append(FailedBodyRecord(method=method, name=name, status=status, body=text))

    def take(self) -> list[dict[str, Any]]:
        """Return the bodies that were added since the last call."""
        new, self._new = self._new, []
        return [record.model_dump() for record in new]


def text_of_body(body: bytes) -> str:
    """Return a body as text of bounded length with secrets masked; "" if the body is empty or is not text."""
    text = body[:MAX_READ_BYTES].decode("utf-8", "replace")
    shown = "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)
    if shown.count("\N{REPLACEMENT CHARACTER}") > (1 - TEXT_RATIO) * len(shown):
        return ""
    masked = redact(shown.strip())
    return masked if len(masked) <= MAX_BODY_CHARS else masked[: MAX_BODY_CHARS - 1] + "…"


def body_read(response: object) -> bytes:
    """Return the part of an answer's body that the client has read; b"" if nothing, or if the client is unknown.

    `requests` keeps this part as `_content`, FastHttpUser's client as `_cached_content`. The public properties of these
    answers would read the whole body, even if the scenario wants to stream the body.
    """
    if isinstance(response, Response):
        return response.content or b""
    for attribute in ("_content", "_cached_content"):
        try:
            content = getattr(response, attribute, None)
        except Exception:  # a scenario's own class may raise any error
            return b""
        if isinstance(content, (bytes, bytearray)):
            return bytes(content[:MAX_READ_BYTES])
    return b""
