"""Collect the facts about one spike that its cause is decided from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadtest.recording.run import LoadModel, Run
from reports.data import formats, rules
from reports.data.cloud import InstanceGauge
from reports.data.histogram import Bools, Floats
from reports.data.load import Load
from reports.data.series import Grid, Series
from reports.data.serving import instances_per_s
from reports.model import Rise


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about one spike; None is not known. Times are seconds after t = 0.

    Attributes:
        length_s: seconds inside.
        at_start: whether it began with the load.
        saturated_s: seconds inside in which the generator was so busy that it could have made the rise.
        saturated_ratio: the same as a share of its seconds.
        busy_ratio: share of its seconds in which a worker's core was full.
        lag_ratio: the usual lag of the worst worker's event loop inside, against the rise of p95.
        lag_before_ms: its worst lag until the run's first answer.
        cpu_ratio, loop_lag_ms: the worst worker inside.
        error_ratio, error_ratio_outside: failed requests of all, inside and outside.
        error_chance: probability of so many failures at the outside ratio (Poisson).
        slower_ratio: share of requests above the median of before (0.5 = unchanged).
        whole: whether nearly all slowed.
        users: the most inside.
        demand_ratio: those against the mean of the 2 min before (at least 1).
        load_ratio: highest users per instance early in the spike against what was served calmly elsewhere.
        new_demand: whether users reached a level that had not been served calmly; None when users are not known.
        headers: whether the service names its instances.
        instances: serving when the spike began.
        added: how many became ready around it.
        added_at_s: when.
        relieved: whether all of them came only in the last third of a spike that had lasted for half a minute.
        first_ready_s: when the run's first instance could serve (by its age; else its first answer).
        first_is_new: whether it started after the load.
        first_words: "was ready" or "was first seen".
        first_answer_s: when the run's first success had come.
        slow_first_answer: whether that took much longer than a calm request.
        gauge_before: instances by the gauge at or just before t = 0.
        scaling_known: whether headers, or a gauge in time, could have shown an added instance.
        scaling_missing: why not: "is missing" or "is late".
        max_instances: the service's limit.
        local: whether the target is a single process on this machine.
        p50_ratio: median inside against before.
    """

    length_s: int
    at_start: bool
    saturated_s: int
    saturated_ratio: float
    busy_ratio: float
    lag_ratio: float
    lag_before_ms: float
    cpu_ratio: float | None
    loop_lag_ms: float | None
    error_ratio: float
    error_ratio_outside: float
    error_chance: float
    slower_ratio: float | None
    whole: bool
    users: float | None
    demand_ratio: float | None
    load_ratio: float | None
    new_demand: bool | None
    headers: bool
    instances: int | None
    added: int
    added_at_s: tuple[float, ...]
    relieved: bool
    first_ready_s: float | None
    first_is_new: bool
    first_words: str
    first_answer_s: float | None
    slow_first_answer: bool
    gauge_before: float | None
    scaling_known: bool
    scaling_missing: str
    max_instances: int | None
    local: bool
    p50_ratio: float | None

    @property
    def demand_words(self) -> str:
        """Demand as a sentence."""
        parts = []
        if self.demand_ratio is not None and self.users is not None:
            before = f"the average over the {rules.BEFORE_S // 60} min before was {self.users / self.demand_ratio:.0f}"
            rose = "rose to" if self.demand_ratio >= rules.RISING_DEMAND else "were"
            parts.append(f"users {rose} {self.users:.0f}; {before}")
        if self.load_ratio is not None:
            parts.append(f"users per instance reached {self.load_ratio:.2f} × the most served normally elsewhere")
        return "; ".join(parts) or "the number of users is not known"

    @property
    def slower_words(self) -> str:
        """How much of the traffic slowed, as a sentence."""
        if self.slower_ratio is None:
            return "there is no normal stretch of time to compare with"
        if self.slower_ratio >= 0.995:
            return "every request was slower than the earlier median"
        return f"{formats.percent(self.slower_ratio)} of the requests were slower than the earlier median"

    @property
    def added_words(self) -> str:
        """Added instances as a sentence."""
        when = ""
        if self.added_at_s:
            when = f", the first ready at {self.added_at_s[0]:.0f} s"
            when += f" and the last at {self.added_at_s[-1]:.0f} s" if len(self.added_at_s) > 1 else ""
        before = "" if self.instances is None else f" to {self.instances}"
        return f"{self.added} instance{'s' * (self.added > 1)} added{before}{when}"

    @property
    def sentences(self) -> tuple[str, ...]:
        """What every explanation ends with."""
        return () if self.p50_ratio is None else (f"the median {formats.moved(self.p50_ratio)}",)


def evidence_of(
    spike: Rise, spikes: Sequence[Rise], series: Series, load: Load, gauge: InstanceGauge | None, run: Run
) -> Evidence:
    """Return the facts about one of the run's `spikes`."""
    saturated = _saturated(spike, load)
    inside = slice(spike.onset_s, spike.end_s)
    error_ratio, outside, chance = _errors(spike, series)
    slower, p50_ratio = _slower(spike, spikes, series)
    counted = instances_per_s(series, gauge)
    counted = np.ones(series.seconds) if counted is None else counted
    users = _users(series, load, run)
    demand_ratio, load_ratio = _demand(spike, spikes, users, counted)
    headers = bool(series.instances)
    added, added_at, before = _added(spike, series, gauge)
    first = min(series.instances, key=lambda one: one.first_seen_s) if headers else None
    ready = None if first is None else (first.first_seen_s if first.ready_s is None else first.ready_s)
    known, missing = _scaling_known(spike, headers=headers, gauge=gauge)
    calm_ms = spike.baseline_ms
    answer_s = None if series.first_ok_us is None else series.first_ok_us / 1e6
    slow_answer = answer_s is not None and answer_s * 1000 > max(500.0, 2 * calm_ms) and spike.onset_s <= answer_s
    aged = first is not None and first.ready_s is not None
    length_s = spike.end_s - spike.onset_s
    return Evidence(
        length_s=length_s,
        at_start=spike.onset_s <= rules.START_S,
        saturated_s=int(saturated.sum()),
        saturated_ratio=float(saturated.mean()) if len(saturated) else 0.0,
        busy_ratio=float(np.mean(np.nan_to_num(load.cpu_ratio[inside]) >= rules.GENERATOR_CPU_RATIO)),
        lag_ratio=float(np.median(np.nan_to_num(load.loop_lag_ms[inside]))) / max(spike.peak_ms - calm_ms, 1e-9),
        lag_before_ms=_worst(load.loop_lag_ms[: 1 + int(answer_s or 0)]) or 0.0,
        cpu_ratio=_worst(load.cpu_ratio[inside]),
        loop_lag_ms=_worst(load.loop_lag_ms[inside]),
        error_ratio=error_ratio,
        error_ratio_outside=outside,
        error_chance=chance,
        slower_ratio=slower,
        whole=slower is not None and slower >= rules.WHOLE_RATIO,
        users=None if users is None else _worst(users[inside]),
        demand_ratio=demand_ratio,
        load_ratio=load_ratio,
        new_demand=_is_new(demand_ratio, load_ratio),
        headers=headers,
        instances=before,
        added=added,
        added_at_s=added_at,
        relieved=bool(added_at) and added_at[0] > spike.onset_s + max(rules.RELIEF_S, rules.RELIEF_SHARE * length_s),
        first_ready_s=ready,
        first_is_new=ready is not None
        and (ready > -1.0 or not aged)
        and spike.onset_s - rules.START_NEAR_S <= ready <= spike.end_s + spike.peak_ms / 1000 + 1
        and not any(one.onset_s < spike.onset_s for one in spikes),
        first_words="was ready" if aged else "was first seen",
        first_answer_s=answer_s,
        slow_first_answer=slow_answer,
        gauge_before=_gauge_at_start(gauge),
        scaling_known=known,
        scaling_missing=missing,
        max_instances=run.target.limits.max_instances,
        local=run.target.capabilities.single_process,
        p50_ratio=p50_ratio,
    )


def _worst(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else None


def _saturated(spike: Rise, load: Load) -> Floats:
    """Return, per second inside, 1 where the generator was busy enough to have made the rise itself."""
    inside = slice(spike.onset_s, spike.end_s)
    rise_ms = spike.peak_ms - spike.baseline_ms
    busy = np.nan_to_num(load.cpu_ratio[inside]) >= rules.GENERATOR_CPU_RATIO
    lag = np.nan_to_num(load.loop_lag_ms[inside])
    late = (lag > rules.GENERATOR_LAG_MS) & (lag >= rules.GENERATOR_LAG_SHARE * rise_ms)
    return np.asarray(busy | late, dtype=np.float64)


def _errors(spike: Rise, series: Series) -> tuple[float, float, float]:
    from scipy.special import pdtrc

    inside = slice(spike.onset_s, spike.end_s)
    failed, sent = int(series.failed[inside].sum()), int(series.started[inside].sum())
    failed_outside = int(series.failed.sum()) - failed
    outside = failed_outside / max(1, int(series.started.sum()) - sent)
    chance = float(pdtrc(failed - 1, max(outside, 1e-4) * sent)) if failed else 1.0
    return failed / max(1, sent), outside, chance


def _slower(spike: Rise, spikes: Sequence[Rise], series: Series) -> tuple[float | None, float | None]:
    """Return the share of requests above the median of before, and the median's own ratio.

    Other spikes are left out of before, and the first and last tenth of the spike out of it: those seconds may be
    calm ones.
    """
    calm = np.ones(series.seconds, dtype=np.bool_)
    for one in spikes:
        calm[one.onset_s : one.end_s] = False
    before = _median_us(series, calm, spike.onset_s - rules.BEFORE_S, spike.onset_s - rules.BEFORE_GAP_S)
    median = before or _median_us(series, calm, spike.end_s, series.seconds)
    length = spike.end_s - spike.onset_s
    edge = length // 10
    core = series.cells.grid(spike.onset_s + edge, spike.end_s - edge, width_s=max(1, length))
    there = int(core.requests().sum())
    if median is None or not there:
        return None, None
    return int(core.above(median).sum()) / there, float(core.quantile(0.5)[0]) / median


def _median_us(series: Series, calm: Bools, start_s: int, end_s: int) -> float | None:
    """Return the median of the calm seconds of a stretch; None when they hold too few requests."""
    start_s, end_s = max(0, start_s), max(0, end_s)
    grid = series.cells.grid(start_s, end_s)
    counts = grid.counts[calm[start_s:end_s]].sum(axis=0, keepdims=True)
    if counts.sum() < rules.BEFORE_REQUESTS:
        return None
    return float(Grid(counts, grid.first_bin).quantile(0.5)[0]) or None


def _users(series: Series, load: Load, run: Run) -> Floats | None:
    """Return users per second; for an open load without them the arrivals; None when neither is known."""
    if not np.isnan(load.demand).all():
        return load.demand
    if run.scenario.load_model is LoadModel.OPEN or series.open_loop:
        smooth = np.convolve(series.started, np.ones(10) / 10, mode="same")
        return np.asarray(smooth, dtype=np.float64)
    return None


def _demand(
    spike: Rise, spikes: Sequence[Rise], users: Floats | None, instances: Floats
) -> tuple[float | None, float | None]:
    """Return users inside against before, and users per instance against what was served calmly elsewhere."""
    if users is None:
        return None, None
    before = users[max(0, spike.onset_s - rules.BEFORE_S) : max(0, spike.onset_s - rules.BEFORE_GAP_S)]
    inside = users[spike.onset_s : max(spike.onset_s + 1, spike.end_s)]
    usual = float(np.nanmean(before)) if len(before) and not np.isnan(before).all() else float("nan")
    if np.isnan(usual):
        usual = float(users[0])
    usual = max(usual, 1.0)  # a ramp begins at nobody
    peak = float(np.nanmax(inside)) if not np.isnan(inside).all() else float("nan")
    demand_ratio = None if np.isnan(peak) or np.isnan(usual) else peak / usual
    per_instance = users / instances
    calm = np.ones(len(users), dtype=np.bool_)
    for one in spikes:
        before_s, after_s = (90, 60) if one is spike else (60, 30)
        calm[max(0, one.onset_s - before_s) : one.end_s + after_s] = False
    calm &= ~np.isnan(per_instance)
    early = per_instance[spike.onset_s : max(spike.onset_s + 1, (spike.onset_s + spike.end_s) // 2)]
    if calm.sum() <= 60 or np.isnan(early).all():
        return demand_ratio, None
    served = float(np.percentile(per_instance[calm], 99))
    return demand_ratio, float(np.nanmax(early)) / served if served > 0 else None


def _is_new(demand_ratio: float | None, load_ratio: float | None) -> bool | None:
    if demand_ratio is None and load_ratio is None:
        return None
    beyond = load_ratio is not None and load_ratio >= rules.NEW_DEMAND
    rising = demand_ratio is not None and demand_ratio >= rules.RISING_DEMAND
    served_before = load_ratio is not None and load_ratio < rules.SERVED_BEFORE
    steep = demand_ratio is not None and demand_ratio >= rules.STEEP_DEMAND
    return beyond or (rising and (steep or not served_before))


def _added(spike: Rise, series: Series, gauge: InstanceGauge | None) -> tuple[int, tuple[float, ...], int | None]:
    """Return how many instances were added around the spike, when each was ready, and how many served before."""
    if series.instances:
        ready = sorted(one.first_seen_s if one.ready_s is None else one.ready_s for one in series.instances)
        seen = sorted(one.first_seen_s for one in series.instances)
        begin, end = spike.onset_s - rules.AROUND_BEFORE_S, spike.end_s + rules.AROUND_AFTER_S
        added = tuple(at for at in ready if max(begin, ready[0] + 1.0, 0.0) < at <= end)
        earlier_only = bool(added) and added[-1] < spike.onset_s - rules.GROWN_S
        if earlier_only and series.young is not None and _young_share(spike, series) < rules.YOUNG_SHARE:
            added = ()  # started before, and not where the slow requests were
        return len(added), added, max(1, sum(at <= spike.onset_s for at in seen))
    if gauge is None:
        return 0, (), None
    begun = spike.onset_s - rules.GAUGE_BEFORE_S
    earlier = gauge.total[gauge.at_s <= begun]
    later = gauge.total[(gauge.at_s > begun) & (gauge.at_s <= spike.end_s + rules.GAUGE_LATE_S)]
    if not len(earlier) or not len(later):
        return 0, (), int(earlier[-1]) if len(earlier) else None
    return max(0, int(later.max() - earlier[-1])), (), int(earlier[-1])


def _young_share(spike: Rise, series: Series) -> float:
    """Return the share of the slow requests that young instances answered."""
    width_s = max(1, spike.end_s - spike.onset_s)
    limit_us = (spike.limit_ms or spike.baseline_ms) * 1000
    slow, young = (
        series.cells.grid(spike.onset_s, spike.end_s, width_s=width_s, young=only).above(limit_us).sum()
        for only in (None, True)
    )
    return float(young) / max(1.0, float(slow))


def _scaling_known(spike: Rise, *, headers: bool, gauge: InstanceGauge | None) -> tuple[bool, str]:
    if headers:
        return True, ""
    if gauge is None:
        return False, "is missing"
    covers = bool((gauge.at_s <= spike.onset_s).any()) and bool((gauge.at_s >= spike.end_s - 1).any())
    return covers, "" if covers else "is late"


def _gauge_at_start(gauge: InstanceGauge | None) -> float | None:
    """Return the gauge's last sample before the load or, without one, its first; None without a gauge."""
    if gauge is None or not len(gauge.at_s):
        return None
    earlier = gauge.total[gauge.at_s <= 0]
    if len(earlier):
        return float(earlier[-1])
    return 0.0 if gauge.total[0] == 0 else None
