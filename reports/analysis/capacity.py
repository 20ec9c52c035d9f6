"""Find where throughput stopped growing with load, or say that the run did not get there."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reports.data import formats, rules
from reports.data.cloud import InstanceGauge
from reports.data.histogram import Bools, Floats
from reports.data.load import Load
from reports.data.series import Series
from reports.data.serving import instances_per_s
from reports.model import Capacity, CapacityPoint, Spike
from reports.spikes.causes import SATURATIONS


def capacity(series: Series, load: Load, gauge: InstanceGauge | None, spikes: Sequence[Spike] = ()) -> Capacity:
    """Return what the run says about capacity.

    In flight is Σ response time / length of the window (Little's law); the knee is where the light-load line
    N = X · R_light meets the plateau. It counts as reached only when, where throughput is within rules.PLATEAU of its
    highest, requests take rules.KNEE_SLOWER times as long as at light load and users get fewer answers: from below
    the knee its place cannot be told (at 60 % of it, one estimate in ten is more than six times off).
    """
    instances = instances_per_s(series, gauge)
    per_instance = instances is not None and float(instances.max()) > 1
    points = _points(series, load, spikes, instances if instances is not None and per_instance else None)
    unit = " per instance" if per_instance else ""
    if len(points) < rules.KNEE_POINTS:
        return _not_reached("Not known: the run is too short to say.", points, per_instance=per_instance)
    in_flight = np.array([point.in_flight for point in points])
    throughput = np.array([point.throughput_per_s for point in points])
    response_s = in_flight / throughput
    light_s = float(np.median(np.sort(response_s)[: rules.LIGHT_POINTS]))
    top = throughput >= rules.PLATEAU * np.percentile(throughput, 95)
    slower = float(np.median(response_s[top])) / light_s
    if top.sum() < rules.PLATEAU_POINTS or slower < rules.KNEE_SLOWER or _still_answered(points, response_s, top):
        most = f"{formats.decimal(float(throughput.max()))} requests/s{unit}"
        text = f"Not known: this run does not show where throughput stops growing. The most seen was {most}."
        if _still_answered(points, response_s, top):
            text = f"Capacity was not reached: the service kept up with all {most}."
        return _not_reached(text, points, per_instance=per_instance)
    plateau = float(np.median(throughput[top]))
    knee = plateau * light_s
    text = (
        f"Capacity was reached: {formats.decimal(plateau)} requests/s{unit} with about {formats.decimal(knee)} in "
        f"flight{unit} ({formats.decimal(plateau)}/s × {formats.ms(light_s * 1000)} at light load). More only wait."
    )
    beyond = _falls_beyond(in_flight, throughput)
    if beyond is not None:
        text += f" Above {beyond:.0f} requests at once{unit} it gets slower."
    return Capacity(
        reached=True,
        in_flight_at_knee=knee,
        throughput_max_per_s=plateau,
        per_instance=per_instance,
        text=text,
        points=points,
    )


def _not_reached(text: str, points: list[CapacityPoint], *, per_instance: bool) -> Capacity:
    return Capacity(
        reached=False,
        in_flight_at_knee=None,
        throughput_max_per_s=None,
        per_instance=per_instance,
        text=text,
        points=points,
    )


def _still_answered(points: Sequence[CapacityPoint], response_s: Floats, top: Bools) -> bool:
    """Whether users on the plateau got as many answers as at light load: then the load ended there, not the service.

    Without users known, only a response time many times the light one counts as the service's own limit.
    """
    ratios = np.array([math.nan if point.answered_ratio is None else point.answered_ratio for point in points])
    light = ratios[np.argsort(response_s)[: rules.LIGHT_POINTS]]
    if np.isnan(ratios[top]).any() or np.isnan(light).any():
        return float(np.median(response_s[top])) < rules.KNEE_SLOWER_ALONE * float(np.min(response_s))
    return float(np.median(ratios[top])) >= rules.PLATEAU * float(np.median(light))


def _points(series: Series, load: Load, spikes: Sequence[Spike], instances: Floats | None) -> list[CapacityPoint]:
    usable = ~load.saturated
    for one in spikes:
        if one.cause not in SATURATIONS:
            usable[one.onset_s : one.end_s] = False
    asked = series.started.astype(np.float64) if series.open_loop else load.demand
    p95_us = series.cells.grid(0, series.seconds, width_s=rules.WINDOW_S).quantile(0.95)
    found = []
    for at in range(0, series.seconds - rules.WINDOW_S + 1, rules.WINDOW_S):
        window = slice(at, at + rules.WINDOW_S)
        answered = int(series.ok_ended[window].sum())
        if not answered or not usable[window].all():
            continue
        share = 1.0 if instances is None else float(instances[window].mean())
        waited_s = float(series.ok_response_us[window].sum()) / 1e6
        p95 = float(p95_us[at // rules.WINDOW_S]) / 1000
        found.append(
            CapacityPoint(
                at_s=at,
                in_flight=waited_s / rules.WINDOW_S / share,
                throughput_per_s=answered / rules.WINDOW_S / share,
                p95_ms=None if math.isnan(p95) else p95,
                answered_ratio=_ratio(answered / rules.WINDOW_S, float(np.mean(asked[window]))),
            )
        )
    return [point for point in found if point.in_flight > 0]


def _ratio(answers_per_s: float, asked: float) -> float | None:
    return None if math.isnan(asked) or asked <= 0 else answers_per_s / asked


def _falls_beyond(in_flight: Floats, throughput: Floats) -> float | None:
    """Return the in-flight count of the highest throughput by the USL; None when it lies outside what was tried.

    N / X = (1 + σ(N − 1) + κN(N − 1)) / λ is linear in 1/λ, σ/λ and κ/λ (Gunther, Guerrilla Capacity Planning, 2007).
    """
    terms = np.column_stack([np.ones_like(in_flight), in_flight - 1, in_flight * (in_flight - 1)])
    solved, *_ = np.linalg.lstsq(terms, in_flight / throughput, rcond=None)
    light, contention, crosstalk = (float(value) for value in solved)
    if light <= 0 or crosstalk <= 0 or contention >= light:
        return None
    peak = math.sqrt((light - contention) / crosstalk)
    return peak if in_flight.min() < peak < 0.8 * in_flight.max() else None
