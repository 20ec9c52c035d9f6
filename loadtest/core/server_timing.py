"""Parse the `Server-Timing` header (https://www.w3.org/TR/server-timing/)."""

from __future__ import annotations

from .row_bounds import MAX_LATENCY_MS

ENTRY = "predict"
"""The entry with the time that the service itself worked on a request, such as `predict;dur=1.5` (in ms)."""

MAX_US = int(MAX_LATENCY_MS) * 1000
"""Longer durations are rejected, because a row cannot store them."""


def us_of_ms(text: str | bytes) -> int:
    """Return whole µs from a number of ms given as text, rounded half up.

    Raises:
        ValueError: the text is not a number, or the number is not finite, is negative, or is above MAX_US.
    """
    try:
        duration_us = int(float(text) * 1000 + 0.5)
    except OverflowError:  # raised for inf; for nan, int() already raises ValueError
        raise ValueError(f"{text!r} is not finite") from None
    if not 0 <= duration_us <= MAX_US or float(text) < 0:
        raise ValueError(f"{text!r} is not a duration")
    return duration_us


def server_us(value: str) -> int | None:
    """Return the duration of ENTRY in a header's value, in µs; None if the value has no such entry or no duration.

    Raises:
        ValueError: the duration is not a number that `us_of_ms` accepts.
    """
    for entry in value.split(","):
        name, *parameters = entry.split(";")
        if name.strip() != ENTRY:
            continue
        for parameter in parameters:
            key, _, number = parameter.partition("=")
            if key.strip() == "dur":
                return us_of_ms(number.strip(' \t"'))
    return None
