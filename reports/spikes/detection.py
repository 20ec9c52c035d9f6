"""Find where p95 rose above its surroundings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from reports.data import rules
from reports.data.distributions import poisson_tail
from reports.data.histogram import Bools, Floats, Ints
from reports.data.numbers import extra_waiting_request_s
from reports.data.series import Series
from reports.data.window import Window
from reports.model import Outage, Rise
from reports.spikes.baseline import Levels, Windows, interval
from reports.spikes.first_requests import first_bursts


def find_spikes(series: Series, windows: Windows, levels: Levels, outages: Sequence[Outage] = ()) -> tuple[Rise, ...]:
    """Return the spikes in time order.

    Windows are classified by baseline.py. A series of anomalous windows becomes a spike, whose ends are refined to the
    second. Seconds of an outage in which no request succeeded do not end a spike. Then the search looks for two kinds
    of bursts that do not change a window's percentile: slow first requests of an instance, and a few very slow
    requests. Rises of less than about 30 % or 10 ms are not found. At 2 requests/s, a rise that lasts a minute is found
    only if it doubles p95.
    """
    wholes = _stretches(windows, levels, _without_success(series, outages))
    stretches: list[_Stretch] = []
    for first, last in sorted(part for whole in wholes for part in _by_height(windows, levels, whole)):
        refined = _refined(series, windows, levels, first, last)
        if not stretches or refined.window.end_s > stretches[-1].window.end_s:  # else it only reached back
            stretches += _at_the_start(series, levels, refined)
    start = _unanswered(series, levels)
    if start and all(stretch.window.start_s >= start.window.end_s for stretch in stretches):
        stretches.append(start)
    stretches += _of_first_requests(series, levels, stretches)
    stretches += [*_bursts(series, levels, stretches)]
    stretches = sorted([*stretches, *_stops(series, levels, stretches)], key=lambda stretch: stretch.window.start_s)
    normal = np.ones(series.seconds, dtype=np.bool_)
    for stretch in stretches:
        normal[stretch.window.start_s : stretch.window.end_s] = False
    answered = series.ok[normal].sum()
    normal_mean_ms = float(series.ok_response_us[normal].sum() / answered / 1000) if answered else 0.0
    found = (_spike(series, windows, levels, stretch, normal_mean_ms) for stretch in stretches)
    return tuple(spike for spike in found if spike is not None)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A period of anomalous seconds, its first and last window, and the latency above which its requests are slow."""

    window: Window
    first: int
    last: int
    limit_us: float


def _without_success(series: Series, outages: Sequence[Outage]) -> Bools:
    """Return which windows lie in an outage and contain too few successful requests for a p95."""
    width = rules.WINDOW_S
    found = np.zeros(-(-series.seconds // width), dtype=np.bool_)
    for outage in outages:
        found[outage.onset_s // width : -(-outage.end_s // width)] = True
    return found & (np.add.reduceat(series.ok, np.arange(0, series.seconds, width)) < rules.LEVEL_REQUESTS)


def _stretches(windows: Windows, levels: Levels, without: Bools) -> Iterator[tuple[int, int]]:
    """Yield the first and last window of each period: anomalous windows, and their neighbours until p95 is normal."""
    count, begun, last = len(levels.anomalous), -1, -1
    at = 0
    while at < count:
        if not levels.anomalous[at]:
            at += 1
            continue
        first = at
        while first > max(0, at - rules.LOOK_BACK_WINDOWS) and first - 1 > last and levels.raised[first - 1]:
            first -= 1
        end, quiet, ahead = at, 0, at + 1
        while ahead < count and quiet < rules.OFF_WINDOWS:
            if levels.anomalous[ahead] or levels.raised[ahead]:
                end, quiet = ahead, 0
            elif not without[ahead]:
                quiet += 1
            ahead += 1
        if begun >= 0 and first > last + 1:
            yield begun, last
            begun = first
        elif begun < 0:
            begun = first
        last, at = end, end + 1
    if begun >= 0:
        yield begun, last


def _by_height(windows: Windows, levels: Levels, whole: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Split a period: yield its high rise, and the lower parts before and after it.

    The p95 of a service with little load varies. If it is above the limit for minutes before the service is overloaded,
    these are two different events. A low part is yielded only if it has an anomalous window.
    """
    first, last = whole
    part = slice(first, last + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        height = np.nan_to_num(np.log(windows.p95_us[part]) - levels.baseline[part], nan=0.0, neginf=0.0)
    if float(height.max()) < np.log(rules.HEIGHT_RATIO):
        yield whole
        return
    begin, end = (first + at for at in _hill(height))
    least = rules.HEIGHT_WINDOWS
    begin = first if begin - 1 - first < least else begin - 1
    end = last if last - end - 1 < least else end + 1
    for low_first, low_last in ((first, begin - 1), (end + 1, last)):
        anomalous = np.flatnonzero(levels.anomalous[low_first : low_last + 1])
        if len(anomalous):
            until = low_first + int(anomalous[-1]) if low_first < begin else low_last
            yield from _by_height(windows, levels, (low_first + int(anomalous[0]), until))
    yield begin, end


def _hill(height: Floats) -> tuple[int, int]:
    """Return the first and last position around the peak that are half as high or more, ignoring short gaps."""
    high = np.flatnonzero(height >= height.max() / 2)
    parts = np.split(high, np.flatnonzero(np.diff(high) > rules.HEIGHT_WINDOWS) + 1)
    hill = next(part for part in parts if int(height.argmax()) in part)
    return int(hill[0]), int(hill[-1])


def _refined(series: Series, windows: Windows, levels: Levels, first: int, last: int) -> _Stretch:
    """Return the period with its ends moved to its first and last second with many slow requests."""
    width = rules.WINDOW_S
    limit_us = float(np.exp(levels.on[first]))
    begin = max(0, (first + 1) * width - int(windows.width_s[first]))
    end = min(series.seconds, (last + 1) * width)
    slow, there = _slow(series, begin, end, limit_us)
    seconds = np.flatnonzero(_anomalous_seconds(slow, there))
    if len(seconds):
        begin, end = begin + int(seconds[0]), begin + int(seconds[-1]) + 1
    return _Stretch(Window(begin, end), first, last, limit_us)


def _slow(series: Series, begin: int, end: int, limit_us: float) -> tuple[Ints, Ints]:
    """Return two numbers per second: successful requests above the limit, and all successful requests."""
    grid = series.cells.grid(begin, end)
    return grid.above(limit_us), grid.requests()


def _anomalous_seconds(slow: Ints, there: Ints) -> Bools:
    """Return which seconds belong to a spike: their share of slow requests is a fifth, or half of the spike's share."""
    share = slow.sum() / max(1, there.sum())
    needed = np.maximum(1, np.minimum(rules.ANOMALOUS_SECOND_RATIO, share / 2) * there)
    return np.asarray((slow > 0) & (slow >= needed), dtype=np.bool_)


def _at_the_start(series: Series, levels: Levels, stretch: _Stretch) -> list[_Stretch]:
    """Split a period that begins with the load into its cold start and the event right after it, if there are two.

    In a ramp of a minute, a service can start, serve well for a few seconds and then saturate. All this can happen
    within neighbouring 10-s windows. The median of each second separates the two: after the first answer it falls into
    a valley between two hills, which are both at least rules.VALLEY_DEPTH times as high as the valley.
    """
    whole = stretch.window
    warm = any(instance.ready_s is not None and instance.ready_s < 0 for instance in series.instances)
    if whole.start_s > rules.START_S or series.first_ok_us is None or warm:
        return [stretch]
    median = series.cells.grid(whole.start_s, whole.end_s).quantile(0.5)
    begin = max(0, series.first_ok_us // 1_000_000 - whole.start_s)
    valley = _valley(median, begin)
    late_answer = series.first_ok_us >= rules.LATE_ANSWER_S * 1e6
    if not levels.of.known and not late_answer:
        return [stretch]  # the run was overloaded throughout, so a valley in the spike is not a baseline
    if valley is None and late_answer and whole.length_s >= rules.GOES_ON * (begin + 1):
        valley = begin  # nothing could be served before the first answer; a rise after that answer is another event
    if valley is None:
        return [stretch]
    slow, there = _slow(series, whole.start_s, whole.end_s, stretch.limit_us)
    anomalous = _anomalous_seconds(slow, there)
    early = np.flatnonzero(anomalous[: valley + 1])
    late = valley + 1 + np.flatnonzero(anomalous[valley + 1 :])
    if not len(early) or slow[valley + 1 :].sum() < rules.START_SLOW_REQUESTS or not len(late):
        return [stretch]
    first = Window(whole.start_s, whole.start_s + int(early[-1]) + 1)
    second = Window(max(first.end_s, whole.start_s + int(late[0])), whole.end_s)
    return [
        _Stretch(first, stretch.first, min(first.end_s // rules.WINDOW_S, stretch.last), stretch.limit_us),
        _Stretch(second, min(second.start_s // rules.WINDOW_S, stretch.last), stretch.last, stretch.limit_us),
    ]


def _valley(median: Floats, begin: int) -> int | None:
    """Return the first second after `begin` that lies between two hills; None if no such second follows soon enough."""
    filled = np.nan_to_num(median)
    for at in range(begin, min(begin + rules.VALLEY_WITHIN_S, len(filled) - 1)):
        hills = min(filled[: at + 1].max(), filled[at:].max())
        if not np.isnan(median[at]) and hills >= rules.VALLEY_DEPTH * median[at]:
            return at
    return None


def _unanswered(series: Series, levels: Levels) -> _Stretch | None:
    """Return the first seconds of the load as a period if all users in them had to wait for the very first answer.

    At the beginning of a ramp, a 10-s window may contain three such requests among twenty. Three are too few to raise
    the lower bound of p95, but they are not slow by chance.
    """
    if series.first_ok_us is None or series.first_ok_us < rules.LATE_ANSWER_S * 1e6:
        return None
    first_answer_s = series.first_ok_us // 1_000_000
    limit_us = float(np.exp(levels.on[0]))
    slow, there = _slow(series, 0, max(1, first_answer_s), limit_us)
    if slow.sum() < rules.UNANSWERED_REQUESTS or slow.sum() < rules.UNANSWERED_RATIO * there.sum():
        return None
    begin = int(np.flatnonzero(slow)[0])
    last = min(first_answer_s // rules.WINDOW_S, len(levels.anomalous) - 1)
    return _Stretch(Window(begin, first_answer_s + 1), 0, last, limit_us)


def _of_first_requests(series: Series, levels: Levels, stretches: Sequence[_Stretch]) -> list[_Stretch]:
    """Return the bursts of slow first requests outside the given periods. Overlapping ones are merged."""
    merged: list[Window] = []
    for window in sorted(first_bursts(series, levels), key=lambda window: window.start_s):
        if merged and window.start_s <= merged[-1].end_s:
            merged[-1] = Window(merged[-1].start_s, max(merged[-1].end_s, window.end_s))
        elif all(window.start_s > each.window.end_s or each.window.start_s > window.end_s for each in stretches):
            merged.append(window)
    places = [(window, window.start_s // rules.WINDOW_S, (window.end_s - 1) // rules.WINDOW_S) for window in merged]
    return [_Stretch(window, first, last, float(np.exp(levels.on[first]))) for window, first, last in places]


def _bursts(series: Series, levels: Levels, stretches: Sequence[_Stretch]) -> Iterator[_Stretch]:
    """Yield periods outside the given ones in which more requests were very slow than chance explains.

    "Very slow" means above rules.SCAN_RATIO × the limit at that time. The usual rate of such requests is computed from
    the minutes of the run, without the minutes that have the most of them. The method is a scan for clusters (Naus
    1982), with the Poisson bound for one window.
    """
    free = _free(series, stretches)
    slow = np.where(free, _slow_per_s(series, levels, rules.SCAN_RATIO)[0], 0)
    hit = np.zeros(series.seconds, dtype=np.bool_)
    rate = _usual_rate(slow[free])
    for width in rules.SCAN_S:
        held = np.convolve(slow, np.ones(width), mode="full")[: series.seconds]
        chance = poisson_tail(np.maximum(held - 1, 0), rate * width)
        found = np.flatnonzero((held >= rules.MIN_SLOW_REQUESTS) & (chance < rules.SCAN_CHANCE))
        for at in found.tolist():
            hit[max(0, at - width + 1) : at + 1] = True
    edges_of = np.flatnonzero(np.diff(np.r_[False, hit & free, False].astype(np.int8)))
    for begin, end in zip(edges_of[::2].tolist(), edges_of[1::2].tolist(), strict=True):
        seconds = begin + np.flatnonzero(slow[begin:end])
        if not len(seconds):
            continue
        window = Window(int(seconds[0]), int(seconds[-1]) + 1)
        share = slow[window.start_s : window.end_s].sum() / max(1, window.sum(series.ok))
        worst_us = series.cells.grid(window.start_s, window.end_s, width_s=window.length_s).quantile(1.0)[0]
        long = window.length_s + worst_us / 1e6 >= rules.SCAN_LENGTH_S
        stopped = share >= rules.STOPPED_SHARE and worst_us >= rules.STOPPED_S * 1e6
        if share >= rules.SCAN_SHARE and (long or (stopped and slow[begin:end].sum() >= rules.START_SLOW_REQUESTS)):
            first, last = window.start_s // rules.WINDOW_S, (window.end_s - 1) // rules.WINDOW_S
            yield _Stretch(window, first, last, float(np.exp(levels.on[first])))


def _slow_per_s(series: Series, levels: Levels, ratio: float) -> tuple[Floats, Floats]:
    """Return the successful requests above `ratio` × the limit at their time, and all successful ones, per second."""
    slow, there = np.zeros(series.seconds), np.zeros(series.seconds)
    edges = [*range(0, series.seconds, rules.WINDOW_S), series.seconds]
    for at, (begin, end) in enumerate(itertools.pairwise(edges)):
        limit_us = float(np.exp(levels.on[min(at, len(levels.on) - 1)])) * ratio
        slow[begin:end], there[begin:end] = _slow(series, begin, end, limit_us)
    return slow, there


def _free(series: Series, stretches: Sequence[_Stretch]) -> Bools:
    """Return which seconds are at least rules.SCAN_GAP_S away from the given periods."""
    free = np.ones(series.seconds, dtype=np.bool_)
    for stretch in stretches:
        free[max(0, stretch.window.start_s - rules.SCAN_GAP_S) : stretch.window.end_s + rules.SCAN_GAP_S] = False
    return free


def _stops(series: Series, levels: Levels, stretches: Sequence[_Stretch]) -> Iterator[_Stretch]:
    """Yield brief stops outside the given periods, if such stops come at regular intervals.

    A single stop of a second at 10 requests/s delays as many requests as one long request that blocks a core for a
    second. If there are many stops, they also raise the usual rate of slow requests. But stops are regular only if they
    have a common cause. Stops that are in the given periods count for the intervals too.
    """
    slow, there = _slow_per_s(series, levels, 1.0)
    hit = np.flatnonzero((slow >= 2) & (slow >= rules.ANOMALOUS_SECOND_RATIO * there))
    groups = np.split(hit, np.flatnonzero(np.diff(hit) > rules.PAUSE_APART_S) + 1)
    some = np.r_[slow > 0, False]  # a stop can begin at the end of a second
    stops = [
        Window(int(group[0] - some[group[0] - 1]), int(group[-1] + 1 + some[group[-1] + 1]))
        for group in groups
        if slow[group].sum() >= rules.MIN_SLOW_REQUESTS and group[-1] - group[0] < rules.WINDOW_S
    ]
    if not _regular([stop.start_s for stop in stops]):
        return
    free = _free(series, stretches)
    for stop in stops:
        if free[stop.start_s : stop.end_s].all():
            first, last = stop.start_s // rules.WINDOW_S, (stop.end_s - 1) // rules.WINDOW_S
            yield _Stretch(stop, first, last, float(np.exp(levels.on[first])))


def _regular(starts_s: Sequence[int]) -> bool:
    """Whether there are many stops at even intervals. Stops that were not noticed make an interval a multiple."""
    if len(starts_s) < rules.REGULAR_STOPS:
        return False
    every = np.diff(starts_s)
    usual = float(np.median(every))
    off = np.abs(every - np.maximum(np.round(every / usual), 1) * usual) / usual
    return bool(np.mean(off < rules.PAUSE_REGULAR) >= rules.PAUSE_MOST)


def _usual_rate(slow: Floats) -> float:
    """Return the usual number of very slow requests per second: a trimmed mean over minutes, but at least 1 in 500 s.

    The mean leaves out the tenth of the minutes that has the most such requests, because clusters may be in these
    minutes.
    """
    if not len(slow):
        return rules.SCAN_RATE
    minutes = np.add.reduceat(slow, np.arange(0, len(slow), 60))
    kept = np.sort(minutes)[: max(1, int(len(minutes) * 0.9))]
    return max(float(kept.mean()) / 60, rules.SCAN_RATE)


def _spike(series: Series, windows: Windows, levels: Levels, stretch: _Stretch, normal_mean_ms: float) -> Rise | None:
    """Return the period as a spike; None if too few of its requests were slow."""
    window = stretch.window
    slow = int(_slow(series, window.start_s, window.end_s, stretch.limit_us)[0].sum())
    late_answer = (series.first_ok_us or 0) >= rules.LATE_ANSWER_S * 1e6
    needed = rules.MIN_SLOW_REQUESTS
    if window.start_s < rules.CONNECTING_S:
        needed = rules.UNANSWERED_REQUESTS if late_answer else rules.START_SLOW_REQUESTS
    if slow < needed:
        return None
    levels_us = windows.p95_us[stretch.first : stretch.last + 1]
    if np.isnan(levels_us).all():
        return None
    peak = stretch.first + int(np.nanargmax(levels_us))
    peak_s, (top, low, high) = (
        peak * rules.WINDOW_S,
        (windows.p95_us[peak], windows.low_us[peak], windows.high_us[peak]),
    )
    if window.length_s < rules.WINDOW_S:  # the normal seconds of its window would lower its p95
        own = interval(series.cells.grid(window.start_s, window.end_s, width_s=window.length_s))
        peak_s, (top, low, high) = window.start_s, (bound[0] for bound in own)
    baseline = float(np.exp(levels.baseline[peak]))
    shown_us = max(stretch.limit_us, rules.SHOWN_RATIO * baseline)
    many = _slow(series, window.start_s, window.end_s, shown_us)[0].sum() >= rules.MANY_SLOW
    if float(top) < rules.FEW_RATIO * baseline and not many:
        return None
    return Rise(
        onset_s=window.start_s,
        end_s=window.end_s,
        peak_s=peak_s,
        peak_ms=float(top) / 1000,
        peak_low_ms=float(low) / 1000,
        peak_high_ms=float(high) / 1000 if np.isfinite(high) else None,
        baseline_ms=baseline / 1000,
        ratio=float(top) / baseline,
        limit_ms=stretch.limit_us / 1000,
        requests=window.sum(series.ok),
        slow=slow,
        extra_waiting_request_s=extra_waiting_request_s(series, window, normal_mean_ms),
        cut=window.end_s >= series.seconds - rules.WINDOW_S,
    )
