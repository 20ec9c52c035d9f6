"""Compare the two targets of one run, phase by phase and endpoint by endpoint."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from loadtest.core.margins import Margin, parse_margin
from loadtest.recording.arrays import integers
from loadtest.recording.frames import FAILED, NOT_THE_SERVICE, OUTCOMES
from reports.analysis.analysis import Analysis
from reports.analysis.comparability import busy_machines, differences
from reports.analysis.comparison import RunWindow, Scope, Side, compared_line, scopes, value_ms
from reports.analysis.paired import CELLS, QUANTILES, Estimate, SideCounts, estimates
from reports.data import formats
from reports.data.histogram import BINS, Floats
from reports.data.series import outcome_codes, seconds_of
from reports.data.window import Window
from reports.model import ComparedLine, Comparison

ONE_RUN = frozenset({"outcome", "length", "limits", "target", "peak users"})
"""Differences between the sides of one run that do not make their comparison unfair, because both sides followed one
plan."""


def compare_sides(first: Side, second: Side, *, always_valid: bool) -> Comparison:
    """Return whether the second target of a run is slower or faster than the first.

    Both sides had the same seconds, the same load generator and payloads drawn in the same way. Drift therefore moves
    both and cancels in the differences (see paired.py).

    Args:
        first: the run's first side, which is the baseline.
        second: its second side.
        always_valid: whether the run could be ended by its own results. The intervals then hold at every look.
    """
    (a,), (b,) = first.runs.values(), second.runs.values()
    lines = [line for scope in scopes([a], [b]) for line in _lines(scope, always_valid=always_valid)]
    unlike = [
        difference.model_copy(update={"matters": difference.matters and difference.what not in ONE_RUN})
        for difference in differences([a], [b])
    ]
    return Comparison(
        a=list(first.runs),
        b=list(second.runs),
        a_name=first.name,
        b_name=second.name,
        comparable=not any(item.matters for item in unlike),
        differences=unlike,
        lines=lines,
        notes=[_how(always_valid=always_valid), *_on_neither_side(a, b), *busy_machines([a])],
        interleaved=True,
    )


def _on_neither_side(a: Analysis, b: Analysis) -> list[str]:
    """Return a sentence if requests came from code that belongs to no user, such as a listener."""
    all_rows = a.run.sealed.rows if a.run.sealed else 0
    left = all_rows - int(a.series.started.sum()) - int(b.series.started.sum())
    if left <= 0:
        return []
    return [f"{formats.plural(left, 'request')} came from code outside the users and are counted on neither side."]


def _how(*, always_valid: bool) -> str:
    said = (
        "Both targets shared every second of one run, so drift that both have cancels out: the intervals come from "
        "resampling periods of time, each for both sides at once. Drift that only one target has widens them; if it "
        "lasts for half of the run or longer, it may count as a difference."
    )
    more = " They hold no matter how often they are computed during the run, and are therefore wider."
    return said + more if always_valid else said


def _lines(scope: Scope, *, always_valid: bool) -> Iterator[ComparedLine]:
    window = _common(scope)
    if not window.length_s:
        return
    width_s = max(1, -(-window.length_s // CELLS))
    a, b = (_counts(part, window, width_s) for part in (*scope.a, *scope.b))
    for estimate in estimates(a, b, length_s=float(window.length_s)):
        yield _line(scope, estimate, window, width_s, always_valid=always_valid)


def _common(scope: Scope) -> Window:
    """Return the seconds that are in the windows of both sides. One side may have settled later than the other."""
    (a,), (b,) = scope.a, scope.b
    return Window(max(a.window.start_s, b.window.start_s), min(a.window.end_s, b.window.end_s))


def _counts(part: RunWindow, window: Window, width_s: int) -> SideCounts:
    """Return the counts of a side for each whole cell. An incomplete cell at the end of the window is left out."""
    cells = max(1, window.length_s // width_s)
    end_s = window.start_s + cells * width_s
    series = part.analysis.series
    grid = series.cells.only(part.endpoint).grid(window.start_s, end_s, width_s=width_s)
    latency = np.zeros((cells, BINS), np.float32)
    found = grid.counts[:cells]
    latency[: len(found), grid.first_bin : grid.first_bin + found.shape[1]] = found
    sent, failed = _failures(part, window.start_s, end_s)
    by_cell = [frame.reshape(cells, width_s).sum(axis=1) for frame in (sent, failed)]
    return SideCounts(latency, *by_cell)


def _failures(part: RunWindow, start_s: int, end_s: int) -> tuple[Floats, Floats]:
    """Return requests and failed requests by second, without those that the load generator could not send."""
    series = part.analysis.series
    if part.endpoint is None:
        window = slice(start_s, end_s)
        sent, failed = (series.started - series.generator)[window], series.failed[window]
        return _padded(sent, end_s - start_s), _padded(failed, end_s - start_s)
    sums = np.zeros((2, end_s - start_s))
    bad = [OUTCOMES.index(name) for name in FAILED]
    own = [OUTCOMES.index(name) for name in NOT_THE_SERVICE]
    for batch in part.analysis.folder.row_batches(("start", "name", "method", "outcome")):
        second = seconds_of(integers(batch.column("start"), 0), series.t0_ns) - start_s
        outcome = outcome_codes(batch.column("outcome"))
        chosen = series.index.numbers(batch.column("name"), batch.column("method")) == part.endpoint
        chosen &= (second >= 0) & (second < end_s - start_s) & ~np.isin(outcome, own)
        sums[0] += np.bincount(second[chosen], minlength=end_s - start_s)
        chosen &= np.isin(outcome, bad)
        sums[1] += np.bincount(second[chosen], minlength=end_s - start_s)
    return sums[0], sums[1]


def _padded(values: npt.NDArray[np.int64], length: int) -> Floats:
    found = np.zeros(length)
    found[: len(values)] = values
    return found


def _line(scope: Scope, one: Estimate, window: Window, width_s: int, *, always_valid: bool) -> ComparedLine:
    line: dict[str, Any] = {"scope": scope.name, "statistic": one.statistic, "a_ms": None, "b_ms": None}
    middle = one.difference
    if one.statistic in ("error rate", "throughput"):
        per_cell = 1.0 if one.statistic == "error rate" else 1.0 / (width_s * max(1, window.length_s // width_s))
        line |= {"unit": "ratio" if one.statistic == "error rate" else "per_s"}
        line |= {"a_value": _finite(one.a * per_cell), "b_value": _finite(one.b * per_cell)}
    elif one.statistic in QUANTILES:
        p = QUANTILES[one.statistic]
        values = [
            value_ms(parts, p, [math.log(value) if value > 0 else math.nan])
            for parts, value in ((scope.a, one.a), (scope.b, one.b))
        ]
        line |= {"a_ms": values[0], "b_ms": values[1]}
        if all(values):
            middle = math.log(values[1]) - math.log(values[0])  # type: ignore[arg-type] # neither is None
    else:
        line |= {"a_ms": _finite(one.a / 1000), "b_ms": _finite(one.b / 1000)}
    if one.lacking or not (math.isfinite(middle) and math.isfinite(one.deviation)):
        why = one.lacking or "no difference can be established"
        return compared_line(line, _finite(middle), why)
    low, high = one.interval(window.length_s, always_valid=always_valid)
    moved = middle - one.difference
    return compared_line(line, middle, (low + moved, high + moved), length_s=window.length_s)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def recorded_margins(options: dict[str, object]) -> tuple[Margin, ...]:
    """Return the margins with which a run against two targets was made."""
    found = options.get("margins")
    return tuple(parse_margin(str(text)) for text in found) if isinstance(found, list) else ()
