"""Compute the mean response time of the requests that did not have to wait for others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reports.data import rules
from reports.data.histogram import Floats
from reports.spikes.view import RunData


@dataclass(frozen=True, slots=True)
class LightLoad:
    """The mean response time at light load, its relative error, and how many requests it was computed from.

    The error is one standard error. If `requests` is 0, the error is not known: the mean may include waits.
    """

    requests: int
    mean_s: float
    error_ratio: float

    @property
    def known(self) -> bool:
        """Whether the mean is exact enough for the knee to be given as a number."""
        return self.requests > 0 and self.error_ratio <= rules.LIGHT_ERROR[1]


def light_load(
    data: RunData, instances: Floats | None, *, plateau: float, drift_ratio: float, windows_s: Floats
) -> LightLoad:
    """Return the mean response time of requests that were sent while few others were in flight.

    "Few" means none, or a share of the knee, so that the request did not have to wait. The knee is the plateau × the
    mean response time of these requests. Requests are examined one by one: users without think time fill a service
    within the first second of a run, and the lightest step of a load may already be half of the capacity, yet some
    requests find the service empty.

    Args:
        data: the run.
        instances: the instances in each second, if numbers are per instance.
        plateau: the highest throughput (per instance if `instances` is given).
        drift_ratio: the standard deviation of the throughput between windows of the plateau ÷ `plateau`.
        windows_s: the mean response time of each window. The fastest ones are used if no request met few others.
    """
    requests = data.requests
    second = np.clip(requests.start_s.astype(np.int64), 0, data.series.seconds - 1)
    normal = np.ones(data.series.seconds, dtype=np.bool_)
    spans = [(spike.onset_s, spike.end_s) for spike in data.spikes]
    for onset_s, end_s in (*spans, *((outage.onset_s, outage.end_s) for outage in data.outages)):
        normal[onset_s:end_s] = False
    met = data.met.astype(np.float64)
    if requests.thinned > 1:
        met = np.r_[0, data.series.in_flight[:-1]][second].astype(np.float64)
    if instances is not None and (requests.thinned > 1 or not data.headers):
        met = met / instances[second]
    alone = requests.ok & ~data.young
    usual = alone & normal[second] if (alone & normal[second] & (met < 1)).sum() >= rules.BEFORE_REQUESTS else alone
    order = np.flatnonzero(usual)[np.argsort(met[usual], kind="stable")]
    minute = requests.start_s[order] // 60
    found = surest(np.floor(met[order]), requests.latency_ms[order] / 1000, minute, plateau, drift_ratio)
    if found is not None:
        return found
    fastest_s = np.sort(windows_s)[: rules.LIGHT_POINTS]
    return LightLoad(0, float(np.median(fastest_s)), float(fastest_s.std()) / float(fastest_s.mean()))


def surest(met: Floats, took_s: Floats, minute: Floats, plateau: float, drift_ratio: float) -> LightLoad | None:
    """Return the light load whose mean response time has the smallest error; None if no request ran at light load.

    The requests are in the order of `met`. Each number of others in flight is tried as the limit of light load, if it
    is 0 or at most rules.LIGHT_SHARE of the knee. A higher limit means more requests, so that chance matters less, but
    some of them waited. Requests that meet more others cannot be faster, so the means at different limits are also
    compared. A limit is rejected if the mean at a lower limit is certainly shorter, because the service is then already
    full at this limit. If the mean at a higher limit is shorter, it is used instead, because it comes from more
    requests.

    The error consists of chance, of waits, and of the drift of the service from one minute to the next. The standard
    deviation of a few requests is itself uncertain. It is assumed to be at least that of all requests at light load,
    and the factor 1 + 2 / n approximates Student's t.
    """
    if not len(met):
        return None
    count = np.flatnonzero(np.diff(met, append=math.inf)) + 1  # the requests that met at most 0, 1, 2, … others
    mean_s = np.cumsum(took_s)[count - 1] / count
    spread_s = np.sqrt(np.maximum(np.cumsum(took_s**2)[count - 1] / count - mean_s**2, 0.0))
    idle = met[count - 1] < 1
    share = (met[count - 1] + 1) / (plateau * mean_s)
    waited = np.where(idle, 0.0, rules.LIGHT_WAITED * share**3)
    minutes = np.searchsorted(np.sort(np.unique(minute, return_index=True)[1]), count)
    near = idle | (share <= rules.LIGHT_SHARE)
    if not near.any():
        return None
    spread_s = np.maximum(np.maximum(spread_s, spread_s[near][-1]), rules.LIGHT_SPREAD * mean_s)
    chance = spread_s / mean_s / np.sqrt(count) * (1 + 2 / count)
    error = np.sqrt(chance**2 + waited**2 + drift_ratio**2 / minutes)
    most_s = np.minimum.accumulate(mean_s * (1 + 2 * error))
    light = np.flatnonzero(near & (mean_s <= most_s))
    at = light[np.argmin(error[light])]
    return LightLoad(int(count[at]), float(mean_s[at:].min()), float(error[at]))
