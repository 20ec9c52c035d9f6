"""Tell calm from raised windows of p95."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reports.data import rules
from reports.data.binomial import rank_intervals
from reports.data.histogram import Bools, Floats, Ints
from reports.data.load import Load
from reports.data.series import Grid, Series

P = 0.95


@dataclass(frozen=True, slots=True)
class Windows:
    """p95 of successful response times in windows of rules.WINDOW_S from t = 0, in µs; NaN without requests.

    Attributes:
        p95_us: of each window, reaching back where its rate is low.
        low_us, high_us: its interval at rules.ON_CONFIDENCE; high is inf where there is none.
        requests: in it.
        width_s: how far it reaches back from its end.
        narrow_low_us: lower bound of the window that does not reach back.
        narrow_requests: requests in that.
    """

    p95_us: Floats
    low_us: Floats
    high_us: Floats
    requests: Ints
    width_s: Ints
    narrow_low_us: Floats
    narrow_requests: Ints


@dataclass(frozen=True, slots=True)
class Levels:
    """What each window is measured against, as natural logarithms of µs, and what it was found to be.

    Attributes:
        baseline: the calm p95 around it.
        on: the limit that a spike must pass.
        hot: certainly above it.
        raised: not yet back at the baseline; part of a spike when beside a hot window.
    """

    baseline: Floats
    on: Floats
    hot: Bools
    raised: Bools


def measure(series: Series) -> Windows:
    """Return the run's windows; the last one may be cut short by the run's end."""
    narrow = series.cells.grid(0, series.seconds, width_s=rules.WINDOW_S)
    wide, width_s = _reach_back(narrow)
    p95_us, low_us, high_us = interval(wide)
    return Windows(
        p95_us=p95_us,
        low_us=low_us,
        high_us=high_us,
        requests=wide.requests(),
        width_s=width_s,
        narrow_low_us=interval(narrow)[1],
        narrow_requests=narrow.requests(),
    )


def tell_apart(windows: Windows, load: Load) -> Levels:
    """Return each window's baseline and limits, and which windows are hot.

    All on log p95: a rise is a ratio. Hot windows leave the baseline, which is then taken again.
    """
    known = windows.requests >= 3
    level = np.log(np.where(known, np.maximum(windows.p95_us, 1.0), 1.0))
    low = np.log(np.where(known, np.maximum(windows.low_us, 1.0), 1.0))
    calm_level = _calm_level(level, known, windows, load)
    hot: Bools = known & (level > calm_level + np.log(rules.BASELINE_CAP))  # provisional: these may be spikes
    baseline = on = off = level
    for _ in range(rules.BASELINE_PASSES):
        baseline = np.minimum(_median_around(level, known & ~hot, calm_level), calm_level + np.log(rules.BASELINE_CAP))
        rest = (level - baseline)[known & ~hot]
        spread = 1.4826 * float(np.median(np.abs(rest - np.median(rest)))) if len(rest) else 0.0
        spread = max(spread, rules.MAD_FLOOR)
        on = np.log(
            np.maximum(
                np.exp(baseline + max(np.log(rules.ON_RATIO), rules.ON_MAD * spread)),
                np.exp(baseline) + rules.ON_MS * 1000,
            )
        )
        off = baseline + max(np.log(rules.OFF_RATIO), rules.OFF_MAD * spread)
        before, hot = hot, _hot(windows, known, level, low, on, off)
        if (before == hot).all():
            break
    return Levels(baseline=baseline, on=on, hot=hot, raised=known & (level > off))


def _hot(windows: Windows, known: Bools, level: Floats, low: Floats, on: Floats, off: Floats) -> Bools:
    certain = known & (low > on)
    narrow = np.log(np.where(windows.narrow_requests >= 3, np.maximum(windows.narrow_low_us, 1.0), 1.0))
    certain |= narrow > on + np.log(rules.UNWIDENED_FACTOR)
    likely = known & (level > on) & (low > off) & (windows.width_s == rules.WINDOW_S)
    likely &= windows.requests >= rules.NEIGHBOUR_REQUESTS
    beside = np.r_[False, likely[:-1]] | np.r_[likely[1:], False]
    return np.asarray(certain | (likely & beside), dtype=np.bool_)


def _calm_level(level: Floats, known: Bools, windows: Windows, load: Load) -> float:
    """Return the log p95 of a healthy moment: the run's lower quartile, or light load's if much lower.

    A service that saturates at a third of a short ramp and stays so would otherwise be its own reference.
    """
    if not known.any():
        return 0.0
    short = len(level) * rules.WINDOW_S < rules.SHORT_RUN_S
    quartile = float(np.percentile(level[known], rules.CALM_PERCENTILE_SHORT if short else rules.CALM_PERCENTILE))
    demand = load.demand
    if np.isnan(demand).all():
        return quartile
    edges = np.arange(0, len(demand), rules.WINDOW_S)
    users = np.maximum.reduceat(np.nan_to_num(demand), edges)
    light = known & (users <= 0.5 * users.max()) & (windows.narrow_requests >= rules.NEIGHBOUR_REQUESTS)
    if light.sum() < 3:
        return quartile
    lightly = float(np.median(level[light]))
    return lightly if lightly < quartile - np.log(rules.ON_RATIO) else quartile


def _median_around(level: Floats, calm: Bools, otherwise: float) -> Floats:
    """Return the median of the calm windows within rules.BASELINE_HALF_S of each; `otherwise` where too few are."""
    half = rules.BASELINE_HALF_S // rules.WINDOW_S
    found = np.full(len(level), otherwise)
    for at in range(len(level)):
        around = slice(max(0, at - half), at + half + 1)
        near = level[around][calm[around]]
        if len(near) >= rules.BASELINE_NEIGHBOURS:
            found[at] = np.median(near)
    return found


def _reach_back(narrow: Grid) -> tuple[Grid, Ints]:
    """Return the windows widened backwards until each holds rules.WINDOW_REQUESTS, and how wide each became (s)."""
    requests = narrow.requests()
    most = rules.WINDOW_MAX_S // rules.WINDOW_S
    counts = narrow.counts.copy()
    held = requests.copy()
    width = np.full(len(requests), rules.WINDOW_S, dtype=np.int64)
    for back in range(1, most):
        short = np.flatnonzero((held < rules.WINDOW_REQUESTS) & (np.arange(len(held)) >= back))
        counts[short] += narrow.counts[short - back]
        held[short] += requests[short - back]
        width[short] += rules.WINDOW_S
    return Grid(counts, narrow.first_bin), width


def interval(grid: Grid) -> tuple[Floats, Floats, Floats]:
    """Return p95 of each window with its interval: NaN without requests, inf where there is no upper end."""
    requests = grid.requests()
    low, high = rank_intervals(requests, P, rules.ON_CONFIDENCE)
    there = requests > 0
    return (
        grid.quantile(P),
        np.where(there, grid.at_rank(np.minimum(low, np.maximum(requests, 1))), np.nan),
        np.where(there & (high <= requests), grid.at_rank(np.minimum(high, np.maximum(requests, 1))), np.inf),
    )
