"""Stream a run's rows once into per-second counts and latency histograms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadtest.core.errors import RunFolderError
from loadtest.recording.arrays import integers
from loadtest.recording.folder import RunFolder
from loadtest.recording.frames import CENSORED, FAILED, NOT_THE_SERVICE, OUTCOMES
from loadtest.recording.run import Run
from reports.data import rules
from reports.data.endpoints import EndpointCounter, EndpointIndex, EndpointKey
from reports.data.histogram import BINS, MIDDLE_US, Bools, Floats, Ints, Tally, bin_of, ranked
from reports.data.instances import InstanceTracker
from reports.model import Instance

MAX_SECONDS = 14 * 24 * 3600
"""A row two weeks after the load began is damage. Such a row is refused, because it would use too much memory."""

SECONDS_AT_ONCE = 512
"""Number of seconds whose cells are expanded at a time. This needs a few MB for a run of any length."""

WINDOWS_AT_ONCE = 256
"""Number of windows that are expanded at a time: 256 windows of 3,000 bins are 6 MB."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Latency counts per window. `counts` is windows × bins, and its first column is bin `first_bin`."""

    counts: npt.NDArray[Any]
    first_bin: int

    def requests(self) -> Ints:
        """Return the number of requests in each window."""
        return np.asarray(self.counts.sum(axis=1), dtype=np.int64)

    def at_rank(self, ranks: Ints) -> Floats:
        """Return the latency in µs of the request with that rank (1 = the fastest) in each window."""
        return MIDDLE_US[self.first_bin + ranked(self.counts, ranks)]

    def quantile(self, p: float) -> Floats:
        """Return the nearest-rank quantile of each window in µs, within 0.4 %; NaN if it contains no request."""
        requests = self.requests()
        value = self.at_rank(np.maximum(1, np.ceil(p * requests - 1e-9)).astype(np.int64))
        return np.where(requests > 0, value, np.nan)

    def above(self, us: float) -> Ints:
        """Return how many requests of each window lie in a bin above the bin that contains `us`."""
        column = int(bin_of(np.array([us]))[0]) + 1 - self.first_bin
        return np.asarray(self.counts[:, max(column, 0) :].sum(axis=1), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Cells:
    """Response times of successful requests, counted per second, endpoint and bin; ascending by second.

    There are about half as many cells as requests, so each takes only 7 bytes (8 with many endpoints).

    Attributes:
        edges: the cells from edges[s] up to edges[s + 1] belong to requests that started in second s.
        who: 2 × index into `Series.endpoints`, + 1 if the instance that answered was younger than rules.YOUNG_S.
        bin: the bin of the response time (reports/data/histogram.py).
        count: the number of requests.
    """

    edges: Ints
    who: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    bin: npt.NDArray[np.int16]
    count: npt.NDArray[np.int32]

    @classmethod
    def of(cls, tally: Tally, seconds: int, endpoints: int) -> Cells:
        """Return the cells from a tally whose keys are (second × 2 × endpoints + who) × BINS + bin.

        The tally is empty afterwards.
        """
        most = tally.held
        narrow = 2 * endpoints <= np.iinfo(np.uint8).max
        who = np.empty(most, np.uint8) if narrow else np.empty(most, np.uint16)
        bin_, count = np.empty(most, np.int16), np.empty(most, np.int32)
        cells = np.zeros(seconds, dtype=np.int64)
        end = 0
        for keys, counts in tally.pieces():
            piece = slice(end, end + len(keys))
            rest, bin_[piece] = np.divmod(keys, BINS)
            second, who[piece] = np.divmod(rest, 2 * endpoints)
            cells += np.bincount(second, minlength=seconds)
            count[piece] = counts
            end = piece.stop
        return cls(np.r_[0, np.cumsum(cells)], who[:end], bin_[:end], count[:end])

    def only(self, endpoint: int | None) -> Cells:
        """Return the cells of one endpoint, or all cells for None."""
        if endpoint is None or (chosen := self.who >> 1 == endpoint).all():
            return self
        mine = np.flatnonzero(chosen)
        return Cells(np.searchsorted(mine, self.edges), self.who[mine], self.bin[mine], self.count[mine])

    def above(self, us: float) -> Ints:
        """Return each second's number of requests in bins above the bin of `us`, without expanding the cells."""
        over = np.flatnonzero(self.bin > bin_of(np.array([us])))
        second = np.searchsorted(self.edges, over, side="right") - 1
        return np.bincount(second, self.count[over], len(self.edges) - 1).astype(np.int64)

    def grid(self, start_s: int, end_s: int, *, width_s: int = 1) -> Grid:
        """Return the counts from `start_s` up to but excluding `end_s`, in windows of `width_s`.

        The last window may be shorter.
        """
        windows = max(0, -(-(end_s - start_s) // width_s))
        start_s, last_s = (min(max(at, 0), len(self.edges) - 1) for at in (start_s, end_s))
        whole = slice(self.edges[start_s], self.edges[last_s])
        if whole.start >= whole.stop or not windows:
            return Grid(np.zeros((windows, 1), dtype=np.int64), 0)
        first, columns = int(self.bin[whole].min()), int(np.ptp(self.bin[whole])) + 1
        counts = np.zeros(windows * columns, dtype=np.int32)  # int32: a day in windows of 10 s takes 50 MB, not 100
        for at in range(start_s, last_s, SECONDS_AT_ONCE):
            edges = self.edges[at : min(last_s, at + SECONDS_AT_ONCE) + 1]
            part = slice(edges[0], edges[-1])
            window = (np.repeat(np.arange(len(edges) - 1), np.diff(edges)) + at - start_s) // width_s
            np.add.at(counts, window * columns + (self.bin[part] - first), self.count[part])
        return Grid(counts.reshape(windows, columns), first)

    def quantiles(self, wanted: Sequence[float], end_s: int, *, width_s: int = 1) -> list[Floats]:
        """Return quantiles in µs of each window from t = 0 up to `end_s`. A few windows are expanded at a time."""
        windows = -(-end_s // width_s)
        found = [np.full(windows, np.nan) for _ in wanted]
        for first in range(0, windows, WINDOWS_AT_ONCE):
            last = min(windows, first + WINDOWS_AT_ONCE)
            grid = self.grid(first * width_s, min(end_s, last * width_s), width_s=width_s)
            for values, p in zip(found, wanted, strict=True):
                values[first:last] = grid.quantile(p)
        return found


@dataclass(frozen=True, slots=True)
class Series:
    """A run reduced to seconds. Index i is the second [i, i + 1) after t = 0; every array is `seconds` long.

    Requests are counted in the second in which they started, except those in the arrays with `ended` in their name.
    Response time is `latency_us` + `late_us` if the load had a schedule, else `latency_us`.

    Attributes:
        t0_ns: UTC ns of t = 0 (`run.load_start`, else the first row's start).
        seconds: number of seconds until the last request ended.
        endpoints: those with their own statistics, ordered by requests; the last may stand for all others.
        index: finds the number of each row's endpoint.
        started: requests.
        ended: requests by the second of their end, with any outcome.
        ok_ended: successful requests by the second of their end.
        by_outcome: requests per outcome.
        by_status: requests per HTTP status that occurred; key 0 means no answer.
        by_endpoint: requests per endpoint.
        failed_by_endpoint: failed requests per endpoint.
        bytes_by_endpoint: bytes of all answers per endpoint.
        failed_of: failed requests per second of each of the first rules.CHARTED_ENDPOINTS endpoints.
        ok_response_us: sum of the response times of successful requests.
        young: requests answered by an instance younger than rules.YOUNG_S; None if no row names an age.
        cells: response times of successful requests.
        instances: the instances, by first appearance; empty if the service names none.
        firsts: by instance name, its first successful requests: start (s), latency (ms).
        timeout_at_least_us: the shortest wait among timeouts, which the report prints with "≥"; None without timeouts.
        censored_at_least_us: the shortest wait among `censored`; None without any.
        first_ok_us: the end of the first successful request, from t = 0 on; None without one. An end before t = 0,
            which a wrong clock gives, counts as 0.
        open_loop: whether any row has a schedule (`late_us`).
        bytes: bytes of all answers.
    """

    t0_ns: int
    seconds: int
    endpoints: tuple[EndpointKey, ...]
    index: EndpointIndex
    started: Ints
    ended: Ints
    ok_ended: Ints
    by_outcome: dict[str, Ints]
    by_status: dict[int, Ints]
    by_endpoint: Ints
    failed_by_endpoint: Ints
    bytes_by_endpoint: Ints
    failed_of: Ints
    ok_response_us: Floats
    young: Ints | None
    cells: Cells
    instances: tuple[Instance, ...]
    firsts: Mapping[str, tuple[Floats, Floats]]
    timeout_at_least_us: int | None
    censored_at_least_us: int | None
    first_ok_us: int | None
    open_loop: bool
    bytes: int

    @property
    def ok(self) -> Ints:
        """Successful requests."""
        return self.by_outcome["ok"]

    def _of(self, outcomes: Iterable[str]) -> Ints:
        return np.asarray(np.sum([self.by_outcome[name] for name in outcomes], axis=0), dtype=np.int64)

    @property
    def failed(self) -> Ints:
        """Failed requests, without those that the load generator could not send."""
        return self._of(FAILED)

    @property
    def censored(self) -> Ints:
        """Requests for which only a lower bound of the latency is known: timed out, or unanswered at the end."""
        return self._of(CENSORED)

    @property
    def generator(self) -> Ints:
        """Requests that failed before they were sent, because the load generator lacked a resource."""
        return self._of(NOT_THE_SERVICE)

    @property
    def in_flight(self) -> Ints:
        """Requests that await an answer at the end of each second, counted from the rows themselves."""
        return np.cumsum(self.started) - np.cumsum(self.ended)


@dataclass(frozen=True, slots=True)
class Extent:
    """The time range of a run's rows: UTC ns of t = 0, and the number of seconds until the last end."""

    t0_ns: int
    seconds: int


_CENSORED_CODES = [OUTCOMES.index(name) for name in sorted(CENSORED)]
_FAILED_CODES = [OUTCOMES.index(name) for name in sorted(FAILED)]

COLUMNS = (
    "start",
    "latency_us",
    "late_us",
    "name",
    "method",
    "status",
    "outcome",
    "bytes",
    "instance",
    "instance_age_ms",
)


def read_series(folder: RunFolder, run: Run) -> Series:
    """Return the counts of the run's rows for each second. Memory grows with seconds and endpoints, not with rows.

    Raises:
        RunFolderError: there are no rows to read, or they are weeks apart.
    """
    span, book, index = _first_pass(folder, run)
    counting = _Counting(span, book, index)
    for batch in folder.row_batches(COLUMNS):
        if batch.num_rows:
            counting.add(batch)
    return counting.series()


def seconds_of(start_ns: Ints, t0_ns: int) -> Ints:
    """Return the second after t = 0 in which each request started. Starts before t = 0 count in the first second."""
    return np.maximum((start_ns - t0_ns) // 1_000_000_000, 0)


def _first_pass(folder: RunFolder, run: Run) -> tuple[Extent, InstanceTracker, EndpointIndex]:
    first: int | None = None
    last_end = 0
    book, counter = InstanceTracker(), EndpointCounter()
    for batch in folder.row_batches(("start", "latency_us", "name", "method", "outcome", "instance")):
        if not batch.num_rows:
            continue
        start = integers(batch.column("start"), 0)
        first = int(start.min()) if first is None else min(first, int(start.min()))
        last_end = max(last_end, int((start + integers(batch.column("latency_us"), 0) * 1000).max()))
        book.see(batch.column("instance"), start)
        failed = np.isin(outcome_codes(batch.column("outcome")), _FAILED_CODES)
        counter.see(batch.column("name"), batch.column("method"), failed)
    t0_ns = round(run.load_start.timestamp() * 1e6) * 1000 if run.load_start else first
    if t0_ns is None:
        t0_ns = round(run.start.timestamp() * 1e6) * 1000
    seconds = max(1, -(-(last_end - t0_ns) // 1_000_000_000))
    if seconds > MAX_SECONDS or (first is not None and t0_ns - first > MAX_SECONDS * 1_000_000_000):
        days = max(seconds, (t0_ns - (first or t0_ns)) // 1_000_000_000) / 86400
        raise RunFolderError(
            f"{folder.rows}: a row lies {days:.0f} days from the start of the load; its clock or `load_start` in "
            "run.json is wrong. Correct it, or drop that row."
        )
    book.close(t0_ns)
    return Extent(t0_ns, int(seconds)), book, counter.close()


def outcome_codes(column: pa.Array) -> Ints:
    """Return each row's outcome as its index into OUTCOMES.

    Raises:
        RunFolderError: this version does not know one of the outcomes.
    """
    known = {name: code for code, name in enumerate(OUTCOMES)}
    names = column.dictionary.to_pylist()
    unknown = sorted({name for name in names if name is not None} - set(known))
    if unknown:
        raise RunFolderError(f"the rows have an outcome {unknown[0]!r}; known are {', '.join(OUTCOMES)}.")
    return np.array([known.get(name, 0) for name in names], dtype=np.int64)[integers(column.indices, 0)]


def _least(before: int | None, values: Ints) -> int | None:
    if not len(values):
        return before
    return int(values.min()) if before is None else min(before, int(values.min()))


@dataclass(slots=True)
class _Counting:
    """The sums of one pass over the rows."""

    span: Extent
    book: InstanceTracker
    index: EndpointIndex
    by_outcome: dict[str, Ints] = field(default_factory=dict)
    by_status: dict[int, Ints] = field(default_factory=dict)
    timeout_at_least_us: int | None = None
    censored_at_least_us: int | None = None
    first_ok_us: int | None = None
    open_loop: bool = False
    any_age: bool = False
    bytes: int = 0
    tally: Tally = field(default_factory=Tally)
    sums: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for outcome in OUTCOMES:
            self.by_outcome[outcome] = self._zeros()
        for name in ("ended", "ok_ended", "young"):
            self.sums[name] = self._zeros()
        for name in ("by_endpoint", "failed_by_endpoint", "bytes_by_endpoint"):
            self.sums[name] = np.zeros(max(1, len(self.index.endpoints)), dtype=np.int64)
        charted = min(rules.CHARTED_ENDPOINTS, len(self.index.endpoints))
        self.sums["failed_of"] = np.zeros((charted, self.span.seconds), dtype=np.int64)
        self.sums["ok_response_us"] = np.zeros(self.span.seconds)

    def _zeros(self) -> Ints:
        return np.zeros(self.span.seconds, dtype=np.int64)

    def _count(self, seconds: Ints) -> Ints:
        return np.asarray(np.bincount(seconds, minlength=self.span.seconds), dtype=np.int64)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a batch of rows in COLUMNS."""
        start = integers(batch.column("start"), 0)
        latency = np.maximum(integers(batch.column("latency_us"), 0), 0)
        late = integers(batch.column("late_us"), -1)
        self.open_loop = self.open_loop or bool((late >= 0).any())
        response = latency + np.maximum(late, 0)
        second = np.minimum(seconds_of(start, self.span.t0_ns), self.span.seconds - 1)
        end_us = (start - self.span.t0_ns) // 1000 + latency
        ended = np.clip(end_us // 1_000_000, 0, self.span.seconds - 1)
        outcome = outcome_codes(batch.column("outcome"))
        ok = outcome == 0
        for code, name in enumerate(OUTCOMES):
            self.by_outcome[name] += self._count(second[outcome == code])
        self._statuses(integers(batch.column("status"), 0), second)
        self.sums["ended"] += self._count(ended)
        self.sums["ok_ended"] += self._count(ended[ok])
        self.sums["ok_response_us"] += np.bincount(second[ok], weights=response[ok], minlength=self.span.seconds)
        self._extremes(outcome, ok, latency, end_us)
        size = integers(batch.column("bytes"), 0)
        self.bytes += int(size.sum())
        age = integers(batch.column("instance_age_ms"), -1)
        self.any_age = self.any_age or bool((age >= 0).any())
        number = self.book.numbers(batch.column("instance"))
        young = self.book.young(number, start, age)
        self.sums["young"] += self._count(second[young])
        endpoint = self.index.numbers(batch.column("name"), batch.column("method"))
        endpoints = len(self.sums["by_endpoint"])
        self.sums["by_endpoint"] += np.bincount(endpoint, minlength=endpoints)
        failed = np.isin(outcome, _FAILED_CODES)
        self.sums["failed_by_endpoint"] += np.bincount(endpoint[failed], minlength=endpoints)
        of_endpoint = np.bincount(endpoint, weights=size, minlength=endpoints)
        self.sums["bytes_by_endpoint"] += of_endpoint.astype(np.int64)  # exact: sums below 2⁵³
        failed_of = self.sums["failed_of"]
        for at in range(len(failed_of)):
            if self.sums["failed_by_endpoint"][at]:
                failed_of[at] += self._count(second[failed & (endpoint == at)])
        bins = bin_of(response)
        cell = (second * (2 * endpoints) + endpoint * 2 + young) * BINS + bins
        self.tally.add(cell[ok])
        self.book.add(number[ok], start[ok], latency[ok], age[ok], bins[ok])

    def _statuses(self, status: Ints, second: Ints) -> None:
        for value in np.unique(status).tolist():
            counts = self.by_status.setdefault(value, self._zeros())
            counts += self._count(second[status == value])

    def _extremes(self, outcome: Ints, ok: Bools, latency: Ints, end_us: Ints) -> None:
        self.timeout_at_least_us = _least(self.timeout_at_least_us, latency[outcome == OUTCOMES.index("timeout")])
        self.censored_at_least_us = _least(self.censored_at_least_us, latency[np.isin(outcome, _CENSORED_CODES)])
        self.first_ok_us = _least(self.first_ok_us, np.maximum(end_us[ok], 0))

    def series(self) -> Series:
        """Return the counts as a series."""
        endpoints = len(self.index.endpoints)
        return Series(
            t0_ns=self.span.t0_ns,
            seconds=self.span.seconds,
            endpoints=self.index.endpoints,
            index=self.index,
            started=np.sum(list(self.by_outcome.values()), axis=0),
            ended=self.sums["ended"],
            ok_ended=self.sums["ok_ended"],
            by_outcome=self.by_outcome,
            by_status=self.by_status,
            by_endpoint=self.sums["by_endpoint"][:endpoints],
            failed_by_endpoint=self.sums["failed_by_endpoint"][:endpoints],
            bytes_by_endpoint=self.sums["bytes_by_endpoint"][:endpoints],
            failed_of=self.sums["failed_of"],
            ok_response_us=self.sums["ok_response_us"],
            young=self.sums["young"] if self.any_age else None,
            cells=Cells.of(self.tally, self.span.seconds, max(1, endpoints)),
            instances=self.book.instances(),
            firsts=self.book.firsts(),
            timeout_at_least_us=self.timeout_at_least_us,
            censored_at_least_us=self.censored_at_least_us,
            first_ok_us=self.first_ok_us,
            open_loop=self.open_loop,
            bytes=self.bytes,
        )
