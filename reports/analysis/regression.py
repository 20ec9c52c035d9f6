"""Judge a comparison against a margin: held, missed, or undecided with advice on how to decide it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from loadtest.core.margins import Margin
from loadtest.recording.run import DecisionRecord
from reports.analysis.objectives import Judged
from reports.analysis.phases import PhaseName
from reports.data import formats, rules
from reports.model import ComparedLine, Comparison, Regression, RunSummary

DAY_S = 86_400


def judge_regression(
    margin: Margin, comparison: Comparison, runs: Sequence[RunSummary], decision: DecisionRecord | None = None
) -> Regression:
    """Return whether the second side of a comparison is slower than the first by more than a margin.

    The margin is missed if the whole 95 % interval of the difference lies above it, and held if the whole interval lies
    below it. Otherwise, or if the sides were run under different conditions, the result is undecided.

    Args:
        margin: the allowed difference.
        comparison: the comparison of the baseline with the new side.
        runs: all runs of the report; those of the comparison give the length of its windows.
        decision: the decision that ended the run, if one did. That decision remains valid, because its interval holds
            for any number of looks.
    """
    if decision is not None:
        return _as_decided(margin, comparison, decision)
    line = _line(margin, comparison)
    length_s = _length_s(line.scope if line else PhaseName.ALL, comparison, runs)
    verdict, why, cure = _judged(margin, comparison, line, length_s)
    return Regression(
        text=margin.text,
        a_name=comparison.a_name,
        b_name=comparison.b_name,
        scope=line.scope if line else margin.scope,
        statistic=margin.statistic,
        margin_ratio=margin.ratio,
        difference_ratio=line.difference_ratio if line else None,
        low_ratio=line.low_ratio if line else None,
        high_ratio=line.high_ratio if line else None,
        verdict=verdict.value,
        why=why,
        would_decide=cure,
    )


def _as_decided(margin: Margin, comparison: Comparison, decision: DecisionRecord) -> Regression:
    allowed = f"{100 * margin.ratio:g} %"
    why = (
        f"{margin.statistic} {formats.change(decision.difference_ratio)} (interval for every look "
        f"{formats.change_interval(decision.low_ratio, decision.high_ratio)}) from {formats.elapsed(decision.from_s)} "
        f"to {formats.elapsed(decision.to_s)}, which ended the run: "
        f"{'' if decision.slower else 'not '}slower by more than {allowed}"
    )
    return Regression(
        text=margin.text,
        a_name=comparison.a_name,
        b_name=comparison.b_name,
        scope=PhaseName.STEADY,
        statistic=margin.statistic,
        margin_ratio=margin.ratio,
        difference_ratio=decision.difference_ratio,
        low_ratio=decision.low_ratio,
        high_ratio=decision.high_ratio,
        verdict="missed" if decision.slower else "held",
        why=why,
    )


def _line(margin: Margin, comparison: Comparison) -> ComparedLine | None:
    lines = {line.scope: line for line in comparison.lines if line.statistic == margin.statistic}
    if margin.scope:
        return lines.get(margin.scope)
    return lines.get(PhaseName.STEADY) or lines.get(PhaseName.ALL)


def _length_s(scope: str, comparison: Comparison, runs: Sequence[RunSummary]) -> float:
    """Return the length of the shortest compared window. Endpoints are compared in the steady phase."""
    names = {*comparison.a, *comparison.b}
    found = []
    for run in (run for run in runs if run.name in names):
        phases = {phase.name: phase.end_s - phase.start_s for phase in run.phases}
        found.append(phases.get(scope) or phases.get(PhaseName.STEADY) or run.duration_s)
    return min(found, default=0.0)


def _judged(
    margin: Margin, comparison: Comparison, line: ComparedLine | None, length_s: float
) -> tuple[Judged, str, str]:
    """Return the verdict, the reason for it, and, if it is undecided, a sentence about what would decide it."""
    if line is None:
        scopes = list(dict.fromkeys(line.scope for line in comparison.lines))
        why = f"the two sides have no {margin.scope or 'phase'} in common to compare"
        return Judged.UNDECIDED, why, f"Compare a part that both have: {formats.listing(scopes)}." if scopes else ""
    if comparison.unlike:
        cure = "Run both sides under the same conditions, or name another baseline."
        return (
            Judged.UNDECIDED,
            f"the two sides were not run under the same conditions: {'; '.join(comparison.unlike)}",
            cure,
        )
    if line.difference_ratio is None or line.low_ratio is None or line.high_ratio is None:
        return Judged.UNDECIDED, line.why or "no difference can be established", _more_data(line, length_s)
    why = (
        f"{line.statistic} ({formats.phase(line.scope)}) {formats.ms(line.a_ms)} → {formats.ms(line.b_ms)}, "
        f"{formats.change(line.difference_ratio)} "
        f"(95 % interval {formats.change_interval(line.low_ratio, line.high_ratio)})"
    )
    allowed = f"{100 * margin.ratio:g} %"
    if line.low_ratio > margin.ratio:
        return Judged.MISSED, f"{why}: slower by more than {allowed}", ""
    if line.high_ratio <= margin.ratio:
        return Judged.HELD, f"{why}: not slower by more than {allowed}", ""
    if comparison.interleaved:
        cure = _longer_run(margin, line, length_s)
    else:
        cure = _closer(margin, line, length_s, several=len(comparison.a) > 1 or len(comparison.b) > 1)
    return Judged.UNDECIDED, f"{why}: {allowed} lies within the interval", cure


def _more_data(line: ComparedLine, length_s: float) -> str:
    """Return what is missing in a comparison without an interval."""
    if line.difference_ratio is None:
        return "Runs whose requests succeed on both sides would decide it."
    if length_s < rules.COMPARED_AT_LEAST_S:
        return (
            f"Runs with at least {rules.COMPARED_AT_LEAST_S} s of {formats.phase(line.scope)} would be long enough to "
            f"decide (these: {formats.seconds(length_s)})."
        )
    p = float(line.statistic.removeprefix("p")) / 100
    needed = math.ceil(round(rules.BEYOND_AT_LEAST / (1 - p), 6))
    return (
        f"Longer runs, or several runs on each side, would decide it ({line.statistic} needs at least "
        f"{formats.count(needed)} successful requests on each)."
    )


def _needed_s(margin: Margin, line: ComparedLine, length_s: float) -> float:
    """Return how long a run must be to decide the margin, if the true difference equals the measured one.

    The half-width of an interval falls with the square root of the length.
    """
    low, middle, high = (math.log1p(ratio or 0.0) for ratio in (line.low_ratio, line.difference_ratio, line.high_ratio))
    gap = abs(middle - math.log1p(margin.ratio))
    return math.inf if gap < rules.GAP_AT_LEAST else length_s * ((high - low) / 2 / gap) ** 2


def _longer_run(margin: Margin, line: ComparedLine, length_s: float) -> str:
    """Return a sentence about how long the run against two targets must be for a verdict."""
    needed_s = _needed_s(margin, line, length_s)
    if needed_s > DAY_S:
        return "The difference is too close to the margin for a longer run to decide; choose another margin."
    return (
        f"A run with about {formats.seconds(needed_s)} of {formats.phase(line.scope)} (this one: "
        f"{formats.seconds(length_s)}) would decide it if the true difference equals the measured one."
    )


def _closer(margin: Margin, line: ComparedLine, length_s: float, *, several: bool) -> str:
    """Return a sentence that says how long the runs must be for a verdict, or how many more runs would give one."""
    turns = "more runs" if several else "several runs"
    in_turns = f"{turns} on each side, in turns and with one label for each side"
    needed_s = _needed_s(margin, line, length_s)
    if needed_s > DAY_S:
        return f"The difference is too close to the margin for one longer run: {in_turns} would decide it."
    return (
        f"Runs with about {formats.seconds(needed_s)} of {formats.phase(line.scope)} (these: "
        f"{formats.seconds(length_s)}) would decide it if the true difference equals the measured one; so would "
        f"{in_turns}."
    )
