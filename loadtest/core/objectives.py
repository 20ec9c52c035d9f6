"""Parse objectives such as `p95(steady) < 300ms` into frozen records."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from .durations import parse_duration_s
from .errors import ObjectiveError


class Unit(StrEnum):
    """The unit of a metric; a ratio is 0…1."""

    MS = "ms"
    RATIO = "ratio"
    PER_S = "per_s"
    COUNT = "count"
    USD = "usd"


PHASES = ("all", "warmup", "ramp", "steady", "drain")
"""The phases that an objective can name. An objective without a phase applies to the whole run."""

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}

METRICS: dict[str, Unit] = {
    "error_rate": Unit.RATIO,
    "wrong_answers": Unit.COUNT,
    "throughput": Unit.PER_S,
    "instances": Unit.COUNT,
    "cold_starts": Unit.COUNT,
    "cost": Unit.USD,
    "cpu": Unit.RATIO,
}
"""All metrics other than percentiles (such as `p95`), with their units."""

PLATFORM_METRICS = frozenset({"instances", "cold_starts", "cost", "cpu"})
"""Metrics that the platform reports. Such metrics are known only after a run; if they are missing, the objective is
undecided."""

WHOLE_METRICS = PLATFORM_METRICS | {"wrong_answers"}
"""Metrics that are known only after a run, and only for all endpoints together."""

LIVE_METRICS: dict[str, Unit] = {"oldest": Unit.MS}
"""Metrics that are known only during a run: how long the oldest request in flight has waited."""

IMPLIED = "error_rate < 1%"
"""Every run whose objectives do not limit errors gets this objective, so that a run with many failures does not
pass."""

IMPLIED_OF_ANSWERS = "wrong_answers = 0"
"""A run that compares answers gets this objective, unless its own objectives limit wrong answers."""

GRAMMAR = "METRIC[(PHASE | METHOD NAME[, PHASE])] < | <= | > | >= LIMIT [for DURATION]"
EXAMPLES = (
    "p95(steady) < 300ms",
    "error_rate < 1%",
    "p99 < 1s for 30s",
    "throughput >= 280/s",
    "p95(POST /predict, steady) < 300ms",
    "cold_starts = 0",
)

_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,3})?)")
_WORD = re.compile(r"[A-Za-z_][\w.-]*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_COMPARISON = re.compile(r"<=|>=|<|>|=")
_SCOPE_END = re.compile(r"\)\s*(?=[<>=])")
_SCALE = {
    Unit.MS: {"us": 0.001, "µs": 0.001, "ms": 1.0, "s": 1000.0, "min": 60_000.0},
    Unit.RATIO: {"%": 0.01, "": 1.0},
    Unit.PER_S: {"/s": 1.0, "/min": 1 / 60},
    Unit.COUNT: {"": 1.0},
    Unit.USD: {"USD": 1.0, "$": 1.0},
}


@dataclass(frozen=True, slots=True)
class EndpointName:
    """The endpoint of an objective. If `method` is None, requests with any method and this name belong to it."""

    method: str | None
    name: str

    def names(self, name: str, method: str) -> bool:
        """Whether this endpoint has the given name and method."""
        return self.name == name and self.method in (None, method)


@dataclass(frozen=True, slots=True)
class Objective:
    """One condition on a run.

    Attributes:
        text: the objective as written, without surrounding space.
        metric: `p50`, `p99.9` and so on, or one of METRICS.
        quantile: 0…1 when the metric is a percentile of successful response times, else None.
        phase: one of PHASES.
        comparison: one of COMPARISONS.
        limit: in `unit`.
        unit: the unit of `limit`.
        window_s: the seconds after `for`. The condition then applies to every period of this length instead of the
            whole phase.
        endpoint: the endpoint to which the condition applies; None for all requests.
        implied: whether the condition was added by default.
    """

    text: str
    metric: str
    quantile: float | None
    phase: str
    comparison: str
    limit: float
    unit: Unit
    window_s: int | None
    endpoint: EndpointName | None = None
    implied: bool = False

    @property
    def bounds_errors(self) -> bool:
        """Whether the objective sets an upper limit on the errors of the whole run or of its steady phase."""
        return self.metric == "error_rate" and self.upper and self.endpoint is None and self.phase in ("all", "steady")

    def met_by(self, value: float) -> bool:
        """Whether a measured value (in `unit`) satisfies the condition."""
        return COMPARISONS[self.comparison](value, self.limit)

    @property
    def upper(self) -> bool:
        """Whether the limit is an upper limit (`<`, `<=`)."""
        return self.comparison.startswith("<")


def with_implied(texts: Iterable[str], *, implied: bool = True, checks_answers: bool = False) -> tuple[Objective, ...]:
    """Return the objectives of a run, with the implied objectives last.

    Args:
        texts: the objectives as written.
        implied: whether to add implied objectives.
        checks_answers: whether answers were compared. IMPLIED_OF_ANSWERS is then added if no objective limits wrong
            answers. IMPLIED is added if no objective limits errors.

    Raises:
        ObjectiveError: a text is not an objective.
    """
    found = tuple(parse_objective(text) for text in texts)
    if not implied:
        return found
    added = [] if any(objective.bounds_errors for objective in found) else [IMPLIED]
    if checks_answers and not any(objective.metric == "wrong_answers" for objective in found):
        added.append(IMPLIED_OF_ANSWERS)
    return (*found, *(replace(parse_objective(text), implied=True) for text in added))


def parse_objective(text: str, *, live: bool = False) -> Objective:
    """Parse an objective.

    Args:
        text: see GRAMMAR.
        live: whether the text is a condition on a run in progress, for which LIVE_METRICS are known too.

    Raises:
        ObjectiveError: the text is not an objective; the message repeats it with a mark below the wrong column.
    """
    return _Parser(text.strip(), live=live).objective()


class _Parser:
    """Parse one objective from left to right. `at` is the column of the next character."""

    def __init__(self, text: str, *, live: bool = False) -> None:
        self.text = text
        self.at = 0
        self.live = live

    def objective(self) -> Objective:
        metric, quantile, unit = self._metric()
        endpoint, phase = self._scope()
        if metric in WHOLE_METRICS and endpoint is not None:
            raise self._error(f"`{metric}` is not known for single endpoints")
        comparison = self._comparison(unit)
        limit = self._limit(unit)
        window_s = self._window()
        self._space()
        if self.at < len(self.text):
            raise self._error("expected the end, or `for DURATION`")
        if window_s is not None and (metric in WHOLE_METRICS or endpoint is not None):
            raise self._error("`for DURATION` applies to percentiles, error_rate and throughput of all requests")
        return Objective(self.text, metric, quantile, phase, comparison, limit, unit, window_s, endpoint)

    def _metric(self) -> tuple[str, float | None, Unit]:
        self._space()
        begin = self.at
        known = f"p50, p95, p99.9 (any percentile), {', '.join(METRICS)}"
        word = self._take(_WORD, f"expected a metric: {known}")
        percent = _QUANTILE.fullmatch(word)
        if percent and float(percent[1]) > 0:
            return word, float(percent[1]) / 100, Unit.MS
        if word in METRICS:
            return word, None, METRICS[word]
        if word in LIVE_METRICS and self.live:
            return word, None, LIVE_METRICS[word]
        self.at = begin
        if word in LIVE_METRICS:
            raise self._error(f"`{word}` is known only during a run: use it with --stop-on")
        raise self._error(f"`{word}` is not a metric: {known}")

    def _scope(self) -> tuple[EndpointName | None, str]:
        """Read `(PHASE)`, `(METHOD NAME)` or `(METHOD NAME, PHASE)`; a name may contain parentheses and commas."""
        self._space()
        if not self.text.startswith("(", self.at):
            return None, "all"
        begin = self.at + 1
        end = _SCOPE_END.search(self.text, begin)
        if end is None:
            self.at = self._first_comparison(begin)
            raise self._error("expected `)`")
        inside = self.text[begin : end.start()]
        self.at = end.end()
        if inside.strip() in PHASES:
            return None, inside.strip()
        head, comma, last = inside.rpartition(",")
        phase = last.strip() if comma and last.strip() in PHASES else "all"
        endpoint = (head if comma and last.strip() in PHASES else inside).strip()
        method, space, name = endpoint.partition(" ")
        if endpoint.startswith("/"):
            return EndpointName(None, endpoint), phase
        if space and name.strip():
            return EndpointName(method, name.strip()), phase
        self.at = begin + len(inside) - len(inside.lstrip())
        raise self._error(f"`{endpoint}` is not a phase: {', '.join(PHASES)}; an endpoint is written as POST /predict")

    def _first_comparison(self, begin: int) -> int:
        found = _COMPARISON.search(self.text, begin)
        return len(self.text) if found is None else found.start()

    def _comparison(self, unit: Unit) -> str:
        self._space()
        begin = self.at
        exact = unit is Unit.COUNT
        comparison = self._take(_COMPARISON, f"expected one of < <= > >={' =' * exact}")
        if comparison == "=" and not exact:
            self.at = begin
            raise self._error("expected one of < <= > >=")
        return comparison

    def _limit(self, unit: Unit) -> float:
        self._space()
        dollar = unit is Unit.USD and self.text.startswith("$", self.at)
        self.at += dollar
        number = float(self._take(_NUMBER, "expected a number"))
        begin = self.at
        if dollar:
            return number
        self._space()
        suffix = self._suffix(_SCALE[unit])
        if suffix is None:
            self.at = begin
            units = ", ".join(name or "none" for name in _SCALE[unit])
            raise self._error(f"expected a unit: {units}")
        limit = number * _SCALE[unit][suffix]
        if unit is Unit.RATIO and limit > 1:
            self.at = begin
            raise self._error("a share is at most 100% (or 1)")
        return limit

    def _window(self) -> int | None:
        self._space()
        if not re.compile(r"for\b").match(self.text, self.at):
            return None
        self.at += len("for")
        self._space()
        begin = self.at
        written = self.text[begin:].rstrip()
        if written[-1:].isdigit():
            self.at = len(self.text)
            raise self._error("expected s, min or h")
        try:
            seconds = parse_duration_s(written)
        except ValueError as error:
            raise self._error(f"expected a duration such as 30s: {error}") from None
        if seconds < 1 or seconds != round(seconds):
            raise self._error("a duration must be whole seconds, at least 1s")
        self.at = len(self.text)
        return round(seconds)

    def _suffix(self, scale: dict[str, float]) -> str | None:
        """Parse the longest unit of `scale` that begins at this position, and move past it."""
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
