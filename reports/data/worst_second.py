"""Find the second of a run whose p95 was highest."""

from __future__ import annotations

import numpy as np

from reports.data.series import Series
from reports.model import WorstSecond

REQUESTS_AT_LEAST = 2
"""The smallest number of requests in a second, because the p95 of a single request would be that request's own time."""


def worst_second(series: Series) -> WorstSecond | None:
    """Return the second with the highest p95 of successful requests; None if no second has two of them.

    Formula: nearest rank per second of the request's start, within 0.4 %. It is not a spike. The p95 of one second
    comes from few requests and scatters, so it shows where to look, but not that something was wrong.
    """
    seconds = series.seconds
    p95_us = series.cells.quantiles([0.95], seconds)[0]
    known = np.asarray(series.ok[:seconds] >= REQUESTS_AT_LEAST) & ~np.isnan(p95_us)
    if not known.any():
        return None
    at = int(np.argmax(np.where(known, p95_us, -1.0)))
    return WorstSecond(
        at_s=at,
        p95_ms=float(p95_us[at]) / 1000,
        requests=int(series.ok[at]),
        usual_ms=float(np.median(p95_us[known])) / 1000,
    )
