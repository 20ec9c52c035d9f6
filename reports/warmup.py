"""Measure how a run began."""

from __future__ import annotations

from dataclasses import dataclass

from reports.series import Series
from reports.window import Window


@dataclass(frozen=True, slots=True)
class Warmup:
    """The beginning of a run. Times are seconds after t = 0; None is not known (or: it never happened).

    Attributes:
        first_answer_s: see numbers.time_to_first_answer_s.
        settled_s: from when p95 stays within rules.SETTLED_RATIO of its steady level for a minute (or to the end);
            0.0 when it was there from the start; None when it never stayed.
        peak_p95_ms: the highest p95 of a window until then.
        steady_p95_ms: the level it is measured against: the median of the windows' p95 in the steady phase.
        extra_waiting_request_s: waiting until `settled_s` beyond the calm mean.
        young_requests: see numbers.young_requests, over the whole run.
    """

    first_answer_s: float | None
    settled_s: float | None
    peak_p95_ms: float | None
    steady_p95_ms: float | None
    extra_waiting_request_s: float | None
    young_requests: int | None


def warm_up(series: Series, steady: Window | None) -> Warmup:
    """Return how the run began, against its own steady window."""
    del steady
    first = None if series.first_ok_us is None else series.first_ok_us / 1e6
    return Warmup(first, None, None, None, None, None)
