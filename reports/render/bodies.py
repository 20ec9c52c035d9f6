"""Summarise the body of a failed answer in a line: FastAPI's `detail`, a problem's title, or else its beginning."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

LONGEST = 300
"""Characters in a table; the whole body stands in `failures.csv`."""

MOST_ERRORS = 4

_SAYING = ("detail", "message", "error", "title", "reason", "msg", "errors")
"""Keys under which services say what is wrong: FastAPI and RFC 9457, Google's and most other APIs."""

_MARKUP = re.compile(r"(?is)<(script|style|head)\b.*?</\1>|<[^>]*>")


def gist_of(body: str) -> str:
    """Return what a body says, in one line of at most LONGEST characters."""
    try:
        said = " · ".join(_said(json.loads(body)))
    except (ValueError, RecursionError):
        said = ""
    text = said or (_MARKUP.sub(" ", body) if body.lstrip().startswith("<") else body)
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _said(value: object) -> Iterator[str]:
    """Yield the sentences of a JSON body, without any where it has none of the usual keys."""
    if isinstance(value, dict):
        if isinstance(value.get("loc"), list) and isinstance(value.get("msg"), str):  # of pydantic, as FastAPI hands on
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
