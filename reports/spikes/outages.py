"""Find outages: stretches in which requests failed together, or in which the service answered nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from reports.data import rules
from reports.data.histogram import Bools, Ints
from reports.data.series import Series
from reports.model import Outage


SILENCE = "no answer"

KINDS: Mapping[str, tuple[str, ...]] = {
    "timeouts": ("timeout", "unanswered"),
    "connections refused or reset": ("connection",),
}
"""Outcomes without an answer, by what an outage of them is called. An HTTP status is a kind of its own."""


def find_outages(series: Series) -> tuple[Outage, ...]:
    """Return the outages in the order of their onset.

    A stretch counts where, within rules.OUTAGE_WINDOW_S, a fifth of the requests (or of one endpoint's, half) fail in
    one way, at least rules.OUTAGE_FAILURES of them and five times as many as elsewhere in the run. Silence is
    rules.SILENT_S without any answer while requests wait that the rate before would have answered. Not seen: failures
    that are spread evenly over a run with less than half of its requests; they are its error rate.
    """
    found = [
        outage for kind, failed in _by_kind(series).items() for outage in _stretches(series, kind, failed)
    ]
    for silent in _silences(series):
        if not any(one.onset_s < silent.end_s and silent.onset_s < one.end_s for one in found):
            found.append(silent)
    return tuple(sorted(found, key=lambda one: (one.onset_s, one.end_s)))


def _by_kind(series: Series) -> dict[str, Ints]:
    kinds = {
        kind: np.sum([series.by_outcome[name] for name in names if name in series.by_outcome], axis=0)
        for kind, names in KINDS.items()
    }
    for status, counts in sorted(series.by_status.items()):
        if status == 429 or status >= 500:
            kinds[f"status {status}"] = counts
    return {kind: counts for kind, counts in kinds.items() if np.any(counts)}


def _stretches(series: Series, kind: str, failed: Ints) -> Iterator[Outage]:
    width = rules.OUTAGE_WINDOW_S
    near = np.convolve(failed, np.ones(width), mode="full")[: series.seconds]
    sent = np.convolve(series.started, np.ones(width), mode="full")[: series.seconds]
    share = near / np.maximum(sent, 1)
    limit = np.full(series.seconds, rules.OUTAGE_RATIO)
    hit = (near >= rules.OUTAGE_FAILURES) & (share >= limit)
    hit |= _one_endpoint(series, failed, width)
    bad = _reaching_back(hit, width) & (failed > 0)
    usual = failed[~_reaching_back(hit, width)].sum() / max(1, series.started[~_reaching_back(hit, width)].sum())
    for begin, end in _merged(bad, series):
        inside = slice(begin, end)
        count, all_sent = int(failed[inside].sum()), int(series.started[inside].sum())
        ratio = count / max(1, all_sent)
        if count < rules.OUTAGE_FAILURES or ratio < rules.ERROR_FACTOR * usual:
            continue
        last = _back_at(series, end)
        yield _outage(series, kind, begin, last, failed=count, requests=all_sent)


def _one_endpoint(series: Series, failed: Ints, width: int) -> Bools:
    """Return where half of one endpoint's requests fail, though they are few of all."""
    hit = np.zeros(series.seconds, dtype=np.bool_)
    if len(series.endpoints) < 2:
        return hit
    ones = np.ones(width)
    for sent, bad in zip(series.by_endpoint, series.failed_by_endpoint, strict=True):
        near = np.convolve(np.minimum(bad, failed), ones, mode="full")[: series.seconds]
        asked = np.convolve(sent, ones, mode="full")[: series.seconds]
        hit |= (near >= rules.OUTAGE_FAILURES) & (near >= 0.5 * asked)
    return hit


def _reaching_back(hit: Bools, width: int) -> Bools:
    """Return the seconds that any window ending in a `hit` second holds."""
    return np.asarray(np.convolve(hit[::-1], np.ones(width), mode="full")[: len(hit)][::-1] > 0)


def _merged(bad: Bools, series: Series) -> Iterator[tuple[int, int]]:
    """Yield stretches of bad seconds, those joined between which hardly anything succeeded or little time passed."""
    edges = np.flatnonzero(np.diff(np.r_[False, bad, False].astype(np.int8)))
    begun = last = -1
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if begun >= 0 and (begin - last <= rules.OUTAGE_WINDOW_S or not series.ok[last:begin].any()):
            last = end
            continue
        if begun >= 0:
            yield begun, last
        begun, last = begin, end
    if begun >= 0:
        yield begun, last


def _back_at(series: Series, end: int) -> int:
    """Return when requests that were sent after the last failure succeeded; the run's end when none did."""
    later = np.flatnonzero(series.ok[end:])
    return end + int(later[0]) if len(later) else series.seconds


def _silences(series: Series) -> Iterator[Outage]:
    if series.first_ok_us is None:
        return
    first = series.first_ok_us // 1_000_000
    silent = (series.ok_ended == 0) & (np.r_[0, series.in_flight[:-1]] > 0) & (np.arange(series.seconds) > first)
    edges = np.flatnonzero(np.diff(np.r_[False, silent, False].astype(np.int8)))
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        before = series.ok_ended[max(0, begin - rules.SILENCE_BEFORE_S) : begin]
        expected = float(before.mean()) * (end - begin) if len(before) else 0.0
        if end - begin >= rules.SILENT_S and expected >= rules.SILENT_ANSWERS:
            sent = int(series.started[begin:end].sum())
            yield _outage(series, SILENCE, begin, end, failed=int(series.failed[begin:end].sum()), requests=sent)


def _outage(series: Series, kind: str, begin: int, end: int, *, failed: int, requests: int) -> Outage:
    endpoints = _hit(series, begin, end)
    cut = end >= series.seconds
    ratio = failed / max(1, requests)
    where = f" of {', '.join(endpoints)}" if endpoints else ""
    length = f"{end - begin} s{' until the end of the run' if cut else ''}"
    if kind == SILENCE:
        waiting = int(series.in_flight[begin:end].max())
        text = f"No answer for {length} from {begin} s while {waiting} requests waited."
    else:
        text = f"{failed} of {requests} requests{where} failed ({kind}, {ratio:.0%}) from {begin} s for {length}."
    return Outage(
        onset_s=begin,
        end_s=end,
        kind=kind,
        failed=failed,
        requests=requests,
        share_ratio=ratio,
        endpoints=list(endpoints),
        cut=cut,
        text=text,
    )


def _hit(series: Series, begin: int, end: int) -> tuple[str, ...]:
    """Return the endpoints that were hit where others were not; empty when all were."""
    sent, bad = (counts[:, begin:end].sum(axis=1) for counts in (series.by_endpoint, series.failed_by_endpoint))
    asked = sent >= rules.OUTAGE_FAILURES
    hit = asked & (bad >= 0.2 * sent)
    if not hit.any() or hit.sum() == asked.sum():
        return ()
    return tuple(f"{one.method} {one.name}".strip() for one, is_hit in zip(series.endpoints, hit, strict=True) if is_hit)
