"""Choose plausible texts and numbers from a field's name, format and pattern."""

from __future__ import annotations

import functools
import math
import re
from typing import Any

Expression = tuple[str, tuple[str, ...]]
"""A Python expression and the imports that it needs."""

SENTENCES = (
    "The delivery was quick and the quality is better than expected.",
    "I have been waiting for a reply since Monday.",
    "How long does it take to open an account?",
    "The model answers in a few milliseconds.",
    "It stopped working after the second week.",
    "Thank you, everything went well.",
)
WORDS = ("alpha", "bravo", "delta", "echo", "kilo", "lima", "omega", "sierra", "tango", "zulu")

FORMATS: dict[str, Expression] = {
    "date": (
        "str(datetime.date(2024, 1, 1) + datetime.timedelta(days=draw.randint(0, 700)))",
        ("import datetime",),
    ),
    "date-time": (
        '(datetime.datetime(2024, 1, 1) + datetime.timedelta(seconds=draw.randint(0, 60_000_000))).isoformat() + "Z"',
        ("import datetime",),
    ),
    "time": ('f"{draw.randint(0, 23):02}:{draw.randint(0, 59):02}:{draw.randint(0, 59):02}Z"', ()),
    "duration": ('f"PT{draw.randint(1, 120)}M"', ()),
    "uuid": ("str(uuid.UUID(int=draw.getrandbits(128), version=4))", ("import uuid",)),
    "email": ('f"user{draw.randint(1, 9999)}@example.com"', ()),
    "idn-email": ('f"user{draw.randint(1, 9999)}@example.com"', ()),
    "uri": ('f"https://example.com/{draw.randint(1, 9999)}"', ()),
    "url": ('f"https://example.com/{draw.randint(1, 9999)}"', ()),
    "uri-reference": ('f"/page/{draw.randint(1, 9999)}"', ()),
    "iri": ('f"https://example.com/{draw.randint(1, 9999)}"', ()),
    "hostname": ('f"host{draw.randint(1, 9999)}.example.com"', ()),
    "ipv4": ('f"192.0.2.{draw.randint(1, 254)}"', ()),
    "ipv6": ('f"2001:db8::{draw.randint(1, 9999):x}"', ()),
    "ipvanyaddress": ('f"192.0.2.{draw.randint(1, 254)}"', ()),
    "decimal": ('f"{draw.randint(1, 9999)}.{draw.randint(0, 99):02}"', ()),
    "password": ('f"Secret-{draw.randint(1000, 9999)}"', ()),
    "phone": ('f"+1555{draw.randint(1000000, 9999999)}"', ()),
    "json-pointer": ('"/a/0"', ()),
    "regex": ('"[a-z]+"', ()),
}
"""Expressions by the schema's `format`. All names and numbers in these expressions are reserved for documentation (RFC
2606, RFC 5737)."""

_NAMED: tuple[tuple[str, str], ...] = (
    (r"e.?mail", "email"),
    (r"(^|_)(url|uri|link)$", "url"),
    (r"uuid|guid", "uuid"),
    (r"(date_?time|timestamp|_at)$", "date-time"),
    (r"(^|_)(date|birthday|dob)$|date_of", "date"),
    (r"phone|mobile", "phone"),
    (r"(^|_)ip(_?addr(ess)?)?$", "ipv4"),
    (r"host(name)?$", "hostname"),
)
_CHOICES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"first_?name|given", ("Ada", "Grace", "Alan", "Edsger", "Barbara")),
    (r"last_?name|surname|family", ("Lovelace", "Hopper", "Turing", "Dijkstra", "Liskov")),
    (r"country_?code|^country$", ("US", "DE", "GB", "FR", "NL")),
    (r"city|town", ("Berlin", "London", "Paris", "Austin", "Utrecht")),
    (r"^state$|province|region", ("CA", "NY", "TX", "WA", "IL")),
    (r"zip|post(al)?_?code", ("10115", "94103", "60601", "73301", "98101")),
    (r"currency", ("USD", "EUR", "GBP")),
    (r"lang(uage)?|locale", ("en", "de", "fr")),
    (r"gender|sex$", ("female", "male")),
    (r"colou?r", ("red", "green", "blue")),
)
_SENTENCE = re.compile(
    r"text|prompt|question|query|comment|review|message|content|description|body|sentence|document|title|note|input",
    re.IGNORECASE,
)

_RANGES: tuple[tuple[str, float, float], ...] = (
    (r"(^|_)age(_|$)", 18, 90),
    (r"year", 2000, 2025),
    (r"month", 1, 12),
    (r"(^|_)day(_|$|s$)", 1, 28),
    (r"hour", 0, 23),
    (r"minute", 0, 59),
    (r"lat(itude)?$", -60, 60),
    (r"lon(g|gitude)?$|lng$", -150, 150),
    (r"prob|ratio|rate$|fraction|threshold|share|temperature|top_?p$", 0, 1),
    (r"percent|pct|humidity", 0, 100),
    (r"income|salary|revenue|loan|amount|balance|price|cost|value|limit", 100, 10_000),
    (r"(^|_)(top_?)?k$|count|num|quantity|qty|size|page", 1, 5),
    (r"(^|_)id$", 1, 100),
)


def text_of(name: str, least: int, most: int | None) -> Expression:
    """Return an expression for a text, chosen by the name of its field, within its lengths in characters."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    for pattern, form in _NAMED:
        if re.search(pattern, plain) and most is None and least <= 8:
            return FORMATS[form]
    for pattern, values in _CHOICES:
        if re.search(pattern, plain) and _fit(values, least, most):
            return f"draw.choice({tuple(_fit(values, least, most))!r})", ()
    if _SENTENCE.search(plain) and (fitting := _fit(SENTENCES, least, most)):
        return _shared("SENTENCES", SENTENCES, fitting)
    fitting = _fit(WORDS, least, most)
    return _shared("WORDS", WORDS, fitting) if fitting else (_long_text(least, most), ())


def _long_text(least: int, most: int | None) -> str:
    """Return an expression for a text with at least `least` and, if it is given, at most `most` characters."""
    size = max(least, min(8 if most is None else most, max(least, 8)))
    if size > 4000:
        return f'("lorem ipsum " * {-(-size // 12)})[:{size}]'
    return f'"".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k={size}))' if size else repr("")


def _shared(name: str, values: tuple[str, ...], fitting: list[str]) -> Expression:
    """Return a choice from a list. If the whole list fits, the generated file defines it once."""
    return (f"draw.choice({name})" if len(fitting) == len(values) else f"draw.choice({tuple(fitting)!r})"), ()


def _fit(values: tuple[str, ...], least: int, most: int | None) -> list[str]:
    return [each for each in values if least <= len(each) and (most is None or len(each) <= most)]


def number_range(schema: dict[str, Any], name: str, kind: str) -> tuple[float, float]:
    """Return the lowest and the highest value that may be drawn for a number.

    Both values follow from the bounds in the schema. If the schema leaves a bound open, the name of the field decides
    it.
    """
    low, high = _number(schema.get("minimum")), _number(schema.get("maximum"))
    below, above = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    step: float = 1 if kind == "integer" else _step(low, high, below, above)
    if below is True and low is not None:  # OpenAPI 3.0
        low += step
    elif (bound := _number(below)) is not None:
        low = max(bound + step, -math.inf if low is None else low)
    if above is True and high is not None:
        high -= step
    elif (bound := _number(above)) is not None:
        high = min(bound - step, math.inf if high is None else high)
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    usual = next(((a, b) for pattern, a, b in _RANGES if re.search(pattern, plain)), None)
    if usual is None:
        usual = (1, 100) if kind == "integer" else (0.0, 10.0)
    if low is not None and high is not None:
        return (math.ceil(low), max(math.ceil(low), math.floor(high))) if kind == "integer" else (low, max(low, high))
    wide = usual[1] - usual[0]
    if low is not None:
        begin = max(low, usual[0])
        return (begin, usual[1]) if usual[1] > begin else (low, low + wide)
    if high is not None:
        end = min(high, usual[1])
        return (usual[0], end) if usual[0] < end else (high - wide, high)
    return usual


def _step(*bounds: Any) -> float:
    """Return how far a value must stay from an excluded bound: 0.01, or 1 % of a range that is smaller than 1."""
    known = [bound for bound in map(_number, bounds) if bound is not None]
    width = max(known) - min(known) if len(known) > 1 else 1.0
    return min(0.01, width / 100) or 1e-6


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


SAMPLES = 10
"""Number of texts that are drawn for a pattern."""


@functools.cache
def pattern_samples(pattern: str, least: int, most: int | None) -> list[str]:
    """Return printable texts that match an ECMA pattern and the lengths; none if no such text can be found.

    Hypothesis' `from_regex` draws them with a fixed seed, so that they are always the same.
    """
    import hypothesis
    from hypothesis import strategies as st
    from hypothesis.errors import HypothesisException

    pattern = python_pattern(pattern)
    try:
        compiled = re.compile(pattern, re.ASCII)
        sized = re.compile(_sized(pattern, least, most), re.ASCII)
    except (re.error, RecursionError, OverflowError):
        return []
    found: list[str] = []
    alphabet = st.characters(min_codepoint=32, max_codepoint=126)
    # each draw takes 40 ms, and most of the drawn texts are rejected
    looks_around = re.search(r"\(\?<?[=!]", pattern) is not None
    ends = pattern.startswith("^") and pattern.endswith("$")
    strategy = st.from_regex(sized, fullmatch=ends, alphabet=alphabet)

    @hypothesis.seed(1)
    @hypothesis.settings(
        max_examples=SAMPLES * (3 if looks_around else 20),
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def collect(text: str) -> None:
        text = text.strip("\n")
        if (
            text
            and text not in found
            and least <= len(text)
            and (most is None or len(text) <= most)
            and compiled.search(text)
        ):
            found.append(text)

    try:
        collect()
    except (HypothesisException, re.error, RecursionError, ValueError, KeyError, TypeError):
        return found[:SAMPLES]
    return sorted(found, key=lambda text: (abs(len(text) - max(least, 8)), text))[:SAMPLES]


def python_pattern(pattern: str) -> str:
    """Convert an ECMA pattern to Python's syntax: named groups, and the ASCII part of Unicode classes."""
    pattern = re.sub(r"\(\?<(?![=!])", "(?P<", pattern)
    pattern = re.sub(r"\\k<(\w+)>", r"(?P=\1)", pattern)
    found, inside, at = "", False, 0
    while at < len(pattern):
        match = _UNICODE_CLASS.match(pattern, at)
        if match is not None and (letters := _ASCII_PART.get(match[1])) is not None:
            found += letters if inside else f"[{letters}]"
            at = match.end()
            continue
        if pattern[at] == "\\":
            found += pattern[at : at + 2]
            at += 2
            continue
        inside = (inside or pattern[at] == "[") and pattern[at] != "]"
        found += pattern[at]
        at += 1
    return found


_UNICODE_CLASS = re.compile(r"\\p\{(?:\w+=)?(\w+)\}")
_ASCII_PART = {
    **dict.fromkeys(("L", "Letter", "Alphabetic", "Latin"), "a-zA-Z"),
    **dict.fromkeys(("Lu", "Uppercase_Letter", "Uppercase"), "A-Z"),
    **dict.fromkeys(("Ll", "Lowercase_Letter", "Lowercase"), "a-z"),
    **dict.fromkeys(("N", "Nd", "Number", "Decimal_Number"), "0-9"),
    **dict.fromkeys(("P", "Punctuation"), "!?.,;:"),
    **dict.fromkeys(("Z", "Zs", "Separator", "Space_Separator"), " "),
}


def _sized(pattern: str, least: int, most: int | None) -> str:
    """Replace the `+` or `*` of a pattern that repeats one class, such as `^[A-Z]+$`, by the allowed lengths."""
    match = re.fullmatch(r"(\^?(?:\[(?:[^\]\\]|\\.)+\]|\\?\w|\.))[+*](\$?)", pattern)
    if match is None or (least == 0 and most is None):
        return pattern
    return f"{match[1]}{{{max(least, 1)},{most if most is not None else max(least, 1) + 8}}}{match[2]}"
