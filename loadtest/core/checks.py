"""Define a check of `lt doctor`: what was checked, what was found, and the command that fixes it."""

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
    """One line of the doctor: what was checked, what was found, and the command that fixes it ("" if all is well)."""

    mark: Mark
    name: str
    finding: str
    cure: str = ""
