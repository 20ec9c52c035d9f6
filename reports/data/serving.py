"""Count how many instances served in each second."""

from __future__ import annotations

import numpy as np

from reports.data.cloud import InstanceGauge
from reports.data.histogram import Floats
from reports.data.series import Series


def instances_per_s(series: Series, gauge: InstanceGauge | None) -> Floats | None:
    """Return how many instances (at least 1) served in each second after t = 0; None if nothing names or counts them.

    If response headers name the instances, each one serves from its first answer to its last. Otherwise, the latest
    sample of the gauge is used. Before the first sample, the first sample is used.
    """
    second = np.arange(series.seconds)
    if series.instances:
        first = np.sort([instance.first_seen_s for instance in series.instances])
        last = np.sort([instance.last_seen_s for instance in series.instances])
        counted = np.searchsorted(first, second, side="right") - np.searchsorted(last, second, side="left")
        return np.asarray(np.maximum(counted, 1), dtype=np.float64)
    if gauge is None:
        return None
    at = np.searchsorted(gauge.at_s, second, side="right") - 1
    return np.asarray(np.maximum(gauge.total[np.maximum(at, 0)], 1.0), dtype=np.float64)
