"""Parse a duration. Options and objectives use the same forms: `90`, `90s`, `2m`, `2min`, `1h30m`, `1.5 h`."""

from __future__ import annotations

import re

_UNIT_S = {"ms": 0.001, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.ASCII)

EXAMPLES = "90s, 2m or 1h30m"
"""Valid examples, for messages that reject a duration."""


def parse_duration_s(text: str) -> float:
    """Return seconds. A number without a unit is in seconds. Units are written from large to small, each at most once.

    Raises:
        ValueError: the text is not a duration; the message gives the reason without the text.
    """
    seconds, at, smallest = 0.0, 0, float("inf")
    while at < len(text) or not at:
        part = _PART.match(text, at)
        if part is None or part.end() == at:
            raise ValueError(f"give a duration such as {EXAMPLES}")
        number, unit = part.groups()
        if not unit and (at or part.end() < len(text)):
            raise ValueError(f"`{number}` needs a unit: s, m (min) or h")
        scale = _UNIT_S.get(unit or "s")
        if scale is None:
            raise ValueError(f"`{unit}` is not a unit of time: s, m (min) or h")
        if scale >= smallest:
            raise ValueError("write larger units first, each once, as in 1h30m")
        seconds, at, smallest = seconds + float(number) * scale, part.end(), scale
    return round(seconds, 6)  # 1.1 × 60 is 66.00000000000001
