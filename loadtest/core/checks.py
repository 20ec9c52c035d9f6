"""Define one line of `lt doctor`: what was looked at, what was found, and the command that cures it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    """The result of a check."""

    GOOD = "✓"
    RISKY = "!"
    BAD = "✗"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor: what was looked at, what was found, and the command that cures it ("" when good)."""

    mark: Mark
    name: str
    finding: str
    cure: str = ""
