"""Count the fast client's requests in Locust's own totals, in bulk, and pass their rows to the recorder."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import gevent
import numpy as np

from ..core.clock import process_clock
from ..http.receive_timestamps import STAMP_BYTES, STAMP_TYPE, arrivals, wall_clock_ahead_ns
from ..http.transport import Transport
from ..recording.buffer import ROW_TYPE, PackedRows, RowBuffer, buffer_of
from ..recording.frames import COLUMNS

if TYPE_CHECKING:  # importing locust patches the whole process
    from locust.env import Environment
    from locust.stats import StatsEntry

FLUSH_S = 1.0

_TIMED = struct.Struct(f"<{''.join(COLUMNS.values())}{STAMP_BYTES}s")

pack_timed = _TIMED.pack
"""Returns one row as bytes, followed by the kernel's stamp (receive_timestamps.py; b"" if there is none). The row's
`start` and `latency_us` contain the times (`time.perf_counter_ns()`) at which the request was sent and at which the
last byte was read. The real start and latency are computed later, for all rows of a second at once."""

TIMED_TYPE = np.dtype([*ROW_TYPE.descr, *STAMP_TYPE])

QUIET_LISTENERS = frozenset({"locust.runners", "loadtest.recorder.worker"})
"""Modules whose request listeners need no event for a request that Tally counts: Locust's totals, and the recorder."""


class Tally:
    """The requests of the fast clients of a process since the last flush.

    Each request is counted in one of two ways. In both ways the request becomes one row, and counts once in Locust's
    totals:

    * quiet: the request succeeded, and only Locust's totals and the recorder listen to `events.request`. The packed row
      of such a request is kept here. Once a second, and before any code reads the totals, the rows are added to
      `environment.stats` in bulk and moved to the row buffer.
    * fired: the request failed, or there is another listener. The event is fired, so that Locust counts it and every
      listener sees it; the row is added to the buffer at once, and RECORDED_KEY in the event's context tells the
      recorder that the row exists.

    Attributes:
        transport: the state that the clients' connections share.
        buffer: the recorder's row buffer; without a recorder, a separate buffer for the texts.
        append: called with one row of `pack_timed`.
    """

    def __init__(self, environment: Environment) -> None:
        self.transport = Transport()
        self._environment = environment
        attached = buffer_of(environment)
        self._records = attached is not None
        self.buffer = RowBuffer("nowhere") if attached is None else attached
        self.buffer.before_take = self.flush
        self._rows = bytearray()
        self.append: Callable[[bytes], None] = self._rows.extend
        self.listeners: list[Any] = environment.events.request._handlers
        self.quiet_listeners = -1
        self._greenlet = gevent.spawn(self.main_loop)
        self._listen()

    def _listen(self) -> None:
        """Flush before Locust reads, resets or sends its totals, as the first listener of each of these events."""
        events = self._environment.events
        for event in (events.report_to_master, events.spawning_complete, events.test_stop, events.quitting):
            event._handlers.insert(0, lambda **_: self.flush())

    def main_loop(self) -> None:
        """Flush once a second, forever."""
        while True:
            gevent.sleep(FLUSH_S)
            self.flush()

    def somebody_else_listens(self) -> bool:
        """Whether any other listener needs the request event.

        The answer is computed again when the number of `listeners` changes.
        """
        others = any(getattr(listener, "__module__", "") not in QUIET_LISTENERS for listener in self.listeners)
        self.quiet_listeners = -1 if others else len(self.listeners)
        return others

    def add_fired(self, timed: bytes) -> None:
        """Store a `pack_timed` row of a request whose event is about to be fired."""
        if self._records:
            self.buffer.extend(_with_wall_times(timed))

    def flush(self) -> None:
        """Add all waiting rows to Locust's totals and to the row buffer."""
        resent, self.transport.resent = self.transport.resent, 0
        self.buffer.resent += resent
        if not self._rows:
            return
        rows = _with_wall_times(bytes(self._rows))
        self._rows.clear()
        stats = self._environment.stats
        for name, method, of_entry in self._by_entry(rows):
            _count(stats.entries[(name, method)], of_entry)
            self.buffer.count_events(name, method, len(of_entry))
        _count(stats.total, rows)
        if self._records:
            self.buffer.extend(rows)

    def _by_entry(self, rows: PackedRows) -> Iterator[tuple[str, str, PackedRows]]:
        pairs = rows["name"].astype(np.uint64) << np.uint64(32) | rows["method"]
        single = bool((pairs == pairs[0]).all())
        for pair in pairs[:1] if single else np.unique(pairs):
            of_entry = rows if single else rows[pairs == pair]
            yield self.buffer.text(int(of_entry["name"][0])), self.buffer.text(int(of_entry["method"][0])), of_entry


def _with_wall_times(timed: bytes) -> PackedRows:
    """Return `pack_timed` rows in which the raw times are replaced by start (UTC ns) and latency (µs).

    Starts follow the process's anchored clock, so setting the wall clock does not change them. The kernel's stamps
    follow the wall clock. The wall clock and the clock of the raw times run at the same rate, so the difference between
    these two clocks is still the same as a second ago.
    """
    moments = np.frombuffer(timed, TIMED_TYPE)
    rows = np.empty(len(moments), ROW_TYPE)
    for name in COLUMNS:
        rows[name] = moments[name]
    arrived = arrivals(moments, wall_clock_ahead_ns(), sent=moments["start"], read=moments["latency_us"])
    rows["latency_us"] = (arrived - moments["start"] + 500) // 1000
    rows["start"] += process_clock().ahead_ns
    return rows


def _count(entry: StatsEntry, rows: PackedRows) -> None:
    """Add answered, successful requests to Locust's entry, as if each had been given to `StatsEntry.log`."""
    from locust import stats

    ends_s = (rows["start"] + rows["latency_us"] * 1000) // 1_000_000_000
    last_s = float(ends_s.max())
    if entry.use_response_times_cache and entry.last_request_timestamp and last_s > int(entry.last_request_timestamp):
        entry._cache_response_times(int(last_s) - 1)
    entry.num_requests += len(rows)
    entry.total_content_length += int(rows["bytes"].sum())
    entry.last_request_timestamp = max(entry.last_request_timestamp or 0.0, last_s)
    first_s = int(ends_s.min())
    for second, count in enumerate(np.bincount(ends_s - first_s).tolist(), start=first_s):
        if count:
            entry.num_reqs_per_sec[second] += count
    latency_us, counts = np.unique(rows["latency_us"], return_counts=True)
    entry.total_response_time += float(latency_us @ counts) / 1000  # type: ignore[assignment] # Locust declares int, but adds floats
    lowest_ms, highest_ms = latency_us[0] / 1000, latency_us[-1] / 1000
    entry.min_response_time = min(entry.min_response_time or lowest_ms, lowest_ms)
    entry.max_response_time = max(entry.max_response_time, highest_ms)
    for one_us, count in zip(latency_us.tolist(), counts.tolist(), strict=True):
        entry.response_times[stats.bucket_response_time(one_us / 1000)] += count
