"""Parse `--prices` and `--free-tier`."""

from __future__ import annotations

import json
from pathlib import Path

from .errors import UsageError
from .prices import prices_for


def overrides(path: Path | None, *, free_tier: bool) -> dict[str, object]:
    """Return the fields of `core.prices.Prices` that `--prices` and `--free-tier` replace.

    Raises:
        UsageError: the file cannot be read, or has a field that is not a price; the message lists the valid fields.
    """
    given: dict[str, object] = {}
    if path is not None:
        try:
            given = dict(json.loads(path.read_text(encoding="utf-8")))
            prices_for(None, given)
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise UsageError(f"`--prices {path}`: must be a JSON object of prices ({error}).") from error
    return given | ({"free_tier": True} if free_tier else {})
