"""Tell whether two sides of runs differ, with intervals that know requests are correlated in time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from reports.analysis.analysis import Analysis
from reports.analysis.comparability import differences
from reports.analysis.phases import PhaseName
from reports.data import formats, rules
from reports.data.histogram import BINS, MIDDLE_US, Floats
from reports.data.window import Window
from reports.model import ComparedLine, Comparison


class Verdict(StrEnum):
    """What an interval says against ± rules.MARGIN."""

    SLOWER = "slower"
    FASTER = "faster"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: what it is called, and its runs by name."""

    name: str
    runs: Mapping[str, Analysis]


def compare(first: Side, second: Side, *, seed: int = 0) -> Comparison:
    """Return whether the second side is slower or faster than the first, phase by phase and endpoint by endpoint.

    Requests close in time are alike, so whole blocks of a tenth of the window are resampled (moving block bootstrap,
    Künsch 1989), and the interval is the log ratio ± t(k − 1) · se · √(k / (k − 1)) for the k blocks of the shorter
    side. With several runs on a side their own spread takes that place: whole runs are the units.
    """
    rng = np.random.default_rng(seed)
    a, b = list(first.runs.values()), list(second.runs.values())
    unlike = differences(a, b)
    lines = [line for scope in _scopes(a, b) for line in _lines(scope, rng)]
    notes = []
    if len(a) == 1 and len(b) == 1:
        notes.append("One run on each side: how much runs differ from one to the next cannot be seen in them.")
    if any(difference.matters for difference in unlike):
        notes.append("The two sides were not run alike: what differs may be that and not the service.")
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
"""What is compared: the usual request, and two tails; beyond p99 a run of minutes holds too few to tell."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The requests of one run in one window, of one endpoint or of all."""

    analysis: Analysis
    window: Window
    endpoint: int | None


@dataclass(frozen=True, slots=True)
class _Scope:
    name: str
    a: tuple[_Part, ...]
    b: tuple[_Part, ...]


@dataclass(frozen=True, slots=True)
class _Estimate:
    """One quantile on one side: its logarithm, the variance of that, degrees of freedom, and what is too little."""

    log_us: float
    variance: float
    freedom: float
    lacking: str


def _scopes(a: Sequence[Analysis], b: Sequence[Analysis]) -> Iterator[_Scope]:
    for name in PhaseName:
        sides = [_parts(side, name, None) for side in (a, b)]
        if all(sides):
            yield _Scope(name.value, *sides)
    first = [(one.name, one.method) for one in a[0].series.endpoints]
    steady = all(one.phase(PhaseName.STEADY) for one in (*a, *b))
    for endpoint in first:
        sides = [_parts(side, PhaseName.STEADY if steady else PhaseName.ALL, endpoint) for side in (a, b)]
        if all(sides):
            yield _Scope(f"{endpoint[1]} {endpoint[0]}", *sides)


def _parts(side: Sequence[Analysis], name: PhaseName, endpoint: tuple[str, str] | None) -> tuple[_Part, ...]:
    """Return that phase of every run of a side; nothing when one of them lacks it."""
    found = []
    for run in side:
        phase = run.phase(name)
        there = [(each.name, each.method) for each in run.series.endpoints]
        if phase is None or (endpoint is not None and endpoint not in there):
            return ()
        found.append(_Part(run, phase.window, None if endpoint is None else there.index(endpoint)))
    return tuple(found)


def _lines(scope: _Scope, rng: np.random.Generator) -> Iterator[ComparedLine]:
    a, b = ([_resampled(part, rng) for part in side] for side in (scope.a, scope.b))
    for at, p in enumerate(QUANTILES):
        yield _line(scope, p, _side(a, at), _side(b, at))


@dataclass(frozen=True, slots=True)
class _Resampled:
    """One run's log quantiles with the variance the block bootstrap gives each; NaN without requests."""

    log_us: Floats
    variance: Floats
    blocks: float
    lacking: tuple[str, ...]


def _resampled(part: _Part, rng: np.random.Generator) -> _Resampled:
    """Return a run's quantiles and how far resampling its blocks moves them."""
    window = part.window
    cell_s = max(1, window.length_s // rules.CELLS)
    grid = part.analysis.series.cells.grid(window.start_s, window.end_s, width_s=cell_s, endpoint=part.endpoint)
    total = int(grid.counts.sum())
    lacking = tuple(_lacking(window, total, p) for p in QUANTILES)
    logs = _log_quantiles(grid.counts.sum(axis=0, keepdims=True), grid.first_bin)[0]
    if all(lacking):
        return _Resampled(logs, np.full(len(QUANTILES), np.nan), 0.0, lacking)
    block_s = max(rules.BLOCK_SHARE * window.length_s, float(rules.BLOCK_AT_LEAST_S))
    cells = max(1, round(block_s / cell_s))
    summed = np.cumsum(np.vstack([np.zeros_like(grid.counts[:1]), grid.counts]), axis=0, dtype=np.float32)
    blocks = summed[cells:] - summed[:-cells]
    count = len(grid.counts) / cells
    chosen = rng.integers(0, len(blocks), (rules.RESAMPLES, max(2, round(count))))
    weights = np.zeros((rules.RESAMPLES, len(blocks)), dtype=np.float32)
    np.add.at(weights, (np.repeat(np.arange(rules.RESAMPLES), chosen.shape[1]), chosen.ravel()), 1)
    resampled = _log_quantiles(weights @ blocks, grid.first_bin)
    # A value stands for its bin: a uniform error of 0.8 % at most.
    variance = np.nanvar(resampled, axis=0) + math.log(1 + 1 / 128) ** 2 / 12
    return _Resampled(logs, variance, count, lacking)


def _lacking(window: Window, requests: int, p: float) -> str:
    if not requests:
        return "no request succeeded"
    if window.length_s < rules.COMPARED_AT_LEAST_S:
        return f"{window.length_s} s are too short to tell a difference from drift"
    if requests * (1 - p) < rules.BEYOND_AT_LEAST:
        return f"{requests} requests are too few for p{p * 100:g}"
    return ""


def _log_quantiles(counts: Floats, first_bin: int) -> Floats:
    """Return the log of each quantile (rows × QUANTILES), NaN in rows without requests."""
    below = np.cumsum(counts, axis=1)
    total = below[:, -1:]
    found = np.full((len(counts), len(QUANTILES)), np.nan)
    for at, p in enumerate(QUANTILES):
        bins = first_bin + (below < np.ceil(p * total - 1e-3)).sum(axis=1)
        found[:, at] = np.where(total[:, 0] > 0, np.log(np.maximum(MIDDLE_US[np.minimum(bins, BINS - 1)], 0.5)), np.nan)
    return found


def _side(runs: Sequence[_Resampled], at: int) -> _Estimate:
    """Return one quantile of a side: of one run by its blocks, of several by their spread, whichever is wider."""
    logs = np.array([run.log_us[at] for run in runs])
    lacking = next((run.lacking[at] for run in runs if run.lacking[at]), "")
    if lacking or np.isnan(logs).any():
        return _Estimate(float(np.mean(logs)), math.nan, 0.0, lacking or "no request succeeded")
    blocks = min(run.blocks for run in runs)
    within = float(np.mean([run.variance[at] * run.blocks / (run.blocks - 1) for run in runs])) / len(runs)
    if len(runs) == 1:
        return _Estimate(float(logs[0]), within, blocks - 1, "")
    between = float(np.var(logs, ddof=1)) / len(runs)
    return _Estimate(float(np.mean(logs)), max(between, within), float(len(runs) - 1), "")


def _line(scope: _Scope, p: float, a: _Estimate, b: _Estimate) -> ComparedLine:
    a_ms, b_ms = _value_ms(scope.a, p, a), _value_ms(scope.b, p, b)
    lacking = a.lacking or b.lacking
    change = b_ms / a_ms - 1 if a_ms and b_ms else None  # 0 ms is a clock without resolution
    line: dict[str, Any] = {"scope": scope.name, "statistic": formats.quantile(p), "a_ms": a_ms, "b_ms": b_ms}
    if lacking or change is None:
        return ComparedLine(
            **line,
            difference_ratio=change,
            low_ratio=None,
            high_ratio=None,
            verdict=Verdict.INCONCLUSIVE.value,
            why=lacking,
        )
    from scipy.special import stdtrit

    half = float(stdtrit(min(a.freedom, b.freedom), (1 + rules.CONFIDENCE) / 2)) * math.sqrt(a.variance + b.variance)
    middle = math.log1p(change)
    low, high = math.expm1(middle - half), math.expm1(middle + half)
    verdict = _verdict(low, high)
    return ComparedLine(
        **line,
        difference_ratio=change,
        low_ratio=low,
        high_ratio=high,
        verdict=verdict.value,
        needed_s=_needed_s(scope, middle, half) if verdict is Verdict.INCONCLUSIVE else None,
    )


def _value_ms(parts: tuple[_Part, ...], p: float, side: _Estimate) -> float | None:
    """Return the exact quantile of one closed-loop run's phase; else the geometric mean over runs, within 0.4 %."""
    if math.isnan(side.log_us):
        return None
    if len(parts) == 1 and parts[0].endpoint is None and not parts[0].analysis.series.open_loop:
        one = parts[0].analysis
        for phase, exact in zip(one.phases, one.latencies.by_phase, strict=True):
            found = exact.at(p)
            if phase.window == parts[0].window and found is not None:
                return found.value_ms
    return math.exp(side.log_us) / 1000


def _verdict(low: float, high: float) -> Verdict:
    if low > rules.MARGIN:
        return Verdict.SLOWER
    if high < -rules.MARGIN:
        return Verdict.FASTER
    if low > -rules.MARGIN and high < rules.MARGIN:
        return Verdict.EQUIVALENT
    return Verdict.INCONCLUSIVE


def _needed_s(scope: _Scope, middle: float, half: float) -> float | None:
    """Return how long a run would have to be for an interval that decides, were the difference what it seems.

    The half-width falls with the root of the length. None when the difference sits on the margin itself, or more
    than a day would be needed: then more runs are the answer.
    """
    gap = abs(abs(middle) - math.log1p(rules.MARGIN))
    length_s = min(part.window.length_s for part in (*scope.a, *scope.b))
    if gap < rules.GAP_AT_LEAST:
        return None
    needed = length_s * (half / gap) ** 2
    return round(needed) if needed <= 86_400 else None
