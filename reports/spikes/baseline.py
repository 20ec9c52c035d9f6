"""Classify the windows of p95 as baseline or elevated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reports.data import rules
from reports.data.distributions import rank_intervals
from reports.data.histogram import ROWS_AT_ONCE, Bools, Floats, Ints
from reports.data.load import Load
from reports.data.series import Grid, Series
from reports.model import Baseline

P = 0.95


@dataclass(frozen=True, slots=True)
class Windows:
    """p95 of successful response times in windows of rules.WINDOW_S from t = 0, in µs; NaN without requests.

    Attributes:
        p95_us: p95 of each window. A window with few requests is widened backwards.
        low_us, high_us: the interval of this p95 at rules.ON_CONFIDENCE; high is inf if there is no upper end.
        requests: number of requests in the widened window.
        width_s: the length of the widened window.
        narrow_low_us: lower bound of p95 in the window that is not widened.
        narrow_requests: number of requests in the window that is not widened.
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
    """The reference level of each window, as natural logarithms of µs, and how the window was classified.

    Attributes:
        baseline: the normal p95 around the window.
        on: the limit that a spike must exceed.
        anomalous: whether its p95 is certainly above the limit.
        raised: whether its p95 is still above the baseline; such a window is part of a spike if it is next to an
            anomalous one.
        of: the source of the baseline.
    """

    baseline: Floats
    on: Floats
    anomalous: Bools
    raised: Bools
    of: Baseline


def measure(series: Series) -> Windows:
    """Return the run's windows. The end of the run may cut the last window short."""
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


def classify(series: Series, windows: Windows, load: Load) -> Levels:
    """Return each window's baseline and limits, and which windows are anomalous.

    Everything is computed on log p95, because a rise is a ratio. Anomalous windows are removed from the baseline, which
    is then computed again.
    """
    known = windows.requests >= rules.LEVEL_REQUESTS
    level = np.log(np.where(known, np.maximum(windows.p95_us, 1.0), 1.0))
    low = np.log(np.where(known, np.maximum(windows.low_us, 1.0), 1.0))
    of = _baseline(series, level[known], load)
    normal_level = np.log(max((of.p95_ms or 0.0) * 1000, 1.0))
    cap = normal_level + np.log(rules.BASELINE_CAP)
    long = _long(series, windows)
    anomalous: Bools = known & (level > cap)  # provisional, because these may be spikes
    baseline = on = off = level
    for _ in range(rules.BASELINE_PASSES):
        baseline = np.minimum(_median_around(level, known & ~anomalous, normal_level), cap)
        if not of.known:
            baseline = np.full(len(level), normal_level)
        spread = _spread((level - baseline)[known & ~anomalous])
        on = _limit(baseline, spread)
        off = baseline + max(np.log(rules.OFF_RATIO), rules.OFF_MAD * spread)
        before, anomalous = anomalous, _anomalous(windows, known, level, low, on, off)
        anomalous |= known & _anomalous_for_a_minute(long, baseline, ~before, spread) & (level > off)
        if (before == anomalous).all():
            break
    return Levels(baseline=baseline, on=on, anomalous=anomalous, raised=known & (level > off), of=of)


def _spread(rest: Floats) -> float:
    """Return the robust standard deviation of log levels around their baseline, or rules.MAD_FLOOR if that is larger.

    A few windows, such as those of a ramp before it saturates, give no reliable spread.
    """
    if not len(rest):
        return rules.MAD_FLOOR
    spread = max(1.4826 * float(np.median(np.abs(rest - np.median(rest)))), rules.MAD_FLOOR)
    return min(spread, rules.MAD_OF_FEW) if len(rest) < rules.SPREAD_WINDOWS else spread


def _limit(baseline: Floats, spread: float) -> Floats:
    """Return the log p95 that a spike must exceed."""
    raised = np.exp(baseline + max(np.log(rules.ON_RATIO), rules.ON_MAD * spread))
    return np.asarray(np.log(np.maximum(raised, np.exp(baseline) + rules.ON_MS * 1000)))


def _anomalous(windows: Windows, known: Bools, level: Floats, low: Floats, on: Floats, off: Floats) -> Bools:
    certain = known & (low > on)
    enough = windows.narrow_requests >= rules.LEVEL_REQUESTS
    narrow = np.log(np.where(enough, np.maximum(windows.narrow_low_us, 1.0), 1.0))
    certain |= narrow > on + np.log(rules.UNWIDENED_FACTOR)
    likely = known & (level > on) & (low > off) & (windows.width_s == rules.WINDOW_S)
    likely &= windows.requests >= rules.NEIGHBOUR_REQUESTS
    beside = np.r_[False, likely[:-1]] | np.r_[likely[1:], False]
    return np.asarray(certain | (likely & beside), dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class _Long:
    """log p95 and its lower bound over rules.LONG_WINDOWS windows that begin at each window; NaN if not known."""

    level: Floats
    low: Floats


def _long(series: Series, windows: Windows) -> _Long:
    rows = len(windows.requests) - rules.LONG_WINDOWS + 1
    if rows < 1:
        return _Long(np.empty(0), np.empty(0))
    narrow = series.cells.grid(0, series.seconds, width_s=rules.WINDOW_S)
    level, low = np.empty(rows), np.empty(rows)
    for first in range(0, rows, ROWS_AT_ONCE):  # the sums of a whole day would take 200 MB
        part = narrow.counts[first : first + ROWS_AT_ONCE + rules.LONG_WINDOWS - 1]
        summed = np.cumsum(np.vstack([np.zeros_like(part[:1]), part]), axis=0)
        sums = Grid(summed[rules.LONG_WINDOWS :] - summed[: -rules.LONG_WINDOWS], narrow.first_bin)
        level[first : first + ROWS_AT_ONCE], low[first : first + ROWS_AT_ONCE], _ = interval(sums)
    return _Long(np.log(np.maximum(level, 1.0)), np.log(np.maximum(low, 1.0)))


def _anomalous_for_a_minute(long: _Long, baseline: Floats, normal: Bools, spread_of_windows: float) -> Bools:
    """Return all windows of the minutes whose p95 is certainly elevated, relative to the spread of normal minutes."""
    found = np.zeros(len(baseline), dtype=np.bool_)
    if not len(long.level):
        return found
    width = rules.LONG_WINDOWS
    around = np.array([baseline[at : at + width].mean() for at in range(len(long.level))])
    quiet = np.array([normal[at : at + width].all() for at in range(len(long.level))])
    rest = (long.level - around)[quiet & ~np.isnan(long.level)]
    spread = _spread(rest) if len(rest) >= rules.SPREAD_WINDOWS else spread_of_windows
    for at in np.flatnonzero(np.nan_to_num(long.low, nan=-np.inf) > _limit(around, spread)).tolist():
        found[at : at + width] = True
    return found


def _baseline(series: Series, level: Floats, load: Load) -> Baseline:
    """Return the run's reference: the lower quartile, or light load if that is much lower, or the fastest requests.

    The lower quartile alone is not enough: if a service is saturated early in a ramp, nearly all windows are saturated,
    and the lower quartile is the level of saturated windows too.
    """
    if not len(level):
        few = f"No {rules.WINDOW_MAX_S} s contain {rules.LEVEL_REQUESTS} successful requests"
        text = f"{few if series.ok.any() else 'No request succeeded'}: there is no p95 to measure over time."
        return Baseline(reference="nothing", p95_ms=None, text=text)
    short = series.seconds < rules.SHORT_RUN_S
    quartile = float(np.percentile(level, rules.NORMAL_PERCENTILE_SHORT if short else rules.NORMAL_PERCENTILE))
    light_us = _light_us(series, float(np.exp(quartile)), load)
    if light_us is not None:
        return Baseline(
            reference="light load",
            p95_ms=light_us / 1000,
            text=f"Measured against light load: p95 was {light_us / 1000:.0f} ms there.",
        )
    normal_ms = float(np.exp(quartile)) / 1000
    normal = Baseline(
        reference="normal windows",
        p95_ms=normal_ms,
        text=f"Measured against the run's normal windows: p95 {normal_ms:.0f} ms.",
    )
    fastest_us, most_us, usual_us = _fastest_and_usual(series)
    if usual_us < rules.QUEUE_MS * 1000 or normal_ms * 1000 < usual_us / rules.LIGHT_RATIO:
        return normal  # the normal windows are far below the usual level
    return _queued(series, load, normal, fastest_us=fastest_us, most_us=most_us, usual_us=usual_us)


def _queued(
    series: Series, load: Load, normal: Baseline, *, fastest_us: float, most_us: float, usual_us: float
) -> Baseline:
    """Return `normal`, unless requests queued throughout.

    In that case the fastest requests are the reference, or there is no reference.
    """
    waiting = _waiting_ratio(series, load)
    said = f"the usual request took {usual_us / 1000:.0f} ms, the fastest {fastest_us / 1000:.0f} ms"
    queued = most_us >= rules.QUEUE_RATIO / 2 * fastest_us and usual_us >= rules.QUEUE_RATIO * fastest_us
    if not queued and _flat(series, load):
        queued, said = True, f"more users did not get more answers, and {said}"
    if not queued and (waiting or 0.0) < rules.ONLY_WAITING_RATIO:
        return normal
    users = "users are not known" if waiting is None else f"users waited {min(waiting, 1.0):.0%} of their time"
    if not queued or waiting is None:
        text = f"It is not known whether the run was ever without a queue: {said}, and {users}."
        return Baseline(reference="nothing", p95_ms=normal.p95_ms, text=text)
    if waiting < rules.WAITING_RATIO:
        return normal
    text = f"Requests queued throughout the run: {said}, and {users}."
    return Baseline(reference="fastest requests", p95_ms=fastest_us / 1000, text=text)


def _flat(series: Series, load: Load) -> bool:
    """Whether about twice as many users got hardly more answers. If so, the service was at its limit from the start.

    The periods of rules.LIGHT_S after the first answer are compared. The result is False unless the users did nothing
    but wait in nearly all of these periods.
    """
    if series.open_loop or np.isnan(load.demand).all() or series.first_ok_us is None:
        return False
    edges = np.arange(series.first_ok_us // 1_000_000 + 1, series.seconds, rules.LIGHT_S)
    if len(edges) < 5:
        return False
    width = np.diff(np.r_[edges, series.seconds])
    users = np.add.reduceat(np.nan_to_num(load.demand), edges) / width
    answers = np.add.reduceat(series.ok_ended, edges) / width
    waiting = np.add.reduceat(series.in_flight, edges) / width / np.maximum(users, 1.0)
    busy = (waiting >= rules.ONLY_WAITING_RATIO)[:-1]
    few, many = users[:-1] <= 0.5 * users.max(), users[:-1] >= 0.9 * users.max()
    if busy.mean() < 0.9 or not few.any() or not many.any():
        return False
    return float(answers[:-1][many].mean()) < 1.25 * float(answers[:-1][few].mean())


def _light_us(series: Series, quartile_us: float, load: Load) -> float | None:
    """Return p95 under light load, if p95 and median were far lower there than in the run; else None.

    If a light period begins before the first answer, its requests waited for the first instance. A shorter period is
    then searched for as well, because a steep ramp reaches saturation only seconds after the first answer.
    """
    light_us, waited = _lightest(series, quartile_us, load, rules.LIGHT_S, most=3)
    if not waited:
        return light_us
    shorter_us, _ = _lightest(series, quartile_us, load, rules.LIGHT_SHORT_S, most=1)
    return min((found for found in (light_us, shorter_us) if found is not None), default=None)


def _lightest(series: Series, quartile_us: float, load: Load, width: int, *, most: int) -> tuple[float | None, bool]:
    """Return p95 of the light periods of `width` seconds; None if it is not far below the run's p95.

    The second value says whether one of these periods begins before the first answer.
    """
    grid = series.cells.grid(0, series.seconds, width_s=width)
    requests, p95, median = grid.requests(), grid.quantile(P), grid.quantile(0.5)
    enough = requests >= rules.LIGHT_REQUESTS
    if enough.sum() < 3:
        return None, False
    usual, waited = float(np.percentile(median[enough], rules.NORMAL_PERCENTILE)), False
    for chosen, least_ms in _light_stretches(series, load, enough, p95, width, most):
        light_p95, light_median = float(np.median(p95[chosen])), float(np.median(median[chosen]))
        far = quartile_us >= rules.LIGHT_RATIO * light_p95 and usual >= rules.LIGHT_RATIO * light_median
        waited = bool(chosen.min() * width < (series.first_ok_us or 0) // 1_000_000)
        if far and quartile_us - light_p95 >= least_ms * 1000:
            return light_p95, waited
    return None, waited


def _light_stretches(
    series: Series, load: Load, enough: Bools, p95: Floats, width: int, most: int
) -> Iterator[tuple[Ints, float]]:
    """Yield two choices of periods with light load, each with the smallest required difference to the run's p95, in ms.

    The first choice consists of the periods after the first answer with at most half of the users. It exists only for
    periods of rules.LIGHT_S. The second choice consists of the `most` periods with the lowest p95, if possible with
    fewer users than at the peak. It needs a larger difference, because these periods were chosen for their low p95.
    """
    demand = load.demand
    candidates = enough.copy()
    if not np.isnan(demand).all():
        edges = np.arange(0, len(demand), width)
        users = np.maximum.reduceat(np.nan_to_num(demand), edges)
        light = enough & (users <= 0.5 * users.max()) & (edges > (series.first_ok_us or 0) / 1e6)
        if width == rules.LIGHT_S and light.sum() >= rules.LIGHT_STRETCHES:
            yield np.flatnonzero(light), rules.ON_MS
        if users.max() > 1.1 * users[enough].min():
            candidates &= users <= 0.9 * users.max()
    places = np.flatnonzero(candidates)
    if len(places):
        yield places[np.argsort(p95[places])[:most]], rules.QUEUE_MS


def _fastest_and_usual(series: Series) -> tuple[float, float, float]:
    """Return the latency of the fifth fastest request, p5 and the median, of the endpoint with the most successes.

    Only one endpoint counts, because fast health checks among predictions show nothing about the queue. The first few
    requests of a run are fast even if users queue all the time.
    """
    busiest = int(np.bincount(series.cells.who >> 1, series.cells.count).argmax())
    whole = series.cells.only(busiest).grid(0, series.seconds, width_s=series.seconds)
    fifth = float(whole.at_rank(np.minimum(5, np.maximum(1, whole.requests())))[0])
    return fifth, float(whole.quantile(0.05)[0]), float(whole.quantile(0.5)[0])


def _waiting_ratio(series: Series, load: Load) -> float | None:
    """Return the share of their time that users spend waiting.

    For an open loop, it is 1 if there are more arrivals than answers.

    If users are not known: 1 if the number of requests in flight stays constant, otherwise None.
    """
    in_flight = series.in_flight.astype(np.float64)
    third = max(1, series.seconds // 3)
    if series.open_loop:
        grown = in_flight[-third:].mean() - in_flight[:third].mean()
        return 1.0 if grown > 0.1 * series.started.mean() * third else 0.0
    users = load.demand
    if not np.isnan(users).all():
        return float(np.nansum(in_flight) / max(1.0, np.nansum(users)))
    middle = in_flight[third : 2 * third + 1]
    # Without think time, the number in flight is constant. With think time, it scatters (Poisson).
    return 1.0 if len(middle) > 10 and middle.mean() > 3 and middle.var() < 0.2 * middle.mean() else None


def _median_around(level: Floats, normal: Bools, otherwise: float) -> Floats:
    """Return each window's median of normal windows within rules.BASELINE_HALF_S; `otherwise` if there are too few."""
    half = rules.BASELINE_HALF_S // rules.WINDOW_S
    found = np.full(len(level), otherwise)
    for at in range(len(level)):
        around = slice(max(0, at - half), at + half + 1)
        near = level[around][normal[around]]
        if len(near) >= rules.BASELINE_NEIGHBOURS:
            found[at] = np.median(near)
    return found


def _reach_back(narrow: Grid) -> tuple[Grid, Ints]:
    """Return the windows, each widened backwards until it contains rules.WINDOW_REQUESTS, and their widths (s)."""
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
    """Return p95 of each window with its interval: NaN without requests, inf if there is no upper end."""
    requests = grid.requests()
    low, high = rank_intervals(requests, P, rules.ON_CONFIDENCE)
    there = requests > 0
    return (
        grid.quantile(P),
        np.where(there, grid.at_rank(np.minimum(low, np.maximum(requests, 1))), np.nan),
        np.where(there & (high <= requests), grid.at_rank(np.minimum(high, np.maximum(requests, 1))), np.inf),
    )
