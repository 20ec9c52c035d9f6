"""Parse the part of Cloud Monitoring's filter language that selects time series.

Grammar: https://cloud.google.com/monitoring/api/v3/filters. Comparisons with `=`, `!=` or `:` may be joined by AND. The
right side of a comparison is a text, or `starts_with`, `ends_with`, `has_substring`, `one_of` or
`monitoring.regex.full_match`. OR, NOT and groups are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ...core.cloud_metrics import PREFIX, RESOURCE

RESOURCE_LABELS = ("project_id", "service_name", "location", "revision_name", "configuration_name")

_FIELD = r"(?P<field>metric\.type|resource\.type|(?:metric|resource)\.labels?\.[a-z_]+)"
_STRING = r'"(?:[^"\\]|\\.)*"'
_CLAUSE = re.compile(
    rf"\s*{_FIELD}\s*(?P<sign>!=|=|:)\s*(?P<call>[a-z_.]+\s*\()?\s*(?P<words>{_STRING}(?:\s*,\s*{_STRING})*)(?:\s*(?P<end>\)))?"
)
_AND = re.compile(r"\s+AND\s+|\s+")


class FilterError(Exception):
    """The filter cannot be parsed, or is not supported. The API returns the message with status INVALID_ARGUMENT."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One comparison: a field and a test of its text."""

    field: str
    passes: Callable[[str], bool]
    equals: str | None


@dataclass(frozen=True, slots=True)
class SeriesFilter:
    """A filter on the series of exactly one metric type.

    Attributes:
        metric: the metric's type.
        clauses: comparisons of labels, `metric.NAME` and `resource.NAME`.
    """

    metric: str
    clauses: tuple[Clause, ...]

    def passes(self, metric_labels: dict[str, str], resource_labels: dict[str, str]) -> bool:
        """Return whether a series with these labels is selected; a missing label counts as ""."""
        there = {f"metric.{name}": text for name, text in metric_labels.items()}
        there |= {f"resource.{name}": text for name, text in resource_labels.items()}
        return all(clause.passes(there.get(clause.field, "")) for clause in self.clauses)


def parse_clauses(text: str) -> list[Clause]:
    """Return the comparisons of a filter, in order.

    Raises:
        FilterError: the text does not follow the grammar; the message names the column.
    """
    clauses: list[Clause] = []
    at = 0
    while text[at:].strip():
        match = _CLAUSE.match(text, at)
        if not match or bool(match["call"]) != bool(match["end"]):
            raise FilterError(f"The filter cannot be parsed at column {at + 1}: {text[at : at + 40]!r}.")
        clauses.append(_clause(match))
        at = match.end()
        joint = _AND.match(text, at)
        at = joint.end() if joint else at
    return clauses


def parse_series_filter(text: str) -> SeriesFilter:
    """Return a filter that selects one metric type, as ListTimeSeries requires it.

    Raises:
        FilterError: the filter names no metric type or several, another resource, or a label that the resource does not
            have.
    """
    clauses = parse_clauses(text)
    metrics = [clause.equals for clause in clauses if clause.field == "metric.type"]
    if len(metrics) != 1 or metrics[0] is None:
        raise FilterError(f'The filter must name exactly one metric: metric.type = "{PREFIX}…".')
    for clause in clauses:
        unknown = clause.field.startswith("resource.") and clause.field.removeprefix("resource.") not in (
            "type",
            *RESOURCE_LABELS,
        )
        if unknown or (clause.field == "resource.type" and not clause.passes(RESOURCE)):
            raise FilterError(
                "The supplied filter does not specify a valid combination of metric and monitored resource "
                "descriptors. The query will not return any time series."
            )
    return SeriesFilter(metrics[0], tuple(clause for clause in clauses if not clause.field.endswith(".type")))


def _clause(match: re.Match[str]) -> Clause:
    group, _, name = match["field"].partition(".")
    field = f"{group}.{name.partition('.')[2] or name}"
    values = [re.sub(r"\\(.)", r"\1", word[1:-1]) for word in re.findall(_STRING, match["words"])]
    call = (match["call"] or "").rstrip("( ")
    passes = _test(call, values)
    if match["sign"] == ":":
        passes = _test("has_substring", values)
    if match["sign"] == "!=":
        return Clause(field, lambda text: not passes(text), None)
    return Clause(field, passes, values[0] if not call and match["sign"] == "=" else None)


def _test(call: str, values: list[str]) -> Callable[[str], bool]:
    first = values[0]
    if call == "monitoring.regex.full_match":
        try:
            re.compile(first)
        except re.error as error:
            raise FilterError(f"{first!r} is not a regular expression: {error}.") from None
    tests: dict[str, Callable[[str], bool]] = {
        "": lambda text: text == first,
        "starts_with": lambda text: text.startswith(first),
        "ends_with": lambda text: text.endswith(first),
        "has_substring": lambda text: first in text,
        "one_of": lambda text: text in values,
        "monitoring.regex.full_match": lambda text: re.fullmatch(first, text) is not None,
    }
    if call not in tests or (len(values) > 1 and call != "one_of"):
        raise FilterError(f"The filter's function {call or ','!r} is not supported here.")
    return tests[call]
