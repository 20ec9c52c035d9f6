"""Read the requests of a run one by one, as evidence for causes.

If there are too many, only an evenly spread share of them is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from loadtest.recording.arrays import integers
from loadtest.recording.folder import RunFolder
from reports.data.histogram import Bools, Floats, Ints
from reports.data.rules import YOUNG_S
from reports.data.series import Series, outcome_codes

MOST_ROWS = 400_000
"""Number of rows kept: 25 MB. If there are more, every second (third, …) row is kept, which preserves shares and
medians."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests in the order of their start. Times are seconds after t = 0.

    Attributes:
        start_s: when it was sent.
        latency_ms: response time (including lateness); for a failed request the time until it failed.
        ok: whether it succeeded.
        status: 0 without an answer.
        outcome: index into `frames.OUTCOMES`.
        endpoint: index into `Series.endpoints`.
        instance: index into `names`; −1 if no instance is named.
        names: the instances.
        age_s: age of the instance when it answered; NaN if not known.
        server_ms: server time; NaN if the service does not report it.
        thinned: 1 if every row was kept, 2 if every second row was kept, and so on.
    """

    start_s: Floats
    latency_ms: Floats
    ok: Bools
    status: Ints
    outcome: Ints
    endpoint: Ints
    instance: Ints
    names: tuple[str, ...]
    age_s: Floats
    server_ms: Floats
    thinned: int

    @property
    def end_s(self) -> Floats:
        """The end of each request."""
        return self.start_s + self.latency_ms / 1000

    def young(self, first_seen_s: Floats) -> Bools:
        """Return whether each request was answered by an instance younger than rules.YOUNG_S.

        The instance's age decides, or else the time at which it was first seen (`first_seen_s` per instance).
        """
        if not len(first_seen_s):
            return np.zeros(len(self.start_s), dtype=np.bool_)
        since = self.end_s - first_seen_s[np.maximum(self.instance, 0)]
        known = self.instance >= 0
        return np.asarray(known & np.where(np.isnan(self.age_s), since < YOUNG_S, self.age_s < YOUNG_S))

    def first_seen_s(self) -> Floats:
        """Return the time at which each instance's first request was sent; inf for an instance without requests."""
        first = np.full(len(self.names), np.inf)
        known = self.instance >= 0
        np.minimum.at(first, self.instance[known], self.start_s[known])
        return first


COLUMNS = (
    "start",
    "latency_us",
    "late_us",
    "name",
    "method",
    "status",
    "outcome",
    "instance",
    "instance_age_ms",
    "server_us",
)


def read_requests(folder: RunFolder, series: Series) -> Requests:
    """Return the run's requests. If there are more than MOST_ROWS, only an evenly spread share of them is returned."""
    total = int(series.started.sum())
    step = max(1, -(-total // MOST_ROWS))
    names: dict[str, int] = {}
    parts: list[list[np.ndarray[tuple[int], np.dtype[np.float64]]]] = []
    seen = 0
    for batch in folder.row_batches(COLUMNS):
        if not batch.num_rows:
            continue
        kept = slice((-seen) % step, None, step)
        seen += batch.num_rows
        # copied, because a view would keep all rows in memory
        parts.append([column[kept].copy() for column in _columns(batch, series, names)])
    columns = [np.concatenate(pieces) for pieces in zip(*parts, strict=True)] if parts else [np.empty(0)] * 8
    order = np.argsort(columns[0], kind="stable")
    start, latency, status, outcome, endpoint, instance, age, server = (column[order] for column in columns)
    return Requests(
        start_s=start,
        latency_ms=latency,
        ok=outcome == 0,
        status=status.astype(np.int64),
        outcome=outcome.astype(np.int64),
        endpoint=endpoint.astype(np.int64),
        instance=instance.astype(np.int64),
        names=tuple(names),
        age_s=age,
        server_ms=server,
        thinned=step,
    )


def _columns(batch: pa.RecordBatch, series: Series, names: dict[str, int]) -> list[Floats]:
    latency = np.maximum(integers(batch.column("latency_us"), 0), 0) + np.maximum(
        integers(batch.column("late_us"), 0), 0
    )
    age = integers(batch.column("instance_age_ms"), -1)
    server = integers(batch.column("server_us"), -1)
    found = (
        (integers(batch.column("start"), 0) - series.t0_ns) / 1e9,
        latency / 1000,
        integers(batch.column("status"), 0),
        outcome_codes(batch.column("outcome")),
        series.index.numbers(batch.column("name"), batch.column("method")),
        _instances(batch.column("instance"), names),
        np.where(age >= 0, age / 1000, np.nan),
        np.where(server >= 0, server / 1000, np.nan),
    )
    return [np.asarray(column, dtype=np.float64) for column in found]


def _instances(column: pa.Array, names: dict[str, int]) -> Ints:
    """Return the number of each row's instance. Names that no row uses get no number."""
    called = column.dictionary.to_pylist()
    at = integers(column.indices, -1)
    places = np.full(len(called) + 1, -1, dtype=np.int64)
    for used in np.unique(at[at >= 0]).tolist():
        if called[used]:
            places[used] = names.setdefault(called[used], len(names))
    return places[at]
