"""Format numbers for readers: with a unit, rounded to their precision, and "–" if not known."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta

ABSENT = "–"

OUTCOMES: Mapping[str, str] = {
    "http_error": "HTTP error",
    "timeout": "timeout",
    "connection": "no connection",
    "check_failed": "failed check",
    "unanswered": "never answered",
    "generator": "not sent by the load generator",
    "wrong_answer": "wrong answer",
}

PHASES: Mapping[str, str] = {"warmup": "warm-up", "all": "whole run"}


def count(value: float | None) -> str:
    """Return a whole number with thousands separators."""
    return ABSENT if value is None else f"{value:,.0f}"


def decimal(value: float | None) -> str:
    """Return a number, rounded to about three significant digits."""
    if value is None:
        return ABSENT
    size = abs(value)
    return f"{value:,.{0 if size >= 100 or size == 0 else 1 if size >= 10 else 2}f}"


def ms(value: float | None) -> str:
    """Return milliseconds with their unit. Values of 10 s or more are given in seconds."""
    if value is None:
        return ABSENT
    return f"{value / 1000:,.1f} s" if abs(value) >= 10_000 else f"{decimal(value)} ms"


def size(value: float | None) -> str:
    """Return bytes with their unit: 40 B, 1.2 kB, 3.4 MB."""
    if value is None:
        return ABSENT
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{decimal(value / factor)} {unit}"
    return f"{decimal(value)} B"


def at_least(value: float | None) -> str:
    """Return a censored latency with "≥": the true latency is this long or longer."""
    return ABSENT if value is None else f"≥ {ms(value)}"


def interval_ms(low: float | None, high: float | None) -> str:
    """Return an interval in ms without its unit. Without an upper end it becomes "≥"."""
    if low is None:
        return ABSENT
    return f"≥ {decimal(low)}" if high is None else f"{decimal(low)} … {decimal(high)}"


def seconds(value: float | None) -> str:
    """Return a duration: 0.42 s, 45 s, 2 min, 1 h 5 min."""
    if value is None:
        return ABSENT
    if value < 10:
        return f"{value:.2f}".rstrip("0").rstrip(".") + " s"
    whole = round(value)
    if whole < 120:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min {left} s" if left else f"{minutes} min"


def elapsed(value: float | None) -> str:
    """Return a time after load start as m:ss, or h:mm:ss."""
    if value is None:
        return ABSENT
    whole = round(abs(value))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    text = f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"
    return f"−{text}" if value <= -0.5 else text


def utc(start: datetime, after_s: float | None = 0.0) -> str:
    """Return the UTC time of day that is `after_s` after `start`."""
    return ABSENT if after_s is None else f"{start + timedelta(seconds=after_s):%H:%M:%S}"


def day(start: datetime) -> str:
    """Return the UTC date and minute."""
    return f"{start:%Y-%m-%d %H:%M} UTC"


def percent(ratio: float | None) -> str:
    """Return a share: 0 %, 0.02 %, 1.5 %, 12.0 %."""
    if ratio is None:
        return ABSENT
    value = 100 * ratio
    if 0 < value < 0.01:
        return "< 0.01 %"
    return f"{value:.{0 if value in (0, 100) else 2 if value < 1 or 99 < value < 100 else 1}f} %"


def change(ratio: float | None) -> str:
    """Return a relative difference with its sign: +12 %, −3.4 %. A doubling or more is given as a factor: × 2.5."""
    if ratio is None:
        return ABSENT
    if ratio >= 1:
        return times(1 + ratio)
    value = 100 * ratio
    text = f"{abs(value):.{0 if abs(value) >= 10 else 1}f} %"
    return ("+" if value >= 0 else "−") + text


def change_interval(low: float | None, high: float | None) -> str:
    """Return the interval of a relative difference.

    An upper end that is more than ten times the lower end says nothing, and is left out.
    """
    if low is not None and high is not None and 1 + high > 10 * (1 + low):
        return f"at least {1 + low:,.0f} times" if low >= 1 else f"{change(low)} or more"
    return ABSENT if low is None or high is None else f"{change(low)} … {change(high)}"


def times(ratio: float | None) -> str:
    """Return a factor: × 1.8."""
    return ABSENT if ratio is None else f"× {ratio:,.1f}"


def moved(ratio: float) -> str:
    """Return how a level changed, as a verb: "rose 84-fold", "rose by 45 %", "fell by 20 %", "did not change"."""
    if ratio >= 2:
        return f"rose {ratio:,.{0 if ratio >= 10 else 1}f}-fold"
    if abs(ratio - 1) < 0.005:
        return "did not change"
    return f"{'rose' if ratio > 1 else 'fell'} by {abs(100 * (ratio - 1)):.0f} %"


def usd(value: float | None) -> str:
    """Return an amount in US dollars with two significant digits, even if the amount is very small."""
    if value is None:
        return ABSENT
    digits = 2 if value == 0 or abs(value) >= 0.1 else min(8, 1 - math.floor(math.log10(abs(value))))
    return f"${value:,.{digits}f}"


def outcome(name: str) -> str:
    """Return the words for the outcome of a request; docs/terms.md defines each."""
    return OUTCOMES.get(name, name.replace("_", " "))


def phase(name: str) -> str:
    """Return the words for a phase of a run, or for another scope of a comparison."""
    return PHASES.get(name, name)


def printable(text: str) -> str:
    """Return the text on one line, without characters that would move a terminal's cursor.

    Error messages may contain anything.
    """
    return "".join(char if char.isprintable() else " " for char in text)


def unbroken(text: str) -> str:
    """Return the text with each number kept on one line with its unit or its sign."""
    return re.sub(r"(?<=\d) (?=(?:ms|s|min|h)\b|[%×])|(?<=[×≥±✓✗?]) (?=\S)", "\u00a0", text)


def quantile(q_ratio: float) -> str:
    """Return the name of a percentile: p50, p99.9, max."""
    return "max" if q_ratio >= 1 else f"p{100 * q_ratio:.6g}"


def plural(number: float, single: str) -> str:
    """Return "1 spike", "2 spikes"."""
    return f"{count(number)} {single if number == 1 else single + 's'}"


def listing(items: list[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
