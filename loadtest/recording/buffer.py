"""Collect one worker's rows until they are taken as a frame."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Hashable
from typing import Any, Protocol

import numpy as np
import numpy.ma  # otherwise the first call of np.unique imports it, which blocks the measuring loop for 70 ms
import numpy.typing as npt

from .frames import COLUMNS, Frame, encode_frame

MAX_NAMES, MAX_ERRORS, MAX_INSTANCES = 2_000, 1_000, 20_000
"""Number of distinct values that one process keeps. Further values are recorded as OTHER, and counted."""

MAX_TEXT_CHARS = 500

MAX_EVENT_KEYS = 20_000

OTHER = "(other)"

TEXT_COLUMNS = ("name", "method", "error", "instance")

_ROW = struct.Struct("<" + "".join(COLUMNS.values()))

pack_row = _ROW.pack
"""Returns one row as bytes, with the values of COLUMNS in order. Packing takes 0.24 µs; one `array` per column would
take 0.77 µs."""

ROW_TYPE = np.dtype([(name, np.dtype(code).newbyteorder("<")) for name, code in COLUMNS.items()])
"""The same row as a numpy type. Packed rows can be read as an array of this type."""

PackedRows = npt.NDArray[Any]

MAX_UNJUDGED = 100_000
"""The maximum number of answers that may wait for their `with` block. If there are more, the oldest is recorded, and
its status decides the outcome."""


class OpenRequest(Hashable, Protocol):
    """A request that was begun and has no row yet.

    The client keeps this object. The object is compared and hashed by identity.

    Attributes:
        started_ns: when the request was begun (`time.perf_counter_ns()`).
    """

    started_ns: int

    def close(self) -> None:
        """Append the request's row now: `unanswered` with its age if no answer has come, else according to its answer.

        This method is called once, when the user or the run has ended and the buffer has forgotten the request.
        """


class RowBuffer:
    """The rows since the last flush.

    There is one buffer per Locust process: greenlets append, and one flusher takes the rows.

    A client calls these methods for every request, so that each request gets a row (0.2 µs per request in all):

        buffer.begin(request)                # before anything is sent: counts the request; it is now in flight
        …
        if buffer.end(request):              # the request has ended: append its row (or `extend`, in bulk, later)
            buffer.add(…)                    # False: the run has ended, and the request already has a row, `unanswered`

    If the scenario will check the answer in a `with` block, call `answered(request)` when the answer has come, because
    the request is then no longer in flight. If the request's greenlet is interrupted (BaseException), call `end`, and
    append a row with the outcome `timeout` for a `gevent.Timeout`, else `unanswered`. `close_open` closes the requests
    that are still open at the end of the run.

    Strings are stored once per process, and rows contain their index, which `name_id` and similar methods return. A
    frame contains only the strings that its own rows use.

    Attributes:
        worker: the worker's name.
        begun: requests begun so far.
        open: requests that wait for an answer, the oldest first.
        unjudged: requests whose answer has come but has not been checked by the scenario yet.
        resent: how often FastUser or FastHttpUser has sent a request again, because the server had closed the
            connection.
        refused: number of open-loop arrivals since the last report that were dropped, because too many requests were in
            flight.
        events: requests reported to Locust, counted by the (name, method) of the report; at most MAX_EVENT_KEYS pairs.
        others: number of rows in which the name, error or instance is recorded as OTHER, by kind.
        before_take: called at the beginning of every `take`, to collect rows that are kept elsewhere.
    """

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self.seq = 0
        self.rows_sent = 0
        self.begun = 0
        self.open: dict[OpenRequest, None] = {}
        self.unjudged: dict[OpenRequest, None] = {}
        self.refused = 0
        self.resent = 0
        self.before_take: Callable[[], object] | None = None
        self.events: dict[tuple[str, str], int] = {}
        self.others: dict[str, int] = {}
        self._room = {"names": MAX_NAMES, "errors": MAX_ERRORS, "instances": MAX_INSTANCES}
        self._strings = [""]
        self._ids = {"": 0}
        self._rows = bytearray()
        self._begun_reported = 0

    def __len__(self) -> int:
        return len(self._rows) // _ROW.size

    def begin(self, request: OpenRequest) -> None:
        """Count a request, and register it as in flight."""
        self.begun += 1
        self.open[request] = None

    def answered(self, request: OpenRequest) -> None:
        """Record that the answer has come. The row is appended when the scenario has checked the answer."""
        if self.open.pop(request, 0) is None:
            self.unjudged[request] = None
            if len(self.unjudged) > MAX_UNJUDGED:
                oldest = next(iter(self.unjudged))
                del self.unjudged[oldest]
                oldest.close()

    def end(self, request: OpenRequest) -> bool:
        """Forget the request; the caller then appends its row.

        Return False if the request already has a row because the run has ended.
        """
        return self.open.pop(request, 0) is None or self.unjudged.pop(request, 0) is None

    def count_events(self, name: str, method: str, count: int = 1) -> None:
        """Count requests reported to Locust's totals.

        Each of these requests has its row in this buffer or is recorded as refused.
        """
        key = (name, method)
        if key not in self.events and len(self.events) >= MAX_EVENT_KEYS:
            key = (OTHER, "")
        self.events[key] = self.events.get(key, 0) + count

    def cancel(self, request: OpenRequest) -> None:
        """Undo `begin` for a request that its client refused to send."""
        if self.end(request):
            self.begun -= 1

    def close_open(self) -> int:
        """At the end of the run, append the rows of all requests that have no row yet. Return how many."""
        left = [*self.unjudged, *self.open]
        self.unjudged.clear()
        self.open.clear()
        for request in left:
            request.close()
        return len(left)

    @property
    def in_flight(self) -> int:
        """The number of requests that currently wait for an answer."""
        return len(self.open)

    def oldest_s(self, now_ns: int) -> float:
        """Return how long the oldest request in flight has waited at `now_ns` (`time.perf_counter_ns()`), else 0."""
        oldest = next(iter(self.open), None)
        return 0.0 if oldest is None else max(0.0, (now_ns - oldest.started_ns) / 1e9)

    def name_id(self, text: str) -> int:
        """Return the index of an endpoint's name, or of a method, in this buffer's strings; 0 for ""."""
        return self._ids.get(text) or self._new(text, "names")

    def error_id(self, text: str) -> int:
        """Return the index of an error's text; 0 for ""."""
        return self._ids.get(text) or self._new(text, "errors")

    def instance_id(self, text: str) -> int:
        """Return the index of an instance's id; 0 for ""."""
        return self._ids.get(text) or self._new(text, "instances")

    def _new(self, text: str, kind: str) -> int:
        text = text[:MAX_TEXT_CHARS]
        if not text.isprintable():  # matches control characters, and surrogates, which cannot be written to a file
            text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
        index = self._ids.get(text)
        if index is not None:
            return index
        if not self._room[kind]:
            self.others[kind] = self.others.get(kind, 0) + 1
            return self._ids.get(OTHER) or self._keep(OTHER)
        self._room[kind] -= 1
        return self._keep(text)

    def _keep(self, text: str) -> int:
        self._strings.append(text)
        self._ids[text] = len(self._strings) - 1
        return self._ids[text]

    def text(self, index: int) -> str:
        """Return the string with this index."""
        return self._strings[index]

    def add(self, **row: int) -> None:
        """Append one row: a value for each of COLUMNS. Without a `side`, the row belongs to a run with one target."""
        row.setdefault("side", 0)
        self._rows += pack_row(*[row[name] for name in COLUMNS])

    def extend(self, rows: PackedRows) -> None:
        """Append rows of ROW_TYPE whose texts are in this buffer."""
        self._rows += rows.tobytes()

    def take(self) -> bytes | None:
        """Return the rows since the last call as an encoded frame; None if nothing has happened since then.

        A frame without rows reports that requests have begun, so that a service that does not answer at all can be
        noticed.
        """
        if self.before_take is not None:
            self.before_take()
        if not self._rows and self.begun == self._begun_reported:
            return None
        self._begun_reported = self.begun
        packed, self._rows = self._rows, bytearray()
        rows = np.frombuffer(packed, ROW_TYPE)
        is_used = np.zeros(len(self._strings), bool)
        is_used[0] = True
        for name in TEXT_COLUMNS:
            is_used[rows[name]] = True
        used = np.flatnonzero(is_used)
        place = np.cumsum(is_used, dtype=np.uint32) - 1
        columns = {}
        for name, code in COLUMNS.items():
            values = place[rows[name]] if name in TEXT_COLUMNS else rows[name]
            columns[name] = array(code)
            columns[name].frombytes(values.tobytes())
        frame = Frame(
            worker=self.worker,
            seq=self.seq,
            rows=len(rows),
            rows_before=self.rows_sent,
            strings=tuple(self._strings[index] for index in used),
            columns=columns,
            begun=self.begun,
        )
        self.seq += 1
        self.rows_sent += len(rows)
        return encode_frame(frame)


RECORDED_KEY = "lt_recorded"
"""Marks a request event's context: the row is already in the buffer."""

_ATTRIBUTE = "lt_row_buffer"


def attach(environment: object, buffer: RowBuffer) -> None:
    """Set the buffer to which clients of this environment append."""
    setattr(environment, _ATTRIBUTE, buffer)


def buffer_of(environment: object) -> RowBuffer | None:
    """Return the environment's buffer, or None if there is no recorder (plain `locust`)."""
    buffer: RowBuffer | None = getattr(environment, _ATTRIBUTE, None)
    return buffer
