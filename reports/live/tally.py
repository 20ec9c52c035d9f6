"""Count a run's requests and its load generators' reports as they are recorded."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadtest.core.objectives import EndpointName, Objective, Unit
from loadtest.recording.frames import FAILED, NOT_THE_SERVICE, OUTCOMES, Frame
from reports.data import rules
from reports.data.formats import ms
from reports.data.histogram import BINS, Bools, Floats, Ints, bin_of
from reports.data.load import over_workers
from reports.live.points import MAX_POINTS, PERCENTILES, Points, quantile_ms
from reports.model import Timeline

MAX_INSTANCES = 2_000
"""Highest number of instances that are counted separately. Cloud Run's maximum is far lower."""

MAX_EVENTS = 50

WAITED_MS = 100.0
"""If the first request of a new instance took this long, it waited for the instance's start."""

MAX_ENDPOINTS = 200
"""Highest number of endpoints whose first requests are watched."""

FIRST_REQUESTS = 20
"""Number of an endpoint's first requests that are watched. If they all fail, that is reported while the run goes on."""

RECENT_S = 5.0
"""An instance counts as serving if it has answered within this time."""

AHEAD_S = 90
"""A row that ends further in the future than this is damaged. It is counted at this limit."""

_LOAD = ("planned_users", "users", "in_flight", "cpu_ratio", "loop_lag_ms")


@dataclass(frozen=True, slots=True)
class Event:
    """A single event: its time, in s after the load began, and a sentence without a full stop."""

    at_s: float
    text: str


@dataclass(frozen=True, slots=True)
class SoFar:
    """An objective, judged on the run so far.

    Attributes:
        objective: the objective.
        value: the value so far, in its unit; None if it is known only after the run, or without data.
        held: whether it holds so far; None without a value.
    """

    objective: Objective
    value: float | None
    held: bool | None

    @property
    def strain(self) -> float:
        """Ratio of the value to the limit: above 1 the limit is exceeded; −1 if nothing is known."""
        if self.value is None:
            return -1.0
        over, under = (self.value, self.objective.limit) if self.objective.upper else (self.objective.limit, self.value)
        return over / under if under > 0 else (math.inf if over > 0 else 0.0)


def worst(found: Iterable[SoFar]) -> SoFar | None:
    """Return the objective that is missed, or the one nearest to its limit; None without objectives."""
    return max(found, key=lambda item: (item.held is False, item.strain), default=None)


@dataclass(frozen=True, slots=True)
class FailingEndpoint:
    """An endpoint whose first requests all failed, with the status of the last of them (0 without an answer)."""

    method: str
    name: str
    status: int
    requests: int


@dataclass(slots=True)
class _Instance:
    first_s: float
    last_s: float


class LiveTally:
    """Numbers of a run in progress, in bounded memory: about 15 MB for a run of any length.

    Args:
        objectives: the run's objectives. Objectives on endpoints, phases and all requests are judged during the run,
            and the others at the end.
        phases: start and end of each named phase by the plan, in s after the load began.
        share: the share of the users whose requests it counts. Below 1, the number of requests in flight is not known.
    """

    def __init__(
        self,
        objectives: Sequence[Objective] = (),
        phases: Mapping[str, tuple[float, float]] | None = None,
        *,
        share: float = 1.0,
    ) -> None:
        self.share = share
        self.objectives = tuple(objectives)
        self.phases = {"all": (0.0, math.inf), **(phases or {})}
        self.points = Points()
        self.requests = 0
        self.failed = 0
        self.events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self.failing: list[FailingEndpoint] = []
        self._first: dict[tuple[str, str], int] = {}  # failures so far of endpoints without any success
        self._instances: dict[str, _Instance] = {}
        self._workers: dict[str, int] = {}
        named = {objective.endpoint for objective in self.objectives if objective.endpoint is not None}
        self._endpoints: dict[EndpointName, Ints] = {kind: np.zeros(BINS, dtype=np.int64) for kind in named}
        self._of_endpoints: dict[EndpointName, list[int]] = {kind: [0, 0] for kind in named}

    def add(self, frame: Frame, *, t0_ns: int, now_s: float) -> None:
        """Count the rows of a frame. `now_s` is the current time, in s after t0."""
        if not frame.rows:
            return
        column = {name: np.frombuffer(values, values.typecode) for name, values in frame.columns.items()}
        latency_us = np.maximum(column["latency_us"], 0)
        end_ns = column["start"] + latency_us * 1000 - t0_ns
        second = self._clipped((column["start"] - t0_ns) // 1_000_000_000, now_s)
        ended = self._clipped(end_ns // 1_000_000_000, now_s)
        points = self.points
        points.reach(int(max(second.max(), ended.max())))
        outcome = column["outcome"]
        ok = outcome == 0
        response_us = latency_us + np.maximum(column["late_us"], 0)
        points.add("started", second)
        points.add("ended", ended)
        points.add("ok_ended", ended[ok])
        points.add_latency(second[ok], response_us[ok])
        for code in np.unique(outcome[~ok]).tolist():
            kind, of_kind = OUTCOMES[code], second[outcome == code]
            points.add(f"outcome.{kind}", of_kind)
            if kind in FAILED:
                points.add("failed", of_kind)
                self.failed += len(of_kind)
        self.requests += frame.rows
        self._see_first_requests(frame, column, ok)
        self._see_instances(frame, column["instance"], end_ns / 1e9, response_us, column["instance_age_ms"])
        if self._endpoints:
            self._see_endpoints(frame, column, ok, response_us)

    def _clipped(self, second: Ints, now_s: float) -> Ints:
        return np.clip(second, 0, max(0, int(now_s) + AHEAD_S)).astype(np.int64)

    def _see_instances(self, frame: Frame, index: Ints, end_s: Floats, response_us: Ints, age_ms: Ints) -> None:
        for number in np.unique(index[index > 0]).tolist():
            mine = np.flatnonzero(index == number)
            first = mine[np.argmin(end_s[mine])]
            first_s, last_s = float(end_s[first]), float(end_s[mine].max())
            known = self._instances.get(frame.strings[number])
            if known is not None:
                known.first_s, known.last_s = min(known.first_s, first_s), max(known.last_s, last_s)
            elif len(self._instances) < MAX_INSTANCES:
                self._instances[frame.strings[number]] = _Instance(first_s, last_s)
                young = 0 <= age_ms[first] < rules.YOUNG_S * 1000
                took_ms = float(response_us[first]) / 1000
                cold = "cold start: " if young and took_ms >= WAITED_MS else ""
                what = "a new instance" if young else "an instance"
                text = f"{cold}{what} answered for the first time; its first request took {ms(took_ms)}"
                self.events.append(Event(max(0.0, first_s), text))

    def _see_first_requests(self, frame: Frame, column: Mapping[str, Ints], ok: Bools) -> None:
        """Watch for endpoints that have only failed so far. After one success, an endpoint is never reported."""
        pairs = column["name"].astype(np.int64) * len(frame.strings) + column["method"]
        for pair in np.unique(pairs).tolist():
            name, method = (frame.strings[at] for at in divmod(pair, len(frame.strings)))
            failed = self._first.get((method, name), 0)
            if failed < 0 or (len(self._first) >= MAX_ENDPOINTS and (method, name) not in self._first):
                continue
            mine = pairs == pair
            failed = -1 if bool(ok[mine].any()) else failed + int(mine.sum())
            if failed >= FIRST_REQUESTS:
                status = int(column["status"][mine][-1])
                self.failing.append(FailingEndpoint(method, name, status, failed))
                failed = -1
            self._first[method, name] = failed

    def _see_endpoints(self, frame: Frame, column: Mapping[str, Ints], ok: Ints, response_us: Ints) -> None:
        pairs = column["name"].astype(np.int64) * len(frame.strings) + column["method"]
        for pair in np.unique(pairs).tolist():
            name, method = (frame.strings[at] for at in divmod(pair, len(frame.strings)))
            for endpoint in self._endpoints:
                if endpoint.names(name, method):
                    mine = pairs == pair
                    self._of_endpoints[endpoint][0] += int(mine.sum())
                    self._of_endpoints[endpoint][1] += int((mine & ~ok).sum())
                    self._endpoints[endpoint] += np.bincount(bin_of(response_us[mine & ok]), minlength=BINS)

    def add_load(self, lines: Iterable[Mapping[str, str]], *, t0_ns: int) -> None:
        """Add lines of `load.csv`."""
        for line in lines:
            try:
                second = round(float(line["time_s"]) - t0_ns / 1e9)
                values = {name: float(line[name]) for name in _LOAD if line.get(name)}
            except ValueError:
                continue
            if not 0 <= second < 10**9:
                continue
            worker = line["worker"]
            self._workers[worker] = max(second, self._workers.get(worker, 0))
            self.points.reach(second)
            for name, value in values.items():
                if math.isfinite(value):
                    self.points.highest(f"{name} {worker}", second, value)

    # ---- results

    def instances_now(self, now_s: float) -> int | None:
        """Return how many instances have answered within RECENT_S; None if the service does not name its instances."""
        if not self._instances:
            return None
        return sum(instance.last_s >= now_s - RECENT_S for instance in self._instances.values())

    def so_far(self) -> list[SoFar]:
        """Return each objective, judged on the run so far."""
        return [self._so_far(objective) for objective in self.objectives]

    def _so_far(self, objective: Objective) -> SoFar:
        value = self._value(objective)
        return SoFar(objective, value, None if value is None else objective.met_by(value))

    def _value(self, objective: Objective) -> float | None:
        if objective.window_s is not None or objective.phase not in self.phases:
            return None  # known after the run
        if objective.endpoint is not None:
            return self._value_of_endpoint(objective, objective.endpoint)
        stretch = self.phases[objective.phase]
        if objective.quantile is not None:
            return quantile_ms(self.points.latency_between(*stretch), objective.quantile)
        if objective.unit is Unit.RATIO and objective.metric == "error_rate":
            lost = sum(self.points.sum_between(f"outcome.{kind}", *stretch) for kind in NOT_THE_SERVICE)
            sent = self.points.sum_between("started", *stretch) - lost
            return self.points.sum_between("failed", *stretch) / sent if sent else None
        if objective.unit is Unit.PER_S:
            length_s = min(stretch[1], (self.points.length - 1) * self.points.step_s) - stretch[0]
            whole = (stretch[0], stretch[0] + length_s)
            return self.points.sum_between("ok_ended", *whole) / length_s if length_s > 0 else None
        return None  # the platform reports it after the run

    def _value_of_endpoint(self, objective: Objective, endpoint: EndpointName) -> float | None:
        sent, failed = self._of_endpoints[endpoint]
        if objective.phase != "all" or not sent:
            return None
        if objective.quantile is not None:
            return quantile_ms(self._endpoints[endpoint], objective.quantile)
        return failed / sent if objective.unit is Unit.RATIO else None

    def timeline(self) -> Timeline:
        """Return the lines of the report's charts, up to the present."""
        points = self.points
        columns: dict[str, Floats] = {f"p{100 * p:.0f}_ms": points.percentile_ms(p).copy() for p in PERCENTILES}
        columns["ok_per_s"] = _without_the_last(points.per_s("ok_ended"))
        for name in points.names():
            if name.startswith("outcome."):
                columns[f"failed_per_s.{name.removeprefix('outcome.')}"] = points.per_s(name)
        columns |= self._load_columns()
        if self._instances:
            columns["instances_answering"] = self._answering()
        listed = {
            name: [None if np.isnan(value) else round(float(value), 4) for value in values]
            for name, values in columns.items()
            if not np.isnan(values).all()
        }
        return Timeline(from_s=0.0, step_s=float(points.step_s), columns=listed)

    def _load_columns(self) -> dict[str, Floats]:
        """Return the workers' load, up to the last second for which all active workers have reported it."""
        newest = max(self._workers.values(), default=0)
        there = [worker for worker, last in self._workers.items() if last >= newest - RECENT_S]
        known = min((self._workers[worker] for worker in there), default=0) // self.points.step_s + 1
        found = {}
        for name in _LOAD:
            if name == "in_flight" and self.share < 1:
                continue
            each = [self.points.most(f"{name} {worker}").copy() for worker in self._workers]
            joined = over_workers(each, name, self.points.length)
            joined[known:] = np.nan
            if name in ("planned_users", "users"):
                joined *= self.share
            found["generator_cpu_ratio" if name == "cpu_ratio" else name] = joined
        return found

    def _answering(self) -> Floats:
        step_s = self.points.step_s
        edges = np.zeros(MAX_POINTS + 1)
        newest_s = (self.points.length - 1) * step_s
        for seen in self._instances.values():
            # an instance is assumed to serve until it has been silent for RECENT_S
            until_s = math.inf if seen.last_s >= newest_s - RECENT_S else seen.last_s
            first, last = (min(MAX_POINTS - 1.0, max(0.0, at) // step_s) for at in (seen.first_s, until_s))
            edges[int(first)] += 1
            edges[int(last) + 1] -= 1
        return np.cumsum(edges)[: self.points.length]


def _without_the_last(per_s: Floats) -> Floats:
    """Return a rate without its last point, which is not complete: the line would seem to fall there."""
    found = per_s.copy()
    found[-1:] = np.nan
    return found
