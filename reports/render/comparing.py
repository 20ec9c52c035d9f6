"""Describe in sentences how one side of a comparison differs from the other."""

from __future__ import annotations

from collections.abc import Mapping

from reports.data import formats as f
from reports.data import rules
from reports.model import ComparedLine, Comparison
from reports.render.tree import Card, Cell, Tone

COMPARED_TONES: Mapping[str, Tone] = {
    "slower": "bad",
    "faster": "good",
    "equivalent": "good",
    "fewer answers": "bad",
    "more answers": "good",
    "more failures": "bad",
    "fewer failures": "good",
}


def margin() -> str:
    """Return the margin within which two sides count as equal."""
    return f"±{100 * rules.MARGIN:g} %"


def card(comparison: Comparison) -> Card:
    """Return the card that compares the second side with the first."""
    heading = f"{comparison.b_name} against {comparison.a_name}"
    line = _main_line(comparison)
    if line is None or line.difference_ratio is None:
        return Card(heading, "No p95 to compare", "unsure", tuple(comparison.notes[:1]))
    unfair = comparison.unlike
    lines = [f"Not a fair comparison: {'; '.join(unfair)}."] if unfair else []
    lines.append(f"{f.phase(line.scope).capitalize()}: {f.ms(line.a_ms)} → {f.ms(line.b_ms)}.")
    if line.low_ratio is not None:
        lines.append(f"95 % interval {f.change_interval(line.low_ratio, line.high_ratio)}.")
    text = verdict_text(line, comparison)
    lines.append(f"{text[:1].upper()}{text[1:]}.")
    tone = COMPARED_TONES.get(line.verdict, "unsure")
    median = _line_of(comparison, line.scope, "p50")
    if line.low_ratio is None and median and median.verdict in {"slower", "faster"}:
        interval = compared_interval(median)
        lines.append(
            f"p50 {f.change(median.difference_ratio)} (95 % interval {interval}): {verdict_text(median, comparison)}."
        )
        tone = "bad" if median.verdict == "slower" else tone
    return Card(heading, f"p95 {f.change(line.difference_ratio)}", "unsure" if unfair else tone, tuple(lines))


def cell(comparison: Comparison | None) -> Cell:
    """Return the comparison of the second side's p95 with the first's, for a table of many runs."""
    line = _main_line(comparison) if comparison is not None else None
    if comparison is None or line is None or line.difference_ratio is None:
        return Cell(f.ABSENT)
    tone: Tone = COMPARED_TONES.get(line.verdict, "") if comparison.comparable else "unsure"
    interval = "too short for an interval" if line.low_ratio is None else compared_interval(line)
    unfair = () if comparison.comparable else ("not a fair comparison",)
    return Cell(f.change(line.difference_ratio), small=(interval, *unfair), tone=tone)


def _main_line(comparison: Comparison) -> ComparedLine | None:
    """Return the line that the card shows: p95 of the steady phase, else of the whole run."""
    p95 = {line.scope: line for line in comparison.lines if line.statistic == "p95"}
    return p95.get("steady") or p95.get("all") or next(iter(p95.values()), None)


def _line_of(comparison: Comparison, scope: str, statistic: str) -> ComparedLine | None:
    return next((line for line in comparison.lines if (line.scope, line.statistic) == (scope, statistic)), None)


def compared_value(line: ComparedLine, ms: float | None, value: float | None) -> str:
    """Return one side's value of a compared line with its unit."""
    if line.unit == "ms":
        return f.ms(ms)
    if value is None:
        return f.ABSENT
    return f.percent(value) if line.unit == "ratio" else f"{f.decimal(value)}/s"


def compared_change(line: ComparedLine) -> str:
    """Return the difference of a compared line. For an error rate, it is in percentage points."""
    if line.unit != "ratio" or line.difference_ratio is None:
        return f.change(line.difference_ratio)
    return _points(line.difference_ratio)


def compared_interval(line: ComparedLine) -> str:
    """Return the interval of a compared line, in the same unit as its difference."""
    if line.unit != "ratio" or line.low_ratio is None or line.high_ratio is None:
        return f.change_interval(line.low_ratio, line.high_ratio)
    return f"{_points(line.low_ratio)} … {_points(line.high_ratio)}"


def _points(ratio: float) -> str:
    """Return the difference between two shares, in percentage points."""
    return f"{'−' if ratio < 0 else '+'}{abs(100 * ratio):.2f} pp"


def verdict_text(line: ComparedLine, comparison: Comparison) -> str:
    """Return the verdict on a compared line. If it is inconclusive, say what would decide it."""
    a, b = comparison.a_name, comparison.b_name
    if line.low_ratio is None:
        return line.why or "too little data for an interval"
    if line.verdict == "equivalent":
        return f"{b} is within {margin()} of {a}"
    if line.verdict != "inconclusive":
        return f"{b} is {line.verdict} than {a} by more than {100 * rules.MARGIN:g} %"
    if line.needed_s is None:
        cure = "a longer run would not" if comparison.interleaved else "compare several runs per side"
        return f"too close to {margin()} to decide: {cure}"
    return f"too short to decide: run at least {f.seconds(line.needed_s)}"
