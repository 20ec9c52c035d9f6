"""Compute the published numbers of a run. Each number has one function, whose docstring defines it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from reports.data.histogram import Floats
from reports.data.series import Series
from reports.data.window import Window


def requests(series: Series, window: Window) -> int:
    """Return how many requests started in the window.

    Formula: count of rows. Population: every request. Unit: requests. Cannot tell: requests that a lost worker
    never reported, or that were still in flight when the run was cut.
    """
    return window.sum(series.started)


def failures(series: Series, window: Window) -> int:
    """Return how many requests started in the window and failed.

    Formula: count of rows whose outcome is neither `ok` nor `generator`. Population: every request. Unit: requests.
    Cannot tell: wrong answers that no check of the scenario looks for, and exceptions of the scenario's own code.
    """
    return window.sum(series.failed)


def error_ratio(series: Series, window: Window) -> float | None:
    """Return the share of requests that failed; None if no request was sent.

    Formula: failures / (requests − those that the load generator could not send). Population: every request started
    in the window. Unit: ratio, 0…1. Cannot tell: what caused the failures, because timeouts, refusals (429) and failed
    checks are all counted.
    """
    sent = requests(series, window) - window.sum(series.generator)
    return failures(series, window) / sent if sent else None


def offered_per_s(series: Series, window: Window) -> float | None:
    """Return the requests started per second; None for an empty window.

    Formula: requests / length of the window. Population: every request. Unit: 1/s. Cannot tell: what closed-loop
    users would have sent to a faster service; they wait for their answers.
    """
    return requests(series, window) / window.length_s if window.length_s else None


def throughput_per_s(series: Series, window: Window) -> float | None:
    """Return the successful answers per second; None for an empty window.

    Formula: successful requests that ended in the window / length of the window. Population: outcome `ok`. Unit:
    1/s. Cannot tell: capacity; a lower load gives a lower figure.
    """
    return window.sum(series.ok_ended) / window.length_s if window.length_s else None


def mean_in_flight(series: Series, window: Window) -> float | None:
    """Return the mean number of requests awaiting an answer; None for an empty window.

    Formula: mean over all seconds of (started so far − ended so far), at the end of each second. Population: every
    request. Unit: requests. Cannot tell: requests that never ended before the run was cut.
    """
    if not window.length_s:
        return None
    return float(series.in_flight[window.start_s : window.end_s].mean())


def time_to_first_answer_s(series: Series) -> float | None:
    """Return when the first successful answer had arrived; None if there is none.

    Formula: min(start + latency) − t0. Population: outcome `ok`. Unit: s after the start of the load. Cannot tell: how
    long the deployment took before the load.
    """
    return None if series.first_ok_us is None else series.first_ok_us / 1e6


def young_requests(series: Series, window: Window) -> int | None:
    """Return how many requests an instance younger than 10 s answered; None when the service reports no age.

    Formula: count of rows with `instance_age_ms` < 10,000. Population: requests that name an age. Unit: requests.
    Cannot tell: requests that were refused or timed out before an instance took them.
    """
    return None if series.young is None else window.sum(series.young)


def extra_waiting_request_s(series: Series, window: Window, normal_mean_ms: float) -> float:
    """Return the excess latency: how much longer the requests in the window waited than requests in normal seconds.

    Formula: Σ response time − n × baseline mean. Population: outcome `ok`, started in the window. Unit: request-seconds
    (10 requests that each waited 2 s longer are 20). Cannot tell: the waiting of requests that failed.
    """
    total_s = float(series.ok_response_us[window.start_s : window.end_s].sum()) / 1e6
    return total_s - window.sum(series.ok) * normal_mean_ms / 1000


def status_per_s(series: Series, status: int, *, step_s: int = 1) -> Floats:
    """Return how many answers per second had this HTTP status, in steps of `step_s`; 0 if none had it.

    Formula: count / step. Population: requests by the second of their start; status 0 means no answer. Unit: 1/s.
    Cannot tell: who sent the answer, because both the platform and the service answer with 429 and 503.
    """
    counts = series.by_status.get(status, np.zeros(series.seconds, dtype=np.int64))
    edges = np.arange(0, series.seconds, step_s)
    return np.asarray(np.add.reduceat(counts, edges) / np.diff(np.r_[edges, series.seconds]), dtype=np.float64)


def time_out_at_least_ms(series: Series) -> float | None:
    """Return the bound to print for timeouts ("≥ 1,000 ms"); None if no request timed out.

    Formula: min latency. Population: outcome `timeout`. Unit: ms. Cannot tell: how long an answer would have taken;
    a timeout is a lower bound and enters no mean and no percentile of successes.
    """
    return None if series.timeout_at_least_us is None else series.timeout_at_least_us / 1000


PER_WINDOW: Mapping[str, Callable[[Series, Window], float | None]] = {
    function.__name__: function
    for function in (requests, failures, error_ratio, offered_per_s, throughput_per_s, mean_in_flight, young_requests)
}
"""Numbers of a window. If a part of the summary has a field with the name of such a function, the function gives its
value."""
