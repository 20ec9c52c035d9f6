"""Lay out a table for the terminal without rich, because importing rich takes longer than a short verb takes to run."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Sequence

from .terminal import is_terminal, visible

_SGR = {"red": 31, "green": 32, "yellow": 33, "cyan": 36}


def padded(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> list[list[str]]:
    """Return the cells padded to the width of their columns, with control characters escaped.

    Args:
        rows: the cells of each row; all rows have the same length.
        right: the columns that are aligned to the right.
    """
    shown = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(width_of, column)) for column in zip(*shown, strict=True)]
    return [[_pad(cell, widths[at], right=at in right) for at, cell in enumerate(row)] for row in shown]


def width_of(text: str) -> int:
    """Return how many terminal columns a text takes: two for a wide character, and none for a combining character."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def coloured(text: str, colour: str) -> str:
    """Return the text in colour if stdout is a terminal that shows colours."""
    if not is_terminal() or os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown"):
        return text
    return f"\x1b[{_SGR[colour]}m{text}\x1b[0m"


def _pad(cell: str, width: int, *, right: bool) -> str:
    space = " " * (width - width_of(cell))
    return space + cell if right else cell + space
