"""Provide the data on one spike of a run: its requests, the requests to compare with, its instances and its demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from loadtest.recording.run import LoadModel, Run
from reports.data import formats, rules
from reports.data.cloud import InstanceGauge, MetricSeries
from reports.data.histogram import Bools, Floats, Ints
from reports.data.load import Load
from reports.data.series import Series
from reports.data.serving import instances_per_s
from reports.model import Baseline, Outage, Rise
from reports.spikes.requests import Requests


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """The lifetime of each instance (index into Requests.names), in seconds after t = 0.

    Attributes:
        ready_s: when it became ready. This follows from its age, or from its first answer if its age is not known.
        first_s: when its first request was sent.
        last_s: when its last answer came.
        aged: whether ages are known.
        served: number of requests that it answered.
    """

    ready_s: Floats
    first_s: Floats
    last_s: Floats
    aged: bool
    served: Floats


@dataclass(frozen=True)
class RunData:
    """The data of a run that the rules for causes read."""

    run: Run
    series: Series
    load: Load
    gauge: InstanceGauge | None
    cloud: tuple[MetricSeries, ...] | None
    requests: Requests
    outages: tuple[Outage, ...]
    spikes: tuple[Rise, ...]
    baseline: Baseline

    @cached_property
    def lifetimes(self) -> Lifetimes:
        """The lifetime of each named instance."""
        requests, count = self.requests, len(self.requests.names)
        named = requests.instance >= 0
        who, end = requests.instance[named], requests.end_s[named]
        first, last, answer, ready = (np.full(count, value) for value in (np.inf, -np.inf, np.inf, np.inf))
        np.minimum.at(first, who, requests.start_s[named])
        np.maximum.at(last, who, end)
        np.minimum.at(answer, who, end)
        age = requests.age_s[named]
        known = ~np.isnan(age)
        np.minimum.at(ready, who[known], (end - age)[known])
        served = np.bincount(who, minlength=count).astype(np.float64)
        return Lifetimes(np.where(np.isinf(ready), answer, ready), first, last, bool(known.any()), served)

    @cached_property
    def young(self) -> Bools:
        """Whether each request was answered by an instance younger than rules.YOUNG_S."""
        return self.requests.young(self.lifetimes.first_s)

    @cached_property
    def outside(self) -> Bools:
        """Whether each second lies outside all spikes and outages."""
        second = np.ones(self.series.seconds, dtype=np.bool_)
        spans = [(spike.onset_s, spike.end_s) for spike in self.spikes] + [
            (outage.onset_s, outage.end_s) for outage in self.outages
        ]
        for onset, end in spans:
            second[max(0, onset - 1) : end + 1] = False
        return second

    @cached_property
    def normal(self) -> Bools:
        """Whether each successful request was sent outside all spikes and outages."""
        at = np.clip(self.requests.start_s.astype(np.int64), 0, self.series.seconds - 1)
        return self.requests.ok & self.outside[at]

    @cached_property
    def instances(self) -> Floats | None:
        """Instances serving in each second; None if neither headers nor a gauge show them."""
        return instances_per_s(self.series, self.gauge)

    @cached_property
    def given_work(self) -> Floats | None:
        """Ready instances in each second, if they had been sent a request; without ages, the same as `instances`."""
        if not self.headers or not self.lifetimes.aged:
            return self.instances
        second, line = np.arange(self.series.seconds), self.lifetimes
        since, last = np.sort(np.maximum(line.ready_s, line.first_s)), np.sort(line.last_s)
        counted = np.searchsorted(since, second + 1) - np.searchsorted(last, second)
        return np.asarray(np.maximum(counted, 1), dtype=np.float64)

    @cached_property
    def met(self) -> Ints:
        """For each request, how many others were in flight on its instance (on all instances if none is named).

        Requests without an answer name no instance and are not counted.
        """
        requests = self.requests
        found = np.zeros(len(requests.start_s), dtype=np.int64)
        chosen = np.flatnonzero(requests.ok & ((requests.instance >= 0) | (not self.headers)))
        grouped = chosen[np.argsort(requests.instance[chosen], kind="stable")]
        for mine in np.split(grouped, np.flatnonzero(np.diff(requests.instance[grouped])) + 1):
            begun, ended = requests.start_s[mine], np.sort(requests.end_s[mine])
            found[mine] = np.arange(len(mine)) - np.searchsorted(ended, begun, side="right")
        return found

    @property
    def opened(self) -> bool:
        """Whether requests start on a schedule."""
        return self.run.scenario.load_model is LoadModel.OPEN or self.series.open_loop

    @cached_property
    def demand(self) -> Floats | None:
        """Number of users in each second, or in an open loop the arrivals smoothed over 10 s; None if not known."""
        if self.opened:
            width = min(10, self.series.seconds)
            covered = np.convolve(np.ones(self.series.seconds), np.ones(width), mode="same")
            return np.asarray(np.convolve(self.series.started, np.ones(width), mode="same") / covered)
        return None if np.isnan(self.load.demand).all() else self.load.demand

    @cached_property
    def demand_each(self) -> Floats | None:
        """`demand` divided by the number of instances (`given_work`); not divided if that number is not known."""
        counted = self.given_work
        return self.demand if self.demand is None or counted is None else self.demand / counted

    @property
    def headers(self) -> bool:
        """Whether the service names its instances."""
        return bool(self.requests.names)


@dataclass(frozen=True, slots=True)
class Demand:
    """Load during a spike compared with other times. None means not known.

    Attributes:
        peak: the highest number of users (or arrivals per second) in the spike.
        before: the median of the 2 min before.
        served_ratio: users per instance early in the spike, divided by the most that were served outside spikes.
        opened: whether the numbers are arrivals.
    """

    peak: float | None
    before: float | None
    served_ratio: float | None
    opened: bool

    @property
    def before_ratio(self) -> float | None:
        """`peak` divided by `before`, which counts as at least 1."""
        return None if self.peak is None or self.before is None else self.peak / max(self.before, 1.0)

    @property
    def new(self) -> bool | None:
        """Whether the service got more load than it served outside spikes; None if users are not known."""
        if self.served_ratio is not None:
            chance = 1 / np.sqrt(max(10 * (self.peak or 0.0), 1.0))  # arrivals scatter (Poisson, over 10 s)
            return bool(self.served_ratio >= (rules.NEW_ARRIVALS + chance if self.opened else rules.NEW_DEMAND))
        return None if self.before_ratio is None else self.rose

    @property
    def rose(self) -> bool:
        """Whether the load was clearly higher than in the 2 min before. Arrivals scatter (Poisson, over 10 s)."""
        if self.before_ratio is None or self.before is None:
            return False
        chance = 3 / np.sqrt(10 * max(self.before, 1.0)) if self.opened else 0.0
        return bool(self.before_ratio >= rules.RISING_DEMAND + chance)

    @property
    def rising(self) -> bool:
        """Whether the load rose, or was new."""
        return self.rose or bool(self.new)

    @property
    def clause(self) -> str:
        """These numbers as a clause."""
        unit, parts = "arrivals/s" if self.opened else "users", []
        if self.peak is not None and self.before is not None:
            before = f"the median over the {rules.BEFORE_S // 60} min before was {self.before:.0f}"
            rose = "rose to" if (self.before_ratio or 0.0) >= rules.RISING_DEMAND else "were"
            parts.append(f"{unit} {rose} {self.peak:.0f}; {before}")
        if self.served_ratio is not None:
            parts.append(f"{unit} per instance reached {self.served_ratio:.2f} × the most served normally elsewhere")
        return "; ".join(parts) or f"the number of {unit} {'before ' if self.peak else ''}is not known"


@dataclass(frozen=True, slots=True)
class Slowed:
    """The share of requests that took longer than the median of normal ones (0.5 = unchanged).

    Attributes:
        ratio: the share in the spike without its first and last tenth; None without normal requests to compare with.
        most_ratio: the share in the part of the spike that slowed most. The part has at least 3 s and 20 requests.
        p50_ratio: the spike's median divided by the median of normal requests.
        fastest_ratio: the spike's p5 divided by the p5 of normal requests.
    """

    ratio: float | None
    most_ratio: float | None
    p50_ratio: float | None
    fastest_ratio: float | None

    @property
    def whole(self) -> bool:
        """Whether nearly all requests slowed."""
        return self.most_ratio is not None and self.most_ratio >= rules.WHOLE_RATIO

    @property
    def clause(self) -> str:
        """These numbers as a clause."""
        if self.ratio is None:
            return "there is no normal stretch of time to compare with"
        if self.ratio >= 0.995:
            return "every request was slower than the earlier median"
        return f"{formats.percent(self.ratio)} of the requests were slower than the earlier median"


def _sliding(start_s: Floats, slower: Bools) -> float:
    """Return the highest share of slower requests in about 3 s and at least 20 requests; 0 if there are fewer."""
    if len(slower) < 20:
        return 0.0
    span = max(1.0, float(start_s[-1] - start_s[0]))
    width = min(len(slower), max(20, round(3 * len(slower) / span)))
    summed = np.cumsum(np.r_[0, slower])
    return float((summed[width:] - summed[:-width]).max()) / width


@dataclass(frozen=True, slots=True)
class Added:
    """Instances that became ready around a spike.

    Attributes:
        known: whether headers, or a gauge with samples at the right times, could have shown such an instance.
        missing: why it is not known: "is missing" or "is late".
        before: number of instances that served when the spike began; None if not known.
        count: number of instances that became ready from shortly before the spike until shortly after it.
        at_s: when they became ready; empty if only the gauge is known.
        headers: whether the service names them.
    """

    known: bool
    missing: str
    before: int | None
    count: int
    at_s: tuple[float, ...]
    headers: bool

    @property
    def clause(self) -> str:
        """These numbers as a clause."""
        when = ""
        if self.at_s:
            when = f", the first ready at {self.at_s[0]:.0f} s"
            when += f" and the last at {self.at_s[-1]:.0f} s" if len(self.at_s) > 1 else ""
        before = "" if self.before is None else f" to {self.before}"
        return f"{self.count} instance{'s' * (self.count != 1)} added{before}{when}"


@dataclass(frozen=True)
class SpikeView:
    """One spike of a run, with the data that the rules for causes read."""

    spike: Rise
    data: RunData

    @property
    def limit_ms(self) -> float:
        """The latency above which a request of the spike counts as slow."""
        return self.spike.baseline_ms if self.spike.limit_ms is None else self.spike.limit_ms

    @property
    def length_s(self) -> int:
        """The length of the spike in seconds."""
        return max(1, self.spike.end_s - self.spike.onset_s)

    @property
    def at_start(self) -> bool:
        """Whether the spike began with the load."""
        return self.spike.onset_s <= rules.START_S

    @cached_property
    def inside(self) -> Bools:
        """The requests that were sent during the spike."""
        start = self.data.requests.start_s
        return np.asarray((start >= self.spike.onset_s) & (start < self.spike.end_s))

    @cached_property
    def slow(self) -> Bools:
        """The successful requests of the spike that took longer than its limit."""
        requests = self.data.requests
        return np.asarray(self.inside & requests.ok & (requests.latency_ms > self.limit_ms))

    @cached_property
    def reference(self) -> Bools | None:
        """Normal requests to compare with: from the 2 min before the spike, else after, else all; None if too few."""
        requests, normal = self.data.requests, self.data.normal
        onset, end = self.spike.onset_s, self.spike.end_s
        before = normal & (requests.start_s >= onset - rules.BEFORE_S) & (requests.start_s < onset - 1)
        for chosen in (before, normal & (requests.start_s >= end), normal):
            if chosen.sum() >= rules.BEFORE_REQUESTS:
                return np.asarray(chosen)
        return None

    @cached_property
    def slowed(self) -> Slowed:
        """How much of the traffic slowed. Timeouts count as slow."""
        requests, edge = self.data.requests, self.length_s / 10
        answered = requests.ok | (requests.status == 0) & (requests.latency_ms > self.limit_ms)
        core = answered & (requests.start_s >= self.spike.onset_s + edge) & (requests.start_s < self.spike.end_s - edge)
        if self.reference is None:
            if not core.any() or self.data.baseline.p95_ms is None:
                return Slowed(None, None, None, None)
            above = float(np.mean(requests.latency_ms[core] > self.spike.baseline_ms))
            return Slowed(above, above, None, None)
        normal_ms = requests.latency_ms[self.reference]
        median, fast = float(np.median(normal_ms)), float(np.percentile(normal_ms, 5))
        if not core.any():
            return Slowed(None, None, None, None)
        there = self.inside & answered
        slower = _sliding(requests.start_s[there], requests.latency_ms[there] > median)
        ratio = float(np.mean(requests.latency_ms[core] > median))
        return Slowed(
            ratio,
            max(ratio, slower),
            float(np.median(requests.latency_ms[core])) / max(median, 1e-3),
            float(np.percentile(requests.latency_ms[core], 5)) / max(fast, 1e-3),
        )

    @cached_property
    def queued(self) -> bool:
        """Whether slow requests waited behind others: requests were fast if no more others than usual were in flight.

        A cause that slows the service itself (a dependency, a pause, a starting instance) slows the first request that
        meets it, before any queue. The result is False if there are too few requests to decide.
        """
        normal, met = self.data.normal, self.data.met
        if normal.sum() < rules.BEFORE_REQUESTS or not self.slow.any():
            return False
        requests = self.data.requests
        count = np.bincount(requests.instance[self.slow] + 1, minlength=len(requests.names) + 1)
        # the requests of the instances that answered the slow ones
        there = self.inside & requests.ok & (count >= count.max() / 2)[requests.instance + 1]
        few = there & (met <= np.median(met[normal]))
        if few.sum() < rules.QUEUE_REQUESTS:
            return False
        return bool(self.slow[few].mean() <= min(rules.QUEUE_SLOW, self.slow[there].mean() / 2))

    @cached_property
    def demand(self) -> Demand:
        """Load in the spike, compared with the load before and with the load that was served outside spikes."""
        users, opened = self.data.demand, self.data.opened
        onset, end = self.spike.onset_s, max(self.spike.onset_s + 1, self.spike.end_s)
        if users is None or np.isnan(users[onset:end]).all():
            return Demand(None, None, None, opened)
        before = users[max(0, onset - rules.BEFORE_S) : max(0, onset - rules.BEFORE_GAP_S)]
        usual = float(np.nanmedian(before)) if np.isfinite(before).any() else None
        return Demand(float(np.nanmax(users[onset:end])), usual, self._served_ratio(onset, end), opened)

    def _served_ratio(self, onset: int, end: int) -> float | None:
        if (each := self.data.demand_each) is None:
            return None
        normal = ~np.isnan(each)
        for spike in self.data.spikes:
            slight = spike.peak_ms * rules.SLIGHT_BESIDE <= self.spike.peak_ms
            if slight and spike.end_s - spike.onset_s >= self.length_s:
                continue  # its load was served much better
            before_s, after_s = (90, 60) if spike is self.spike else (60, 30)
            normal[max(0, spike.onset_s - before_s) : spike.end_s + after_s] = False
        for outage in self.data.outages:
            normal[max(0, outage.onset_s - 1) : outage.end_s + 30] = False  # requests sent then were not served
        if self.data.given_work is None:
            normal[onset:] = False  # load served later may have been served by more instances
        early = each[onset : max(onset + 1, (onset + end) // 2)]
        if normal.sum() <= rules.NORMAL_SECONDS or np.isnan(early).all():
            return None
        served = float(np.percentile(each[normal], 99))
        return float(np.nanmax(early)) / served if served > 0 else None

    @cached_property
    def added(self) -> Added:
        """Instances that became ready around the spike."""
        spike, data = self.spike, self.data
        if data.headers:
            line = data.lifetimes
            begin, end = spike.onset_s - rules.AROUND_BEFORE_S, spike.end_s + rules.AROUND_AFTER_S
            first = float(line.ready_s.min())
            at = np.sort(line.ready_s[(line.ready_s > max(begin, first + 1.0, 0.0)) & (line.ready_s <= end)])
            before = int(((line.first_s <= spike.onset_s) & (line.last_s >= spike.onset_s - 5)).sum())
            return Added(True, "", max(1, before), len(at), tuple(at.tolist()), True)
        gauge = data.gauge
        if gauge is None:
            return Added(False, "is missing", None, 0, (), False)
        covers = bool((gauge.at_s <= spike.onset_s).any()) and bool((gauge.at_s >= spike.end_s - 1).any())
        begun = spike.onset_s - rules.GAUGE_BEFORE_S
        earlier = gauge.total[gauge.at_s <= begun]
        later = gauge.total[(gauge.at_s > begun) & (gauge.at_s <= spike.end_s + rules.GAUGE_LATE_S)]
        # the gauge has one sample per minute and may have missed the instance that answered
        answered = bool(data.series.ok_ended[: spike.onset_s].any())
        before_count = max(int(earlier[-1]), int(answered)) if len(earlier) else None
        count = max(0, int(later.max()) - before_count) if before_count is not None and len(later) else 0
        return Added(covers, "" if covers else "is late", before_count, count, (), False)

    @cached_property
    def on_added(self) -> Bools:
        """Requests that were answered by an instance which became ready around the spike."""
        line, requests = self.data.lifetimes, self.data.requests
        if not self.data.headers:
            return np.zeros(len(requests.start_s), dtype=np.bool_)
        since = max(self.spike.onset_s - rules.AROUND_BEFORE_S, float(line.ready_s.min()) + 1.0, 0.0)
        new = (line.ready_s > since) & (line.ready_s <= self.spike.end_s + rules.AROUND_AFTER_S)
        return np.asarray(new[np.maximum(requests.instance, 0)] & (requests.instance >= 0))

    @cached_property
    def failed(self) -> Sequence[int]:
        """The numbers of failed and of sent requests, inside and outside the spike. All requests are counted."""
        series, inside = self.data.series, slice(self.spike.onset_s, self.spike.end_s)
        failed, sent = int(series.failed[inside].sum()), int(series.started[inside].sum())
        return failed, sent, int(series.failed.sum()) - failed, int(series.started.sum()) - sent

    @cached_property
    def outages(self) -> tuple[Outage, ...]:
        """Outages that overlap with the spike."""
        return tuple(
            outage
            for outage in self.data.outages
            if outage.onset_s < self.spike.end_s + 1 and self.spike.onset_s - 1 < outage.end_s
        )

    @property
    def at_max(self) -> bool | None:
        """Whether the maximum number of instances was serving; None if either number is not known."""
        most, before = self.data.run.target.limits.max_instances, self.added.before
        return None if most is None or before is None else before + self.added.count >= most
