"""Parse objectives such as `p95(steady) < 300ms` into frozen records."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from .errors import ObjectiveError


class Unit(StrEnum):
    """What a metric is measured in; a ratio is 0…1."""

    MS = "ms"
    RATIO = "ratio"
    PER_S = "per_s"


PHASES = ("all", "warmup", "ramp", "steady", "drain")
"""The parts of a run that an objective can name; without one it is about the whole run."""

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

GRAMMAR = "METRIC[(PHASE)] < | <= | > | >= LIMIT [for DURATION]"
EXAMPLES = ("p95(steady) < 300ms", "error_rate < 1%", "p99 < 1s for 30s", "throughput >= 280/s")

_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,3})?)")
_WORD = re.compile(r"[A-Za-z_][\w.-]*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_COMPARISON = re.compile(r"<=|>=|<|>")
_SCALE = {
    Unit.MS: {"us": 0.001, "µs": 0.001, "ms": 1.0, "s": 1000.0, "min": 60_000.0},
    Unit.RATIO: {"%": 0.01, "": 1.0},
    Unit.PER_S: {"/s": 1.0, "/min": 1 / 60},
}
_DURATION_S = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Objective:
    """One condition on a run.

    Attributes:
        text: as written, without space around it.
        metric: `p50`, `p99.9` and so on, `error_rate`, or `throughput`.
        quantile: 0…1 when the metric is a percentile of successful response times, else None.
        phase: one of PHASES.
        comparison: one of COMPARISONS.
        limit: in `unit`.
        unit: what `limit` is in.
        window_s: "for" so many seconds: the condition is about every such stretch, not about the phase as a whole.
    """

    text: str
    metric: str
    quantile: float | None
    phase: str
    comparison: str
    limit: float
    unit: Unit
    window_s: int | None

    def met_by(self, value: float) -> bool:
        """Whether a measured value (in `unit`) satisfies the condition."""
        return COMPARISONS[self.comparison](value, self.limit)

    @property
    def upper(self) -> bool:
        """Whether the limit bounds from above (`<`, `<=`)."""
        return self.comparison.startswith("<")


def parse_objective(text: str) -> Objective:
    """Return the objective that `text` writes.

    Raises:
        ObjectiveError: it is none; the text repeats it with a mark below the column that is off.
    """
    return _Parser(text.strip()).objective()


class _Parser:
    """Reads one objective from left to right; `at` is the column of the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def objective(self) -> Objective:
        metric, quantile, unit = self._metric()
        phase = self._phase()
        comparison = self._take(_COMPARISON, "expected one of < <= > >=")
        limit = self._limit(unit)
        window_s = self._window()
        self._space()
        if self.at < len(self.text):
            raise self._error("expected the end, or `for DURATION`")
        return Objective(self.text, metric, quantile, phase, comparison, limit, unit, window_s)

    def _metric(self) -> tuple[str, float | None, Unit]:
        self._space()
        begin = self.at
        word = self._take(_WORD, "expected a metric: p50, p95, p99.9, error_rate or throughput")
        percent = _QUANTILE.fullmatch(word)
        if percent and float(percent[1]) > 0:
            return word, float(percent[1]) / 100, Unit.MS
        if word == "error_rate":
            return word, None, Unit.RATIO
        if word == "throughput":
            return word, None, Unit.PER_S
        self.at = begin
        raise self._error(f"`{word}` is no metric: p50, p95, p99.9 (any percentile), error_rate or throughput")

    def _phase(self) -> str:
        self._space()
        if not self.text.startswith("(", self.at):
            return "all"
        self.at += 1
        self._space()
        begin = self.at
        word = self._take(_WORD, f"expected a phase: {', '.join(PHASES)}")
        if word not in PHASES:
            self.at = begin
            raise self._error(f"`{word}` is no phase: {', '.join(PHASES)}")
        self._space()
        if not self.text.startswith(")", self.at):
            raise self._error("expected `)`")
        self.at += 1
        return word

    def _limit(self, unit: Unit) -> float:
        number = float(self._take(_NUMBER, "expected a number"))
        begin = self.at
        self._space()
        suffix = self._suffix(_SCALE[unit])
        if suffix is None:
            self.at = begin
            units = ", ".join(name or "none" for name in _SCALE[unit])
            raise self._error(f"expected a unit: {units}")
        limit = number * _SCALE[unit][suffix]
        if unit is Unit.RATIO and limit > 1:
            self.at = begin
            raise self._error("an error_rate is at most 100% (or 1)")
        return limit

    def _window(self) -> int | None:
        self._space()
        if not re.compile(r"for\b").match(self.text, self.at):
            return None
        self.at += len("for")
        self._space()
        begin = self.at
        number = float(self._take(_NUMBER, "expected a duration such as 30s"))
        suffix = self._suffix(_DURATION_S)
        if suffix is None:
            raise self._error("expected s, min or h")
        seconds = number * _DURATION_S[suffix]
        if seconds < 1 or seconds != round(seconds):
            self.at = begin
            raise self._error("a window is whole seconds, at least 1s")
        return round(seconds)

    def _suffix(self, scale: dict[str, float]) -> str | None:
        """Return the longest unit of `scale` that stands here and ends here, having stepped over it."""
        for name in sorted(scale, key=len, reverse=True):
            after = self.at + len(name)
            if self.text.startswith(name, self.at) and not self.text[after : after + 1].isalnum():
                self.at = after
                return name
        return None

    def _space(self) -> None:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1

    def _take(self, pattern: re.Pattern[str], otherwise: str) -> str:
        self._space()
        match = pattern.match(self.text, self.at)
        if not match:
            raise self._error(otherwise)
        self.at = match.end()
        return match[0]

    def _error(self, why: str) -> ObjectiveError:
        mark = " " * self.at + "^"
        return ObjectiveError(
            f"The objective cannot be read at column {self.at + 1}: {why}.\n  {self.text}\n  {mark}\n"
            f"Write {GRAMMAR}, for example: {' · '.join(EXAMPLES)}"
        )
