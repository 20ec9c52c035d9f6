"""Summarise the body of a failed answer in one line: FastAPI's `detail`, a problem's title, or else its first words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

LONGEST = 300
"""Number of characters shown in a table. `failures.csv` has the whole body."""

MOST_ERRORS = 4

_SAYING = ("detail", "message", "error", "title", "reason", "msg", "errors")
"""Keys under which services describe an error: those of FastAPI and RFC 9457, of Google and of most other APIs."""

_MARKUP = re.compile(r"(?is)<(script|style|head)\b.*?</\1>|<[^>]*>")


def gist_of(body: str) -> str:
    """Return the content of a body in one line of at most LONGEST characters."""
    try:
        said = " · ".join(_said(json.loads(body)))
    except (ValueError, RecursionError):
        said = ""
    text = said or (_MARKUP.sub(" ", body) if body.lstrip().startswith("<") else body)
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _said(value: object) -> Iterator[str]:
    """Yield the sentences of a JSON body; nothing if the body has none of the usual keys."""
    if isinstance(value, dict):
        if isinstance(value.get("loc"), list) and isinstance(
            value.get("msg"), str
        ):  # pydantic's errors, which FastAPI passes on
            yield f"{'.'.join(str(part) for part in value['loc'])}: {value['msg']}"
            return
        for key in _SAYING:
            if value.get(key):
                yield from _said(value[key])
                return
    elif isinstance(value, list):
        for inner in value[:MOST_ERRORS]:
            yield from _said(inner)
        if len(value) > MOST_ERRORS:
            yield f"{len(value) - MOST_ERRORS} more"
    elif isinstance(value, str):
        yield value
