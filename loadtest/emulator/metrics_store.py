"""Record Cloud Run's metrics in a bucket for each period, revision and set of labels."""

from __future__ import annotations

import bisect
import math
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..core import cloud_metrics
from .metric_types import METRICS
from .model import Distribution, Labels, Point, Sampling, Series, ServiceKey

KEEP_PERIODS = 10_000
"""Number of periods kept per revision: 7 days of minutes, or 2.8 hours of seconds. Older periods are dropped."""

BILLED_SLOT_S = 0.1
"""Cloud Run bills in steps of 100 ms."""

MS_BOUNDS = (0.0, *(1.15**i for i in range(97)))  # bounds from 1 ms to 11 min, each 15 % above the previous bound
RATIO_BOUNDS = tuple(i / 100 for i in range(201))
COUNT_BOUNDS = (*(float(i) for i in range(20)), *(20 * 1.1**i for i in range(42)))

_GAUGES = {metric.type for metric in METRICS if metric.kind == "GAUGE"}


class Spread:
    """A distribution to which values can be added."""

    __slots__ = ("bounds", "count", "counts", "squares", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.count = 0
        self.total = 0.0
        self.squares = 0.0

    def add(self, value: float) -> None:
        """Add a value."""
        self.counts[bisect.bisect_right(self.bounds, value)] += 1
        self.count += 1
        self.total += value
        self.squares += value * value

    def frozen(self) -> Distribution:
        """Return the current distribution."""
        mean = self.total / self.count if self.count else 0.0
        deviation = max(0.0, self.squares - self.count * mean * mean)
        return Distribution(self.count, mean, deviation, self.bounds, tuple(self.counts))


@dataclass(frozen=True, slots=True)
class InstanceSample:
    """A sample of a ready instance.

    The ratios are the used shares of the instance's vCPU (since the last sample) and memory.
    """

    name: str
    in_flight: int
    cpu_ratio: float | None
    memory_ratio: float


@dataclass(slots=True)
class _Period:
    numbers: dict[tuple[str, Labels], float] = field(default_factory=lambda: defaultdict(float))
    spreads: dict[tuple[str, Labels], Spread] = field(default_factory=dict)
    present: tuple[str, ...] | None = None  # the values at the last sample of the period
    most: dict[str, int] = field(default_factory=dict)  # concurrent requests of each observed instance

    def spread(self, metric: str, labels: Labels, bounds: tuple[float, ...], value: float) -> None:
        key = (metric, labels)
        if key not in self.spreads:
            self.spreads[key] = Spread(bounds)
        self.spreads[key].add(value)


class RevisionRecord:
    """The recorded metrics of one revision.

    Times are Unix times; they only label quantities that another clock measured.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._periods: dict[int, _Period] = {}
        self._order: deque[int] = deque()
        self._billed: dict[str, int] = {}  # the last billed step of each instance
        self._busy_at_s: dict[str, float] = {}  # the last sample, if the instance had requests at that time
        self.requests = 0
        self.refused = 0
        self.by_code: dict[int, int] = defaultdict(int)
        self.last_request_s: float | None = None

    def request(
        self, now_s: float, *, code: int, instance: str | None, pending_ms: float, total_ms: float, in_flight: int
    ) -> None:
        """Record a request that has just ended. If the request reached no instance, it is counted only as refused."""
        self.last_request_s = now_s
        self.by_code[code] += 1
        if instance is None:
            self.refused += 1
            return
        self.requests += 1
        period = self._at(now_s)
        labels: Labels = (("response_code", str(code)), ("response_code_class", f"{code // 100}xx"))
        service_ms = max(0.0, total_ms - pending_ms)
        period.numbers[cloud_metrics.REQUEST_COUNT, labels] += 1
        period.spread(cloud_metrics.LATENCIES, labels, MS_BOUNDS, service_ms)
        period.spread(cloud_metrics.E2E_LATENCIES, labels, MS_BOUNDS, total_ms)
        period.spread(cloud_metrics.PENDING, labels, MS_BOUNDS, pending_ms)
        period.most[instance] = max(period.most.get(instance, 0), in_flight)
        self._bill(period, instance, now_s - service_ms / 1000, now_s)

    def started(self, now_s: float, *, instance: str, startup_s: float) -> None:
        """Record an instance whose startup probe has just passed."""
        period = self._at(now_s)
        period.spread(cloud_metrics.STARTUP_LATENCIES, (), MS_BOUNDS, startup_s * 1000)
        self._bill(period, instance, now_s - startup_s, now_s)

    def sample(self, now_s: float, instances: Sequence[InstanceSample]) -> None:
        """Record the state of the ready instances. This method is called about once a second."""
        period = self._at(now_s)
        period.present = tuple(instance.name for instance in instances)
        for instance in instances:
            period.most[instance.name] = max(period.most.get(instance.name, 0), instance.in_flight)
            if instance.cpu_ratio is not None:
                period.spread(cloud_metrics.CPU, (), RATIO_BOUNDS, instance.cpu_ratio)
            period.spread(cloud_metrics.MEMORY, (), RATIO_BOUNDS, instance.memory_ratio)
            if instance.in_flight:
                self._bill(period, instance.name, self._busy_at_s.get(instance.name, now_s), now_s)
                self._busy_at_s[instance.name] = now_s
            else:
                self._busy_at_s.pop(instance.name, None)

    def points(self, metric: str, *, start_s: float, end_s: float, seen_until_s: float) -> dict[Labels, list[Point]]:
        """Return the points of a metric by labels, oldest first, for the periods that had ended at `seen_until_s`."""
        found: dict[Labels, list[Point]] = defaultdict(list)
        for index in sorted(self._periods):
            begin_s, over_s = index * self._period_s, (index + 1) * self._period_s
            if start_s < over_s <= end_s and over_s <= seen_until_s:
                if metric in _GAUGES:
                    begin_s = over_s
                for labels, value in _values(self._periods[index], metric):
                    found[labels].append(Point(begin_s, over_s, value))
        return found

    def _at(self, now_s: float) -> _Period:
        index = math.floor(now_s / self._period_s)
        if index not in self._periods:
            self._periods[index] = _Period()
            self._order.append(index)
            if len(self._order) > KEEP_PERIODS:
                del self._periods[self._order.popleft()]
        return self._periods[index]

    def _bill(self, period: _Period, instance: str, start_s: float, end_s: float) -> None:
        """Add those steps of 100 ms in which the instance worked and that are not billed yet.

        The intervals are passed in the order of their ends, so the time that is already billed always ends with the
        last interval. A long request is billed while it runs: if two consecutive samples show requests, all the time
        between them is billed.
        """
        first, last = math.floor(start_s / BILLED_SLOT_S), math.floor(end_s / BILLED_SLOT_S)
        first = max(first, self._billed.get(instance, -1) + 1)
        if last >= first:
            period.numbers[cloud_metrics.BILLABLE_TIME, ()] += (last - first + 1) * BILLED_SLOT_S
            self._billed[instance] = last


def _values(period: _Period, metric: str) -> list[tuple[Labels, int | float | Distribution]]:
    if metric == cloud_metrics.INSTANCE_COUNT:
        if period.present is None:
            return []
        active = sum(period.most.get(name, 0) > 0 for name in period.present)
        return [((("state", "active"),), active), ((("state", "idle"),), len(period.present) - active)]
    if metric == cloud_metrics.MAX_CONCURRENCIES:
        spreads: dict[str, Spread] = {}
        for most in period.most.values():
            spreads.setdefault("active" if most else "idle", Spread(COUNT_BOUNDS)).add(most)
        return [((("state", state),), spread.frozen()) for state, spread in sorted(spreads.items())]
    whole = metric == cloud_metrics.REQUEST_COUNT
    numbers = [
        (labels, int(value) if whole else value) for (name, labels), value in period.numbers.items() if name == metric
    ]
    return [
        *numbers,
        *((labels, spread.frozen()) for (name, labels), spread in period.spreads.items() if name == metric),
    ]


class Recorder:
    """The metrics of all revisions; implements `loadtest.emulator.model.Readings`."""

    def __init__(self, sampling: Sampling, *, clock: Callable[[], float]) -> None:
        self.sampling = sampling
        self._clock = clock
        self._records: dict[tuple[ServiceKey, str], RevisionRecord] = {}

    def of(self, service: ServiceKey, revision: str) -> RevisionRecord:
        """Return the record of a revision; the first call creates it."""
        return self._records.setdefault((service, revision), RevisionRecord(self.sampling.period_s))

    def series(self, metric: str, *, start_s: float, end_s: float) -> Sequence[Series]:
        """See `loadtest.emulator.model.Readings`."""
        seen_until_s = self._clock() - self.sampling.ingest_delay_s
        return [
            Series(metric, service, revision, labels, tuple(points))
            for (service, revision), record in self._records.items()
            for labels, points in record.points(metric, start_s=start_s, end_s=end_s, seen_until_s=seen_until_s).items()
        ]
