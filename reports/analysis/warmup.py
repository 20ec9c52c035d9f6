"""Measure how a run began."""

from __future__ import annotations

import numpy as np

from reports.data import rules
from reports.data.histogram import Bools
from reports.data.numbers import extra_waiting_request_s, time_to_first_answer_s, young_requests
from reports.data.series import Series
from reports.data.window import Window
from reports.model import Warmup
from reports.spikes.baseline import Levels, Windows


def warm_up(series: Series, windows: Windows, levels: Levels, steady: Window | None) -> Warmup:
    """Return how the run began, compared with its own steady window (or the whole run if there is none)."""
    width = rules.WINDOW_S
    known = windows.requests > 0
    within = np.zeros(len(known), dtype=np.bool_)
    place = steady or Window(0, series.seconds)
    within[place.start_s // width : -(-place.end_s // width)] = True
    normal = known & within & ~levels.anomalous
    chosen = normal if normal.any() else known & within
    first = time_to_first_answer_s(series)
    young = young_requests(series, Window(0, series.seconds))
    if not chosen.any():
        return Warmup(
            first_answer_s=first,
            settled_s=None,
            extra_waiting_request_s=None,
            young_requests=young,
            peak_p95_ms=None,
            steady_p95_ms=None,
        )
    level_us = float(np.median(windows.p95_us[chosen]))
    limit_us = max(level_us * rules.SETTLED_RATIO, level_us + rules.SETTLED_MS * 1000)
    settled_s = _settled(windows, known, limit_us, first)
    until = Window(0, series.seconds if settled_s is None else round(settled_s))
    early = known[: -(-until.end_s // width)]
    peak = float(np.max(windows.p95_us[: len(early)][early])) if early.any() else None
    extra = _extra_waiting(series, chosen, windows.p95_us > limit_us, until)
    return Warmup(
        first_answer_s=first,
        settled_s=settled_s,
        peak_p95_ms=None if peak is None else peak / 1000,
        steady_p95_ms=level_us / 1000,
        extra_waiting_request_s=extra,
        young_requests=young,
    )


def _extra_waiting(series: Series, normal: Bools, raised: Bools, until: Window) -> float | None:
    """Return the excess latency up to `until`, compared with the mean of normal windows; None if no window is normal.

    The unit is request-seconds.

    Only windows with an elevated p95 count. Faster answers at the light load of a ramp are not subtracted from long
    waits, and a spike in the steady phase is not part of the baseline.
    """
    width = rules.WINDOW_S
    spans = [Window(at * width, min((at + 1) * width, series.seconds)) for at in range(len(normal))]
    answered = sum(span.sum(series.ok) for span, is_normal in zip(spans, normal.tolist(), strict=True) if is_normal)
    if not answered:
        return None
    waited_us = sum(
        float(series.ok_response_us[span.start_s : span.end_s].sum())
        for span, is_normal in zip(spans, normal.tolist(), strict=True)
        if is_normal
    )
    mean_ms = waited_us / answered / 1000
    early = [
        Window(span.start_s, min(span.end_s, until.end_s))
        for span, is_raised in zip(spans, raised.tolist(), strict=True)
        if is_raised and span.start_s < max(until.end_s, 1)
    ]
    return sum(max(0.0, extra_waiting_request_s(series, span, mean_ms)) for span in early)


def _settled(windows: Windows, known: Bools, limit_us: float, first_answer_s: float | None) -> float | None:
    """Return when p95 settled, which is when the first rules.SETTLED_WINDOWS normal windows in a row begin.

    If the normal windows last to the end of the run, rules.OFF_WINDOWS of them are enough.

    A window counts as normal if the lower end of its p95's interval is within the limit. A single window with few
    requests that exceeds the limit by chance therefore does not prolong the warm-up.
    """
    normal = known & (np.where(known, windows.low_us, np.inf) <= limit_us)
    places = np.flatnonzero(known)
    flags = normal[places]
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8)))
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        to_the_end = end == len(places) and end - begin >= rules.OFF_WINDOWS
        if end - begin >= rules.SETTLED_WINDOWS or to_the_end or end - begin == len(places):
            late = first_answer_s is not None and first_answer_s >= rules.LATE_ANSWER_S
            return first_answer_s if begin == 0 and late else float(places[begin] * rules.WINDOW_S)
    return None
