"""Leave out spikes that the run's own load causes all the time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from reports.data import rules
from reports.data.histogram import Bools, Floats
from reports.model import Spike
from reports.spikes.cause import SATURATIONS, Cause, Confidence
from reports.spikes.view import RunData, SpikeView

BY_LOAD = frozenset({Cause.UNEXPLAINED, Cause.PAUSES, *SATURATIONS})
"""Causes that a normal burst of slow requests may be mistaken for, if their confidence is low."""


def without_ordinary(spikes: Sequence[Spike], data: RunData) -> tuple[Spike, ...]:
    """Return the spikes, without slight ones and without those that the run's own load causes all the time.

    Slow requests come in bursts, because other requests wait behind a slow one. If instances are two thirds busy, such
    queues last for seconds. The largest of these bursts raise p95. A spike is therefore compared with the rest of the
    run if it has no cause, or if such a burst may be mistaken for its cause. If the comparison finds ordinary spikes,
    they are added to the rest, and the other spikes are compared again, so that several events do not hide each other.
    The largest bursts of the run are searched for outside all spikes, so that one event does not rule out the others.
    But if queues at unchanged load cover more than half of the time, each is compared with the others too.
    """
    views = [SpikeView(spike, data) for spike in spikes]
    ordinary = {at for at, spike in enumerate(spikes) if _slight(views[at], spike)}
    by_load = [at for at, spike in enumerate(spikes) if _doubtful(spike)]
    queues = {at for at in by_load if views[at].queued and not views[at].demand.new}
    outside_queues = _outside([spike for at, spike in enumerate(spikes) if at not in queues], data)
    ordinary |= {at for at in queues if not _high(views[at], outside_queues)}
    usual = queues if _most_of(outside_queues, [spikes[at] for at in sorted(queues)]) else set()
    found = True
    while found:
        rest = _outside([spike for at, spike in enumerate(spikes) if at not in ordinary | usual], data)
        more = {at for at in by_load if at not in ordinary and _bursts(views[at], rest) < rules.ORDINARY_BURSTS}
        found, ordinary = bool(more), ordinary | more
    apart = _outside([spike for at, spike in enumerate(spikes) if at not in usual], data)
    ordinary |= {at for at in by_load if not _stands_out(views[at], apart)}
    return tuple(spike for at, spike in enumerate(spikes) if at not in ordinary)


def _doubtful(spike: Spike) -> bool:
    """Whether a normal burst may be mistaken for the cause. A long request makes one instance slow for some seconds."""
    if spike.cause == Cause.SLOW_INSTANCE:
        return spike.end_s - spike.onset_s < rules.WINDOW_S
    return spike.cause in BY_LOAD and spike.confidence == Confidence.LOW


def _outside(spikes: Sequence[Spike], data: RunData) -> Bools:
    """Return the seconds outside these spikes and all outages."""
    outside = np.ones(data.series.seconds, dtype=np.bool_)
    spans = [(spike.onset_s, spike.end_s) for spike in spikes] + [(each.onset_s, each.end_s) for each in data.outages]
    for onset_s, end_s in spans:
        outside[max(0, onset_s - rules.SCAN_GAP_S) : end_s + rules.SCAN_GAP_S] = False
    return outside


def _most_of(seconds: Bools, queues: Sequence[Spike]) -> bool:
    """Whether three or more separate queues cover more than half of these seconds, so that they are the usual state.

    Queues that directly follow each other count as one, because they may be the parts of one long rise.
    """
    covered = sum(int(seconds[queue.onset_s : queue.end_s].sum()) for queue in queues)
    gaps = sum(after.onset_s > before.end_s + rules.SCAN_GAP_S for before, after in pairwise(queues))
    return gaps + 1 >= rules.ORDINARY_QUEUES and covered > 0.5 * seconds.sum()


def _slight(view: SpikeView, spike: Spike) -> bool:
    """Whether a spike is too small to report: p95 is low and the cause uncertain, or only few requests waited briefly.

    "Low" means below rules.SHOWN_RATIO × the baseline. "Few" means fewer than ten, and "briefly" means less than a
    second. For few requests, p95 must also be below 5 × the baseline, or the spike must be unexplained and last only a
    few seconds.
    """
    requests, slow_ms = view.data.requests, view.data.requests.latency_ms[view.slow]
    if not len(slow_ms):
        return False
    ratio = float(np.percentile(requests.latency_ms[requests.ok & view.inside], 95)) / spike.baseline_ms
    if ratio < rules.SHOWN_RATIO and spike.confidence != Confidence.HIGH:
        return True
    short = spike.cause == Cause.UNEXPLAINED and view.length_s + slow_ms.max() / 1000 < rules.SCAN_LENGTH_S
    few = len(slow_ms) * requests.thinned < rules.MANY_SLOW and slow_ms.max() < rules.STOPPED_S * 1000
    return bool(few and (short or ratio < rules.FEW_SHOWN_RATIO))


def _comparable(view: SpikeView, seconds: Bools) -> Bools:
    """Return the seconds outside the spike in which each instance had about as much load as in the spike, or more.

    If the load is not known, or if too few seconds are left, all seconds outside the spike are returned.
    """
    outside, each = seconds.copy(), view.data.demand_each
    inside = slice(view.spike.onset_s, max(view.spike.onset_s + 1, view.spike.end_s))
    outside[inside] = False
    if each is None or np.isnan(each[inside]).all():
        return outside
    loaded = outside & (np.nan_to_num(each) * rules.RISING_DEMAND >= np.nanmedian(each[inside]))
    return loaded if loaded.sum() >= rules.NORMAL_SECONDS else outside


def _high(view: SpikeView, seconds: Bools) -> bool:
    """Whether p95 in the spike is at least rules.SHOWN_RATIO × p95 in the comparable seconds."""
    requests = view.data.requests
    second = np.clip(requests.start_s.astype(np.int64), 0, len(seconds) - 1)
    around = requests.latency_ms[requests.ok & _comparable(view, seconds)[second]]
    own = requests.latency_ms[requests.ok & view.inside]
    return not len(around) or bool(np.percentile(own, 95) >= rules.SHOWN_RATIO * np.percentile(around, 95))


def _excess_per_s(view: SpikeView) -> Floats:
    """Return the latency beyond the spike's baseline in each second of the run, in ms."""
    requests, length_s, baseline_ms = view.data.requests, view.data.series.seconds, view.spike.baseline_ms
    beyond = requests.ok & (requests.latency_ms > baseline_ms)
    second = np.clip(requests.start_s[beyond].astype(np.int64), 0, length_s - 1)
    return np.asarray(np.bincount(second, requests.latency_ms[beyond] - baseline_ms, minlength=length_s))


def _bursts(view: SpikeView, seconds: Bools) -> float:
    """Return the excess latency of the spike in usual bursts of the comparable seconds; infinity if they have none.

    The size of a usual burst is the variance of the excess latency in ten seconds, divided by its mean.
    """
    excess = _excess_per_s(view)
    rest = excess[_comparable(view, seconds)]
    if len(rest) < rules.NORMAL_SECONDS or not rest.any():
        return np.inf
    windows = rest[: len(rest) // rules.WINDOW_S * rules.WINDOW_S].reshape(-1, rules.WINDOW_S).sum(axis=1)
    own = excess[view.spike.onset_s : view.spike.end_s].sum() - rest.mean() * view.length_s
    return float(own / max(windows.var() / max(windows.mean(), 1e-9), 1e-9))


def _stands_out(view: SpikeView, seconds: Bools) -> bool:
    """Whether the spike is as large as many usual bursts, or far larger than the third largest in comparable seconds.

    That burst has the length of the spike, but a minute at most.
    """
    if _bursts(view, seconds) >= rules.MANY_BURSTS:
        return True
    excess = _excess_per_s(view)
    rest = excess[_comparable(view, seconds)]
    width = np.ones(min(view.length_s, rules.NORMAL_SECONDS))
    own = np.convolve(excess[view.spike.onset_s : view.spike.onset_s + view.length_s], width, mode="valid").max()
    return bool(own >= rules.ORDINARY_LARGEST * _third_largest(np.convolve(rest, width, mode="valid"), len(width)))


def _third_largest(sums: Floats, width: int) -> float:
    """Return the third largest of the sums over `width` seconds that do not overlap; the smallest if there are fewer.

    The largest one may be an event that was not found.
    """
    sums, found = sums.copy(), 0.0
    for _ in range(3):
        at = int(sums.argmax())
        if sums[at] < 0:
            break
        found = float(sums[at])
        sums[max(0, at - width + 1) : at + width] = -1.0
    return found
