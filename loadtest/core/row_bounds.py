"""Define limits for the numbers of a row, whatever their source. A number outside the limits is left out."""

from __future__ import annotations

import math
from numbers import Number

MAX_LATENCY_MS = 7 * 86_400_000.0
"""Upper limit of a latency and of a server time: a week."""

MAX_AGE_MS = 10 * 366 * 86_400_000.0
"""Upper limit of an instance's age: ten years."""

MAX_BYTES = 2**50


def number_of(value: object) -> float | None:
    """Return any number (int, float, Decimal, numpy's) as a finite float, else None.

    Text does not count as a number.
    """
    if isinstance(value, (str, bytes, complex)) or value is None:
        return None
    try:
        if not isinstance(value, Number) and not hasattr(value, "__float__"):
            return None
        number = float(value)
    except Exception:
        # numpy arrays of two elements raise an error here, and a scenario's own class may raise any error
        return None
    return number if math.isfinite(number) else None


def latency_us_of(ms: object) -> int | None:
    """Return a latency given in ms as whole µs; None if it is outside the limits."""
    number = number_of(ms)
    return None if number is None or not 0 <= number <= MAX_LATENCY_MS else round(number * 1000)


def bytes_of(size: object) -> int | None:
    """Return a size as a whole number of bytes; None if it is outside the limits."""
    number = number_of(size)
    return None if number is None or not 0 <= number <= MAX_BYTES else int(number)
