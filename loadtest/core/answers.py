"""Compare an answer under load with the answer to the same request before the load."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

MAX_DIFFERENCES = 5
"""At most this many differing fields of an answer are named."""

MAX_VALUE_CHARS = 80

LARGE = 1e6
"""Numbers above this size have the same tolerance as a number of this size."""

WHOLE = "the whole answer"


class WrongAnswerError(Exception):
    """The answer under load differs from the answer before the load."""


@dataclass(frozen=True, slots=True)
class AnswerCheck:
    """How the answers of a user class are compared: `check_answers = AnswerCheck(ignore=("request_id",))`.

    Attributes:
        ignore: fields that may differ: a name (`request_id`) at any depth, or a path from the top without list
            indexes (`meta.time`).
        tolerance: how much numbers may differ, relative to the larger number. For numbers below 1, the tolerance is
            absolute. For numbers above a million, the tolerance is the same as for a million, so that Unix times that
            differ by a second still count as different. Two whole numbers are compared exactly.
    """

    ignore: tuple[str, ...] = ()
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        if isinstance(self.ignore, str):
            raise ValueError(f"AnswerCheck(ignore={self.ignore!r}): give a tuple of names.")
        object.__setattr__(self, "ignore", tuple(self.ignore))
        if not 0 <= self.tolerance < 1:  # NaN is rejected too
            raise ValueError(f"AnswerCheck(tolerance={self.tolerance}): must be at least 0 and below 1, such as 1e-6.")

    def ignores(self, path: tuple[str, ...]) -> bool:
        """Whether a field may differ; `path` contains the names from the top level down to the field."""
        return path[-1] in self.ignore or (len(path) > 1 and ".".join(path) in self.ignore)


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that differs, such as `scores[].value`, with its shortened values before and under load."""

    field: str
    expected: str
    got: str


def differences(expected: bytes, got: bytes, check: AnswerCheck) -> list[Difference]:
    """Return the first fields in which two answers differ; empty if they are equal by the rules of `check`.

    JSON is compared as values: the order of an object's fields and white space do not count. All other bodies are
    compared byte by byte.
    """
    if expected == got:
        return []
    try:
        before, now = _parsed(expected), _parsed(got)
    except (ValueError, RecursionError):
        place = next((at for at, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b), None)
        place = min(len(expected), len(got)) if place is None else place
        return [Difference(f"{WHOLE}, from byte {place} on", _text(expected[place:][:200]), _text(got[place:][:200]))]
    found: list[Difference] = []
    for path, a, b in _unequal(before, now, check):
        field = "".join("[]" if part is None else f".{part}" for part in path).removeprefix(".") or WHOLE
        if all(each.field != field for each in found):
            found.append(Difference(field, _value(a), _value(b)))
        if len(found) == MAX_DIFFERENCES:
            break
    return found


class _Missing:
    """A placeholder for the value of a missing field."""


_MISSING = _Missing()

_Path = tuple[str | None, ...]
"""The names of the fields from the top level down; None stands for an element of a list."""


def _unequal(before: Any, now: Any, check: AnswerCheck) -> Iterator[tuple[_Path, Any, Any]]:
    """Yield the fields that differ, from the top level down.

    The function uses its own stack, because JSON may be nested more deeply than Python allows functions to recurse.
    """
    waiting: list[tuple[_Path, Any, Any]] = [((), before, now)]
    while waiting:
        path, a, b = waiting.pop()
        if isinstance(a, dict) and isinstance(b, dict):
            for name in reversed([*a, *(name for name in b if name not in a)]):
                inner = (*path, name)
                if not check.ignores(tuple(part for part in inner if part is not None)):
                    waiting.append((inner, a.get(name, _MISSING), b.get(name, _MISSING)))
        elif isinstance(a, list) and isinstance(b, list):
            if len(a) != len(b):
                yield path, f"{len(a)} values", f"{len(b)} values"
            else:
                waiting += [((*path, None), x, y) for x, y in zip(reversed(a), reversed(b), strict=True)]
        elif not _same(a, b, check.tolerance):
            yield path, a, b


def _same(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        if a == b or (isinstance(a, int) and isinstance(b, int)):
            return a == b
        if not (math.isfinite(a) and math.isfinite(b)):
            return math.isnan(a) and math.isnan(b)
        return abs(a - b) <= tolerance * min(max(1.0, abs(a), abs(b)), LARGE)
    return type(a) is type(b) and bool(a == b)


def _parsed(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except ValueError:  # NaN, which many Python services send
        return json.loads(content)


def _value(value: Any) -> str:
    if value is _MISSING:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_VALUE_CHARS else text[: MAX_VALUE_CHARS - 1] + "…"


def _text(content: bytes) -> str:
    text = content.decode("utf-8", "replace")
    return text if len(text) <= MAX_VALUE_CHARS else text[: MAX_VALUE_CHARS - 1] + "…"
