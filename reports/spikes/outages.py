"""Find outages: periods in which requests failed together, or in which the service answered nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from loadtest.recording.frames import OUTCOMES
from reports.data import rules
from reports.data.formats import count, elapsed, listing, percent, plural
from reports.data.histogram import Bools, Ints
from reports.data.series import Series
from reports.model import Outage
from reports.spikes.requests import Requests

SILENCE, TIMEOUTS = "no answer", "timeouts"

KINDS: Mapping[str, tuple[str, ...]] = {
    TIMEOUTS: ("timeout", "unanswered"),
    "connections refused or reset": ("connection",),
}
"""Kinds of outage without an answer, each with its outcomes. Each HTTP status is a further kind."""


def find_outages(series: Series, requests: Requests) -> tuple[Outage, ...]:
    """Return the outages in the order of their onset.

    An outage is a period in which, within rules.OUTAGE_WINDOW_S, a fifth of the requests (or half of one endpoint's
    requests) fail in the same way. There must be at least rules.OUTAGE_FAILURES such failures, and their share must be
    five times that in the rest of the run. A silence is an outage too: for rules.SILENT_S nothing is answered although
    requests wait, and at least rules.SILENT_ANSWERS answers would have come at the earlier rate. Failures that are
    spread evenly over a run may not be found if they are less than half of its requests; the error rate shows them.
    """
    found = [
        outage for kind, failed in _by_kind(series).items() for outage in _stretches(series, requests, kind, failed)
    ]
    for silent in _silences(series, requests):
        if not any(outage.onset_s < silent.end_s and silent.onset_s < outage.end_s for outage in found):
            found.append(silent)
    return tuple(sorted(found, key=lambda outage: (outage.onset_s, outage.end_s)))


def _by_kind(series: Series) -> dict[str, Ints]:
    kinds = {
        kind: np.sum([series.by_outcome[name] for name in names if name in series.by_outcome], axis=0)
        for kind, names in KINDS.items()
    }
    for status, counts in sorted(series.by_status.items()):
        if status == 429 or status >= 500:
            kinds[f"status {status}"] = counts
    return {kind: counts for kind, counts in kinds.items() if np.any(counts)}


def _stretches(series: Series, requests: Requests, kind: str, failed: Ints) -> Iterator[Outage]:
    width = rules.OUTAGE_WINDOW_S
    near = np.convolve(failed, np.ones(width), mode="full")[: series.seconds]
    sent = np.convolve(series.started, np.ones(width), mode="full")[: series.seconds]
    share = near / np.maximum(sent, 1)
    limit = np.full(series.seconds, rules.OUTAGE_RATIO)
    hit = (near >= rules.OUTAGE_FAILURES) & (share >= limit)
    hit |= _one_endpoint(series, requests, kind, width)
    bad = _reaching_back(hit, width) & (failed > 0)
    usual = failed[~_reaching_back(hit, width)].sum() / max(1, series.started[~_reaching_back(hit, width)].sum())
    for begin, end in _merged(bad, series):
        inside = slice(begin, end)
        count, all_sent = int(failed[inside].sum()), int(series.started[inside].sum())
        ratio = count / max(1, all_sent)
        if count < rules.OUTAGE_FAILURES or ratio < rules.ERROR_FACTOR * usual:
            continue
        last = _back_at(series, end)
        yield _outage(series, requests, kind, begin, last, failed=count, sent=all_sent)


def _one_endpoint(series: Series, requests: Requests, kind: str, width: int) -> Bools:
    """Return where half of one endpoint's requests fail, even if they are few among all requests."""
    hit = np.zeros(series.seconds, dtype=np.bool_)
    if len(series.endpoints) < 2:
        return hit
    second = np.clip(requests.start_s.astype(np.int64), 0, series.seconds - 1)
    failed = _is_of(requests, kind)
    for endpoint in np.unique(requests.endpoint[failed]).tolist():
        mine = requests.endpoint == endpoint
        sent, bad = (
            np.convolve(np.bincount(second[chosen], minlength=series.seconds), np.ones(width))[: series.seconds]
            for chosen in (mine, mine & failed)
        )
        hit |= (bad * requests.thinned >= rules.OUTAGE_FAILURES) & (bad >= 0.5 * sent)
    return hit


def _is_of(requests: Requests, kind: str) -> Bools:
    """Return which requests failed in the way of this kind of outage."""
    if kind in KINDS:
        return np.isin(requests.outcome, [OUTCOMES.index(name) for name in KINDS[kind] if name in OUTCOMES])
    return np.asarray(requests.status == int(kind.rsplit(maxsplit=1)[-1]))


def _reaching_back(hit: Bools, width: int) -> Bools:
    """Return the seconds in all windows that end in a `hit` second."""
    return np.asarray(np.convolve(hit[::-1], np.ones(width), mode="full")[: len(hit)][::-1] > 0)


def _merged(bad: Bools, series: Series) -> Iterator[tuple[int, int]]:
    """Yield periods of bad seconds.

    Two periods are joined if little time passed between them, or if no request succeeded between them.
    """
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
    """Return the first second after the last failure in which a successful request was sent, or else the run's end."""
    later = np.flatnonzero(series.ok[end:])
    return end + int(later[0]) if len(later) else series.seconds


def _silences(series: Series, requests: Requests) -> Iterator[Outage]:
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
            yield _outage(series, requests, SILENCE, begin, end, failed=int(series.failed[begin:end].sum()), sent=sent)


def _outage(series: Series, requests: Requests, kind: str, begin: int, end: int, *, failed: int, sent: int) -> Outage:
    endpoints = _hit(series, requests, kind, begin, end)
    cut = end >= series.seconds
    ratio = failed / max(1, sent)
    where = f", mostly those of {listing(list(endpoints))}," if endpoints else ""
    length = f"{end - begin} s{' until the end of the run' if cut else ''}"
    if kind == SILENCE:
        waiting = int(series.in_flight[begin:end].max())
        text = f"No answer for {length} from {elapsed(begin)} on while {plural(waiting, 'request')} waited."
    else:
        of = f"{count(failed)} of {plural(sent, 'request')}"
        text = f"{of}{where} failed ({kind}, {percent(ratio)}) from {elapsed(begin)} on for {length}."
    return Outage(
        onset_s=begin,
        end_s=end,
        kind=kind,
        failed=failed,
        requests=sent,
        share_ratio=ratio,
        endpoints=list(endpoints),
        cut=cut,
        text=text,
    )


def _hit(series: Series, requests: Requests, kind: str, begin: int, end: int) -> tuple[str, ...]:
    """Return the endpoints that the outage affected; empty if it affected all of them."""
    if len(series.endpoints) < 2:
        return ()
    inside = (requests.start_s >= begin) & (requests.start_s < end)
    sent, bad = (
        np.bincount(requests.endpoint[chosen], minlength=len(series.endpoints))
        for chosen in (inside, inside & (~requests.ok if kind == SILENCE else _is_of(requests, kind)))
    )
    enough = sent * requests.thinned >= rules.OUTAGE_FAILURES
    hit = enough & (bad >= rules.OUTAGE_RATIO * sent)
    if not hit.any() or hit.sum() == enough.sum():
        return ()
    return tuple(
        f"{endpoint.method} {endpoint.name}".strip()
        for endpoint, is_hit in zip(series.endpoints, hit, strict=True)
        if is_hit
    )
