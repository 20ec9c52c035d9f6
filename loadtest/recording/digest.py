"""Detect by a digest whether the values in `run.json` were changed after they were written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

KEY = "digest"

CHANGED = (
    "run.json does not contain the values that lt wrote (its digest differs): the file is damaged, or was edited; "
    f"if it was edited on purpose, remove its `{KEY}` line"
)
"""The sentence about a record whose digest does not match."""


def with_digest(text: str) -> str:
    """Return a record's JSON object, indented as by pydantic, with the digest of its values as the last key."""
    return f'{text.removesuffix(chr(10) + "}")},\n  "{KEY}": "{digest_of(json.loads(text))}"\n}}\n'


def digest_of(fields: Mapping[str, object]) -> str:
    """Return the SHA-256 of the values without the digest itself. The order and layout of the values do not matter."""
    others = {name: value for name, value in fields.items() if name != KEY}
    return hashlib.sha256(json.dumps(others, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
