"""Find where p95 rose above its surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.series import Series


@dataclass(frozen=True, slots=True)
class Spike:
    """One rise of the p95 of successful response times. Times are seconds after t = 0, to the second.

    Attributes:
        onset_s: the first second in it.
        end_s: the first second after it.
        peak_s: where the highest window begins.
        peak_ms: p95 of the highest window.
        peak_low_ms: lower end of that p95's interval.
        peak_high_ms: its upper end; None when the window holds too few requests for one ("≥").
        baseline_ms: the calm p95 around it.
        ratio: peak_ms / baseline_ms.
        limit_ms: a request slower than this counts as slow.
        requests: successful requests started inside.
        slow: of these, slower than `limit_ms`.
        extra_waiting_request_s: see numbers.extra_waiting_request_s.
        cut: whether the run ended before the spike did.
    """

    onset_s: int
    end_s: int
    peak_s: int
    peak_ms: float
    peak_low_ms: float
    peak_high_ms: float | None
    baseline_ms: float
    ratio: float
    limit_ms: float
    requests: int
    slow: int
    extra_waiting_request_s: float
    cut: bool


@dataclass(frozen=True, slots=True)
class SlowFirst:
    """Slow first requests on new instances: real waiting, but too few requests to move a percentile.

    Attributes:
        requests: how many.
        instances: on how many instances.
        worst_ms: the slowest.
        text: one sentence.
    """

    requests: int
    instances: int
    worst_ms: float
    text: str


def find_spikes(series: Series) -> tuple[Spike, ...]:
    """Return the spikes in time order (rules and constants: reports/rules.py)."""
    del series
    return ()


def slow_first_requests(series: Series, spikes: Sequence[Spike]) -> SlowFirst | None:
    """Return the slow first requests that no spike contains; None when there are none."""
    del series, spikes
    return None
