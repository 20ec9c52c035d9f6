"""Divide a run into warm-up, ramp, steady and drain."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from loadtest.core.plan import FULL_RATIO, STEADY_AT_LEAST_S
from loadtest.recording.run import LoadModel, Run
from reports.data.histogram import Bools, Floats
from reports.data.load import Load
from reports.data.series import Series
from reports.data.window import Window

UNPLANNED_RATIO = 0.8
"""If users are not known, the steady phase is where the smoothed rate is at least 80 % of its usual level. The limit is
not higher, because Poisson noise moves the rate by 10 %."""

SMOOTHING_S = 15
"""Time over which the rate is smoothed if users are not known. At 5 requests/s, 15 s contain 75 requests, and the noise
is 12 %."""


class PhaseName(StrEnum):
    """The parts of a run, in the order in which they come. Any part but `all` may be missing."""

    ALL = "all"
    WARM_UP = "warmup"
    RAMP = "ramp"
    STEADY = "steady"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class PhaseWindow:
    """One phase of a run, with a sentence that says why it ends at this time."""

    name: PhaseName
    window: Window
    why: str


def steady_window(series: Series, load: Load, run: Run) -> tuple[Window | None, str]:
    """Return the steady phase, and how it was found.

    It is the longest period with at least FULL_RATIO of the highest number of planned users. Without a plan, the number
    of running users is used, or the request rate if that number is not known. The rate is the worst source, because in
    a closed loop it falls when the server slows.
    """
    for level, source in ((load.planned_users, "planned users"), (load.users, "running users")):
        if not np.isnan(level).all() and np.nanmax(level) > 0:
            full = np.nan_to_num(_filled(level)) >= FULL_RATIO * np.nanmax(level)
            return _longest(full), f"{source} at ≥ {FULL_RATIO:.0%} of their highest, {np.nanmax(level):.0f}"
    window = min(SMOOTHING_S, series.seconds)
    rate = np.convolve(series.started, np.ones(window) / window, mode="same")
    covered = np.convolve(np.ones(series.seconds), np.ones(window) / window, mode="same")
    smooth = rate / covered
    usual = float(np.percentile(smooth, 75))
    kind = "arrivals" if run.scenario.load_model is LoadModel.OPEN else "requests"
    return _longest(smooth >= UNPLANNED_RATIO * usual), f"users not known; {kind} ≥ {UNPLANNED_RATIO:.0%} of usual"


def phases(series: Series, load: Load, run: Run, *, settled_s: float | None) -> tuple[PhaseWindow, ...]:
    """Return `all`, and then the phases in the order of time. Parts that do not exist are left out.

    A run has a warm-up if a spike begins with its load and p95 settles before the end of the steady part (see
    warmup.py). The warm-up lasts until p95 has settled, and the steady phase begins no earlier. The ramp is the time
    between warm-up and steady; the drain is the time after steady.

    Args:
        series: the run.
        load: its users.
        run: its record.
        settled_s: when p95 first stayed near its baseline; None if it never did or no spike began with the load.
    """
    end = series.seconds
    steady, why = steady_window(series, load, run)
    found = [PhaseWindow(PhaseName.ALL, Window(0, end), "from the start of the load to the last answer")]
    top = steady.start_s if steady else end
    latest = steady.end_s - STEADY_AT_LEAST_S if steady else end
    warm = round(settled_s) if settled_s and settled_s <= latest else 0
    if warm > 0:
        found.append(PhaseWindow(PhaseName.WARM_UP, Window(0, warm), "until p95 stayed near its steady level"))
    if top > warm:
        found.append(PhaseWindow(PhaseName.RAMP, Window(warm, top), "until the load reached its maximum"))
    if steady:
        begin = max(steady.start_s, warm)
        found.append(PhaseWindow(PhaseName.STEADY, Window(begin, steady.end_s), why))
        if end > steady.end_s:
            found.append(
                PhaseWindow(PhaseName.DRAIN, Window(steady.end_s, end), "after the load fell below its maximum")
            )
    return tuple(found)


def _filled(level: Floats) -> Floats:
    """Return `level` with each unknown second replaced by the one before it."""
    known = np.where(~np.isnan(level), np.arange(len(level)), -1)
    at = np.maximum.accumulate(known)
    return np.where(at >= 0, level[np.maximum(at, 0)], np.nan)


def _longest(full: Bools) -> Window | None:
    edges = np.flatnonzero(np.diff(np.r_[False, full, False].astype(np.int8)))
    stretches = [(int(b - a), int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    if not stretches:
        return None
    length, start, end = max(stretches, key=lambda stretch: stretch[0])
    return Window(start, end) if length >= min(STEADY_AT_LEAST_S, len(full)) else None
