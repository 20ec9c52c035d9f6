"""Decide whether two sides of runs differ, with intervals that account for requests being correlated in time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from reports.analysis import drift
from reports.analysis.analysis import Analysis
from reports.analysis.comparability import busy_machines, cpu_of, differences
from reports.analysis.phases import PhaseName
from reports.data import formats, rules
from reports.data.histogram import BINS, MIDDLE_US, Floats, Ints, above_quantile
from reports.data.window import Window
from reports.model import ComparedLine, Comparison


class Verdict(StrEnum):
    """The result of comparing an interval with ± rules.MARGIN."""

    SLOWER = "slower"
    FASTER = "faster"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: its name, and its runs by name."""

    name: str
    runs: Mapping[str, Analysis]


def compare(first: Side, second: Side) -> Comparison:
    """Return whether the second side is slower or faster than the first, phase by phase and endpoint by endpoint.

    Requests close in time are similar, and the duration of this correlation is not known. The interval therefore weighs
    all durations and sizes of drift by how well they agree with the runs (see drift.py). With several runs on a side,
    the spread between runs is weighed in the same way, in addition to the drift within each run.
    """
    a, b = list(first.runs.values()), list(second.runs.values())
    unlike = differences(a, b)
    lines = [line for scope in scopes(a, b) for line in _lines(scope)]
    notes = []
    if len(a) == 1 or len(b) == 1:
        notes.append(_one_run(lines, a, b))
    if any(difference.matters for difference in unlike):
        notes.append(
            "The two sides were not run under the same conditions: a difference may come from these alone, and not "
            "from the service."
        )
    if not all(cpu_of(each.run) for each in (*a, *b)):
        notes.append("The CPU of an instance is not recorded for every run, so it is not compared.")
    notes += busy_machines([*a, *b])
    return Comparison(
        a=list(first.runs),
        b=list(second.runs),
        a_name=first.name,
        b_name=second.name,
        comparable=not any(difference.matters for difference in unlike),
        differences=unlike,
        lines=lines,
        notes=notes,
    )


QUANTILES = (0.5, 0.95, 0.99)
"""The compared statistics: the median request and two tails. A run of a few minutes contains too few requests for a
percentile above p99."""


@dataclass(frozen=True, slots=True)
class RunWindow:
    """The requests of one run in one window, of one endpoint or of all endpoints."""

    analysis: Analysis
    window: Window
    endpoint: int | None


@dataclass(frozen=True, slots=True)
class Scope:
    """One subject of the comparison: a phase or an endpoint, in every run of both sides."""

    name: str
    a: tuple[RunWindow, ...]
    b: tuple[RunWindow, ...]


def scopes(a: Sequence[Analysis], b: Sequence[Analysis]) -> Iterator[Scope]:
    """Yield the phases and endpoints that every run of both sides has."""
    for name in PhaseName:
        sides = [_parts(side, name, None) for side in (a, b)]
        if all(sides):
            yield Scope(name.value, *sides)
    first = [(endpoint.name, endpoint.method) for endpoint in a[0].series.endpoints]
    steady = all(part.phase(PhaseName.STEADY) for part in (*a, *b))
    for endpoint in first:
        sides = [_parts(side, PhaseName.STEADY if steady else PhaseName.ALL, endpoint) for side in (a, b)]
        if all(sides):
            yield Scope(f"{endpoint[1]} {endpoint[0]}", *sides)


def _parts(side: Sequence[Analysis], name: PhaseName, endpoint: tuple[str, str] | None) -> tuple[RunWindow, ...]:
    """Return this phase of every run of a side; nothing if one of the runs does not have it."""
    found = []
    for run in side:
        phase = run.phase(name)
        there = [(each.name, each.method) for each in run.series.endpoints]
        if phase is None or (endpoint is not None and endpoint not in there):
            return ()
        found.append(RunWindow(run, phase.window, None if endpoint is None else there.index(endpoint)))
    return tuple(found)


def _one_run(lines: Sequence[ComparedLine], a: Sequence[Analysis], b: Sequence[Analysis]) -> str:
    """Return what one run per side cannot show, and what to do about it."""
    chosen = [line for line in lines if line.statistic == "p95" and line.low_ratio is not None]
    line = next((part for part in chosen if part.scope == PhaseName.STEADY), chosen[0] if chosen else None)
    said = "One run per side does not show how much one run differs from the next"
    if line is None or line.low_ratio is None or line.high_ratio is None:
        return f"{said}. Run each side three times or more, in turns, and compare all runs."
    half = math.expm1((math.log1p(line.high_ratio) - math.log1p(line.low_ratio)) / 2)
    length_s = min(part.series.seconds for part in (*a, *b))
    below = formats.percent(half + rules.MARGIN)
    return (
        f"{said}, and {formats.seconds(length_s)} are too short to tell a p95 difference below ±{below} from drift. "
        "Run each side three times or more, in turns, and compare all runs; or run longer."
    )


def _lines(scope: Scope) -> Iterator[ComparedLine]:
    a, b = ([_seen(part) for part in side] for side in (scope.a, scope.b))
    for at, p in enumerate(QUANTILES):
        yield _line(scope, p, [run[at] for run in a], [run[at] for run in b])


@dataclass(frozen=True, slots=True)
class _Seen:
    """One quantile of one run: its logarithm, the effect of each cell on it, and why it allows no verdict (or "")."""

    log_us: float
    deviations: Floats
    lacking: str


def _seen(part: RunWindow) -> list[_Seen]:
    """Return a run's quantiles, each with the deviations of its cells: how far each cell moves the overall quantile.

    A cell with more than its share of requests above the quantile moves the quantile up by that surplus ÷ the density
    of the logarithms at the quantile (Bahadur's representation, 1966). A cell with a few requests has no quantile of
    its own, but it has a surplus.
    """
    window = part.window
    cell_s = max(1, window.length_s // drift.CELLS)
    grid = part.analysis.series.cells.only(part.endpoint).grid(window.start_s, window.end_s, width_s=cell_s)
    whole = max(1, window.length_s // cell_s)
    counts, total = grid.counts, int(grid.counts.sum())
    summed = counts.sum(axis=0, keepdims=True)
    found = []
    for p, log in zip(QUANTILES, _log_quantiles(summed, grid.first_bin, QUANTILES)[0], strict=True):
        lacking = _lacking(window, total, p)
        if lacking or not total:
            found.append(_Seen(float(log), np.empty(0), lacking))
            continue
        above = above_quantile(counts[:whole], p)
        sent = counts[:whole].sum(axis=1)
        surplus = (above - above.sum() / max(1, sent.sum()) * sent) / max(1e-9, sent.mean())
        near = rules.NEAR_QUANTILE * min(p, 1 - p)
        low, high = _log_quantiles(summed, grid.first_bin, (p - near, p + near))[0]
        density = 2 * near / max(high - low, math.log(1 + 1 / 128))
        found.append(_Seen(float(log), surplus / density, _resting_on_few(above, p)))
    return found


def _resting_on_few(above: Floats, p: float) -> str:
    """Return a sentence if the requests above a quantile came in few bursts, because they then decide the quantile."""
    bursts = float(above.sum()) ** 2 / max(1.0, float((above**2).sum()))
    if bursts >= min(rules.BURSTS_AT_LEAST, len(above) / 6):
        return ""
    return f"p{p * 100:g} depends on about {max(1, round(bursts))} bursts of slow requests, too few to compare"


def _lacking(window: Window, requests: int, p: float) -> str:
    if not requests:
        return "no request succeeded"
    if window.length_s < rules.COMPARED_AT_LEAST_S:
        return f"{window.length_s} s are too short to tell a difference from drift"
    if requests * (1 - p) < rules.BEYOND_AT_LEAST:
        return f"{requests} requests are too few for p{p * 100:g}"
    return ""


def _log_quantiles(counts: Ints, first_bin: int, quantiles: Sequence[float]) -> Floats:
    """Return the log of each quantile (rows × quantiles), NaN in rows without requests."""
    below = np.cumsum(counts, axis=1)
    total = below[:, -1:]
    found = np.full((len(counts), len(quantiles)), np.nan)
    for at, p in enumerate(quantiles):
        bins = first_bin + (below < np.ceil(p * total - 1e-3)).sum(axis=1)
        found[:, at] = np.where(total[:, 0] > 0, np.log(np.maximum(MIDDLE_US[np.minimum(bins, BINS - 1)], 0.5)), np.nan)
    return found


def _line(scope: Scope, p: float, a: Sequence[_Seen], b: Sequence[_Seen]) -> ComparedLine:
    a_ms, b_ms = value_ms(scope.a, p, [run.log_us for run in a]), value_ms(scope.b, p, [run.log_us for run in b])
    lacking = next((run.lacking for run in (*a, *b) if run.lacking), "")
    line = {"scope": scope.name, "statistic": formats.quantile(p), "a_ms": a_ms, "b_ms": b_ms}
    middle = math.log(b_ms / a_ms) if a_ms and b_ms else None  # 0 ms: the clock's resolution is too low
    if lacking or middle is None:
        return compared_line(line, middle, lacking)
    beyond = drift.offset(_deviations(a), _deviations(b), confidence=rules.CONFIDENCE)
    alone = len(a) == 1 and len(b) == 1
    length_s = min(part.window.length_s for part in (*scope.a, *scope.b)) if alone else None
    return compared_line(line, middle, (middle + beyond.low, middle + beyond.high), length_s=length_s)


def _deviations(runs: Sequence[_Seen]) -> list[Floats]:
    """Return each run's deviations from its side's mean of logarithms."""
    middle = float(np.mean([run.log_us for run in runs]))
    return [run.deviations + (run.log_us - middle) for run in runs]


def value_ms(parts: tuple[RunWindow, ...], p: float, logs_us: Sequence[float]) -> float | None:
    """Return the quantile of a side, in ms.

    It is exact for a phase of a single closed-loop run. Otherwise it is the geometric mean over the runs, within 0.4 %.

    Args:
        parts: the phase of each run of a side.
        p: the quantile, 0…1.
        logs_us: each run's quantile from its histogram, as logarithm.
    """
    log_us = float(np.mean(logs_us))
    if math.isnan(log_us):
        return None
    if len(parts) == 1 and parts[0].endpoint is None and not parts[0].analysis.series.open_loop:
        one = parts[0].analysis
        for phase, exact in zip(one.phases, one.latencies.by_phase, strict=True):
            found = exact.at(p)
            if phase.window == parts[0].window and found is not None:
                return found.value_ms
    return math.exp(log_us) / 1000


WORDS = {
    "error rate": {Verdict.SLOWER: "more failures", Verdict.FASTER: "fewer failures"},
    "throughput": {Verdict.SLOWER: "more answers", Verdict.FASTER: "fewer answers"},
}
"""The names of verdicts for statistics that are not durations. A higher value of these is not "slower"."""


def compared_line(
    values: Mapping[str, Any],
    middle: float | None,
    ends: tuple[float, float] | str,
    *,
    length_s: float | None = None,
) -> ComparedLine:
    """Return a line with its verdict.

    Args:
        values: its scope and statistic, and both sides' values.
        middle: the difference of logarithms, or of ratios for the error rate; None if there is none.
        ends: the interval of the difference in the same unit, or the reason why there is none, which may be "".
        length_s: the observed length of both sides, to compute which length would decide; None if longer runs would not
            help.
    """
    statistic = values["statistic"]
    is_ratio = statistic != "error rate"
    shown = math.expm1 if is_ratio else float
    change = None if middle is None else shown(middle)
    if isinstance(ends, str) or middle is None:
        why = ends if isinstance(ends, str) else ""
        none: dict[str, Any] = {"low_ratio": None, "high_ratio": None, "verdict": Verdict.INCONCLUSIVE.value}
        return ComparedLine(**values, difference_ratio=change, why=why, **none)
    low, high = (shown(end) for end in ends)
    margin = rules.MARGIN if is_ratio else rules.ERROR_MARGIN
    verdict = verdict_of(low, high, margin)
    needed_s = None
    if verdict is Verdict.INCONCLUSIVE and length_s is not None:
        needed_s = _needed_s(abs(middle), (ends[1] - ends[0]) / 2, length_s, math.log1p(margin) if is_ratio else margin)
    return ComparedLine(
        **values,
        difference_ratio=change,
        low_ratio=low,
        high_ratio=high,
        verdict=WORDS.get(statistic, {}).get(verdict, verdict.value),
        needed_s=needed_s,
    )


def verdict_of(low: float, high: float, margin: float) -> Verdict:
    """Return the verdict for an interval and ± a margin."""
    if low > margin:
        return Verdict.SLOWER
    if high < -margin:
        return Verdict.FASTER
    return Verdict.EQUIVALENT if low > -margin and high < margin else Verdict.INCONCLUSIVE


def _needed_s(size: float, half: float, length_s: float, margin: float) -> float | None:
    """Return how long a run would have to be to decide, if the true difference equals the measured one.

    The half-width falls with the square root of the length. The result is None if the difference equals the margin or
    more than a day would be needed. In these cases, more runs are needed.
    """
    gap = abs(size - margin)
    if gap < rules.GAP_AT_LEAST * margin / math.log1p(rules.MARGIN):
        return None
    needed = length_s * (half / gap) ** 2
    return round(needed) if needed <= 86_400 else None
