"""Find where throughput stopped growing with load, or report that the run did not reach that load."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reports.analysis.light_load import LightLoad, light_load
from reports.data import formats, rules
from reports.data.histogram import Bools, Floats
from reports.model import Capacity, CapacityPoint, Spike
from reports.spikes.causes import SATURATIONS, Cause
from reports.spikes.view import RunData


def capacity(data: RunData, spikes: Sequence[Spike] = ()) -> Capacity:
    """Return the capacity that the run shows.

    The number in flight is Σ response time / length of the window (Little's law). The knee is where the light-load line
    N = X · R_light meets the plateau. Two conditions decide whether the knee was reached. Both look only at windows
    whose throughput is at least rules.PLATEAU × the highest. There, requests must take rules.KNEE_SLOWER times as long
    as at light load, and users must get fewer answers. A run that stays below the knee cannot show where the knee is:
    at 60 % of the knee, one estimate in ten is wrong by more than a factor of six.
    """
    instances = data.instances
    per_instance = instances is not None and float(instances.max()) > 1
    points = _points(data, spikes, instances if instances is not None and per_instance else None)
    unit = " per instance" if per_instance else ""
    first = _wanted(data, spikes)
    if len(points) < rules.KNEE_POINTS:
        return _not_reached(f"{first}Not known: the run is too short to say.", points, per_instance=per_instance)
    in_flight = np.array([point.in_flight for point in points])
    throughput = np.array([point.throughput_per_s for point in points])
    response_s = in_flight / throughput
    top = throughput >= rules.PLATEAU * np.percentile(throughput, 95)
    plateau = float(np.median(throughput[top]))
    drift_ratio = float(throughput[top].std()) / plateau
    light = light_load(
        data, instances if per_instance else None, plateau=plateau, drift_ratio=drift_ratio, windows_s=response_s
    )
    needed = rules.KNEE_SLOWER * (1 + min(light.error_ratio, rules.LIGHT_ERROR[-1]))
    slower = float(np.percentile(response_s[top], rules.PLATEAU_PERCENTILE)) / light.mean_s
    answered = _still_answered(points, response_s, top, light.mean_s) and not (
        data.opened and in_flight[top].max() > rules.BACKLOG * plateau * light.mean_s
    )
    if top.sum() < rules.PLATEAU_POINTS or slower < needed or answered:
        most = f"{formats.decimal(float(throughput.max()))} requests/s{unit}"
        text = f"Not known: this run does not show where throughput stops growing. The highest throughput was {most}."
        if answered:
            text = f"Capacity was not reached: the service kept up with all {most}."
            if first:
                text = f"Up to {most}, users still got all their answers, but later: capacity was not reached."
        return _not_reached(first + text, points, per_instance=per_instance)
    beyond = _falls_beyond(in_flight, throughput, plateau * light.mean_s)
    if beyond is None:
        plateau = sustained(in_flight, throughput, plateau, light.mean_s)
    text = f"{first}Capacity was reached: {_knee(light, plateau, unit)}"
    if beyond is not None:
        text += f" Above {beyond:.0f} requests at once{unit} throughput falls again."
    return Capacity(
        reached=True,
        in_flight_at_knee=plateau * light.mean_s if light.known else None,
        throughput_max_per_s=plateau,
        per_instance=per_instance,
        text=text,
        points=points,
    )


def _knee(light: LightLoad, plateau: float, unit: str) -> str:
    """Return the throughput and the knee as sentences. The knee is a number, a number ±, a range, or not known."""
    knee, error = plateau * light.mean_s, light.error_ratio
    met = formats.plural(light.requests, "request") if light.requests else "no request"
    most = f"{formats.decimal(plateau)} requests/s{unit}"
    if light.known:
        few = error > rules.LIGHT_ERROR[0]
        return (
            f"{most} with about {formats.decimal(knee)}{f' ± {2 * error:.0%}' if few else ''} in flight{unit} "
            f"({formats.decimal(plateau)}/s × {formats.ms(light.mean_s * 1000)} at light load"
            f"{f', measured on {met}' if few else ''}). Additional requests only wait."
        )
    if not light.requests or error > rules.LIGHT_ERROR[2]:
        return f"{most}. The number in flight above which requests wait is not known: {met} ran at light load."
    low, high = (formats.decimal(value) for value in (knee / (1 + 2 * error), knee * (1 + 2 * error)))
    return (
        f"{most}. The number in flight above which requests wait is between {low} and {high}{unit}: "
        f"it is not known more exactly, because only {met} ran at light load."
    )


def _wanted(data: RunData, spikes: Sequence[Spike]) -> str:
    """Return a sentence that says how high the demand was, and when the service was saturated; "" if it kept up."""
    full = [spike for spike in spikes if spike.cause in SATURATIONS]
    if not full:
        return ""
    worst = max(full, key=lambda spike: spike.extra_waiting_request_s)
    inside = slice(worst.onset_s, max(worst.end_s, worst.onset_s + 1))
    when = f"{formats.elapsed(worst.onset_s)} {'to the end' if worst.cut else f'to {formats.elapsed(worst.end_s)}'}"
    if data.demand is None or np.isnan(data.demand[inside]).all():
        return f"The service was saturated from {when}. "
    wanted = float(np.nanmax(data.demand[inside]))
    answered = float(data.series.ok_ended[inside].mean())
    what = f"{formats.decimal(wanted)} arrivals/s" if data.opened else f"{formats.count(round(wanted))} users"
    return f"{what} got {formats.decimal(answered)} answers/s: saturated from {when}. "


def sustained(in_flight: Floats, throughput: Floats, plateau: float, light_s: float) -> float:
    """Return the median throughput of the windows in which requests clearly waited; `plateau` if there are too few.

    `plateau` comes from the windows with the highest throughput alone. If the service's speed drifts, these are the
    windows in which it was faster than usual. A window far below the plateau was disturbed, and does not count.
    """
    full = (in_flight >= rules.FULL * plateau * light_s) & (throughput >= rules.FULL_PLATEAU * plateau)
    return float(np.median(throughput[full])) if full.sum() >= rules.PLATEAU_POINTS else plateau


def _not_reached(text: str, points: list[CapacityPoint], *, per_instance: bool) -> Capacity:
    return Capacity(
        reached=False,
        in_flight_at_knee=None,
        throughput_max_per_s=None,
        per_instance=per_instance,
        text=text,
        points=points,
    )


def _still_answered(points: Sequence[CapacityPoint], response_s: Floats, top: Bools, light_s: float) -> bool:
    """Whether users on the plateau got as many answers as at light load. If so, the load was the limit.

    If users are not known, response times decide: if the load was the limit, some windows of the plateau are as fast as
    at light load.
    """
    ratios = np.array([math.nan if point.answered_ratio is None else point.answered_ratio for point in points])
    light = ratios[np.argsort(response_s)[: rules.LIGHT_POINTS]]
    if np.isnan(ratios[top]).any() or np.isnan(light).any():
        fast = float(np.mean(response_s[top] < rules.FAST_ON_PLATEAU * light_s))
        slow = float(np.median(response_s[top])) < rules.KNEE_SLOWER_ALONE * light_s
        return slow or fast > 1 - rules.PLATEAU
    if _only_waited(points, response_s, top):  # then only the service's speed limits the number of answers
        usual_s = float(np.percentile(response_s[top], rules.PLATEAU_PERCENTILE))
        return usual_s < rules.FAST_ON_PLATEAU * light_s
    return float(np.median(ratios[top])) >= rules.PLATEAU * float(np.median(light))


def _only_waited(points: Sequence[CapacityPoint], response_s: Floats, chosen: Bools) -> bool:
    """Whether users spent all their time waiting, so that only the service limits their throughput."""
    ratios = np.array([math.nan if point.answered_ratio is None else point.answered_ratio for point in points])
    waited = (ratios * response_s)[chosen]
    return not np.isnan(waited).any() and float(np.median(waited)) >= rules.ONLY_WAITING_RATIO


def _points(data: RunData, spikes: Sequence[Spike], instances: Floats | None) -> list[CapacityPoint]:
    series, load = data.series, data.load
    usable = ~load.saturated
    unknown = data.demand is None  # then a saturation may appear as an unexplained spike
    for spike in spikes:
        if spike.cause not in SATURATIONS and not (unknown and spike.cause == Cause.UNEXPLAINED):
            usable[spike.onset_s : spike.end_s] = False
    offered = series.started.astype(np.float64) if series.open_loop else load.demand
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
                answered_ratio=_ratio(answered / rules.WINDOW_S, float(np.mean(offered[window]))),
            )
        )
    return [point for point in found if point.in_flight > 0]


def _ratio(answers_per_s: float, offered: float) -> float | None:
    return None if math.isnan(offered) or offered <= 0 else answers_per_s / offered


def _falls_beyond(in_flight: Floats, throughput: Floats, knee: float) -> float | None:
    """Return the number in flight above which throughput falls; None if it does not fall.

    The windows past the knee are divided into two halves, by the number of requests in flight, and the two are
    compared. Throughput falls if the medians differ by FALL_RATIO and by three standard errors. Fitting the Universal
    Scalability Law would not work: it would find crosstalk in every hard plateau, because N / X is convex there.
    """
    past = np.flatnonzero(in_flight > 1.2 * knee)
    if len(past) < 4 * rules.PLATEAU_POINTS or in_flight[past].max() < 2 * in_flight[past].min():
        return None
    ordered = past[np.argsort(in_flight[past])]
    less, more = throughput[ordered[: len(ordered) // 2]], throughput[ordered[len(ordered) // 2 :]]
    error = math.sqrt(less.var(ddof=1) / len(less) + more.var(ddof=1) / len(more))
    fall = float(np.median(less) - np.median(more))
    if fall < rules.FALL_RATIO * float(np.median(less)) or fall < 3 * error:
        return None
    return float(in_flight[ordered[len(ordered) // 2]])
