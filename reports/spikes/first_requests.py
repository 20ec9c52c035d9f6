"""Find the slow first requests of instances. Some of these form a spike; the others are only counted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from reports.data import rules
from reports.data.distributions import poisson_tail
from reports.data.formats import ms, plural
from reports.data.histogram import Bools, Floats
from reports.data.series import Series
from reports.data.window import Window
from reports.model import Instance, Rise, SlowFirst
from reports.spikes.baseline import Levels


def slow_first_requests(series: Series, levels: Levels, spikes: Sequence[Rise]) -> SlowFirst | None:
    """Return how many of the first requests on instances were slow, outside spikes; None if none were.

    A request is slow if it took longer than the limit for a spike at that time. `slow_from_the_first_on` decides how
    many requests of an instance belong to its slow beginning. The slow requests are reported only if the rest of the
    run does not have as many among the same number of requests. Requests in spikes are not counted. An instance's
    requests after the first rules.FIRSTS_KEPT are not counted either. Without instance headers, the first seconds of
    the load are examined instead.
    """
    found = _of_instances(series, levels, spikes) if series.instances else _of_the_load(series, levels, spikes)
    if not len(found.slow_ms) or found.chance(series, spikes) >= rules.FIRST_CHANCE:
        return None
    count, worst = len(found.slow_ms), float(found.slow_ms.max())
    return SlowFirst(
        requests=count,
        instances=found.instances,
        worst_ms=worst,
        text=f"{plural(count, 'slow first request')} {found.where}, up to {ms(worst)}.",
    )


def first_bursts(series: Series, levels: Levels) -> Iterator[Window]:
    """Yield the seconds in which an instance had so many slow first requests that the overall p95 rose.

    The period may be short: slow requests that directly follow each other are not slow by chance.
    """
    for instance in series.instances:
        start_s, slow = _slow_of(instance, series, levels)
        mine = start_s[: slow_from_the_first_on(slow)][slow[: slow_from_the_first_on(slow)]]
        if len(mine) < rules.MIN_SLOW_REQUESTS or mine[-1] < 0:
            continue
        window = Window(max(0, int(mine[0])), min(int(mine[-1]) + 1, series.seconds))
        if len(mine) >= rules.SCAN_SHARE * window.sum(series.ok):
            yield window


class _Found:
    """The latencies of slow first requests, the number of first requests examined, and the number of instances."""

    def __init__(self, slow_ms: Floats, among: int, instances: int, where: str) -> None:
        self.slow_ms = slow_ms
        self.among = among
        self.instances = instances
        self.where = where

    def chance(self, series: Series, spikes: Sequence[Rise]) -> float:
        """Return the probability that as many other requests, outside spikes, contain this many slow ones by chance.

        "Slow" means here: as slow as the median of the slow first requests. If one request in a hundred takes 300 ms,
        such a request is not unusual.
        """
        normal = np.ones(series.seconds, dtype=np.bool_)
        for spike in spikes:
            normal[spike.onset_s : spike.end_s] = False
        median_ms = float(np.median(self.slow_ms))
        beyond = int((self.slow_ms >= median_ms).sum())
        others = int(series.cells.above(median_ms * 1000)[normal].sum()) - beyond
        usual = max(others, 1) / max(1, int(series.ok[normal].sum()) - self.among)
        return float(poisson_tail(beyond - 1, usual * self.among))


def slow_from_the_first_on(slow: Bools) -> int:
    """Return how many of the first requests belong to the slow beginning; 0 if the first requests were not slow.

    At this position, the share of slow requests most likely changes from rules.FIRST_SLOW to rules.LATER_SLOW (a
    cumulative sum). Requests that overtake each other do not move this position. A request that is slow by chance much
    later does not move it either.
    """
    first, later = rules.FIRST_SLOW, rules.LATER_SLOW
    gained = np.cumsum(np.where(slow, math.log(first / later), math.log((1 - first) / (1 - later))))
    if not len(gained) or gained.max() <= 0:
        return 0
    return int(gained.argmax()) + 1


def _of_instances(series: Series, levels: Levels, spikes: Sequence[Rise]) -> _Found:
    slow_ms, among, fresh = [], 0, []
    for instance in series.instances:
        start_s, slow = _slow_of(instance, series, levels)
        until = slow_from_the_first_on(slow)
        own = slow[:until] & ~_inside(start_s[:until], spikes)
        among += max(1, until)
        if own.any():
            slow_ms.append(series.firsts[instance.name][1][:until][own])
            fresh.append(_new(instance))
    which = "a new instance" if len(fresh) == 1 else f"{len(fresh)} new instances"
    if not all(fresh):
        which = f"{plural(len(fresh), 'instance')}, {sum(fresh) or 'none'} of them new"
    return _Found(np.concatenate(slow_ms) if slow_ms else np.empty(0), among, len(fresh), f"on {which}")


def _slow_of(instance: Instance, series: Series, levels: Levels) -> tuple[Floats, Bools]:
    """Return when the first requests of an instance were sent, and which were slow."""
    start_s, latency_ms = series.firsts[instance.name]
    limit_ms = _limits_ms(levels, start_s)
    if not _new(instance):  # in the first seconds users connect, which makes requests slow, but not very slow
        limit_ms = np.where(start_s < rules.CONNECTING_S, rules.SCAN_RATIO * limit_ms, limit_ms)
    return start_s, latency_ms > limit_ms


def _of_the_load(series: Series, levels: Levels, spikes: Sequence[Rise]) -> _Found:
    """Return the slow requests at the beginning of the load, and how many whole seconds this slow beginning lasts."""
    grid = series.cells.grid(0, min(rules.WINDOW_S, series.seconds))
    slow, there = grid.above(float(_limits_ms(levels, np.zeros(1))[0]) * 1000), grid.requests()
    flags = np.concatenate([np.arange(all_of) < some for some, all_of in zip(slow, there, strict=True)] or [[]])
    seconds = int(np.searchsorted(np.cumsum(there), slow_from_the_first_on(flags))) + 1
    if not slow[:seconds].any() or _inside(np.zeros(1), spikes).any():
        return _Found(np.empty(0), 0, 0, "")
    worst_ms = grid.quantile(1.0)[:seconds] / 1000
    slow_ms = np.full(int(slow[:seconds].sum()), float(np.nanmedian(worst_ms)))
    slow_ms[-1] = float(np.nanmax(worst_ms))
    return _Found(slow_ms, int(there[:seconds].sum()), 0, f"in the first {seconds} s of the load")


def _limits_ms(levels: Levels, at_s: Floats) -> Floats:
    place = np.clip(at_s.astype(np.int64) // rules.WINDOW_S, 0, len(levels.on) - 1)
    return np.asarray(np.exp(levels.on[place]) / 1000)


def _inside(at_s: Floats, spikes: Sequence[Rise]) -> Bools:
    found = np.zeros(len(at_s), dtype=np.bool_)
    for spike in spikes:
        found |= (at_s >= spike.onset_s - 1) & (at_s <= spike.end_s)
    return found


def _new(instance: Instance) -> bool:
    """Whether an instance became ready during the run: by its age, or else by appearing after the first seconds."""
    if instance.ready_s is None:
        return (instance.first_start_s or 0.0) >= rules.CONNECTING_S
    return instance.ready_s > -rules.YOUNG_S
