"""Encode the rows of one worker and one flush as a frame. The spool is a sequence of frames.

A frame is 12 bytes of header (magic, payload length, CRC-32 of the payload; little-endian) and a msgpack map.
Each frame contains its own strings, so that frames can be appended, cut off and read independently. Locust's processes
import this module, so it needs only the standard library and msgpack.
"""

from __future__ import annotations

import os
import struct
import zlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from ..core.errors import RunFolderError
from .paths import open_file

MAGIC = b"LTF1"
HEADER = struct.Struct("<4sII")
MAX_PAYLOAD_BYTES = 256 * 1024 * 1024  # a larger length means damage: a second with 1 M requests/s has only 70 MB

OUTCOMES = (
    "ok",
    "http_error",
    "timeout",
    "connection",
    "check_failed",
    "unanswered",
    "generator",
    "wrong_answer",
)
"""The possible outcomes of a request; docs/terms.md defines each of them. A code is an index into this list, so new
outcomes must be appended at the end of the list."""

CENSORED = frozenset({"timeout", "unanswered"})
"""Outcomes whose latency is a lower bound ("≥"), because no answer had come."""

NOT_THE_SERVICE = frozenset({"generator"})
"""Outcomes that say nothing about the service. Such requests are marked and counted separately, and never count as
failures of the service."""

FAILED = frozenset(OUTCOMES) - {"ok"} - NOT_THE_SERVICE
"""Outcomes that count as failed in every rate, objective and verdict."""

COLUMNS: Mapping[str, str] = {
    "start": "q",  # UTC ns on the worker's clock, before the offset is applied
    "latency_us": "q",
    "late_us": "q",  # -1: a closed-loop user has no schedule, so it cannot be late
    "name": "I",  # an index into the frame's strings, like method, error and instance; 0 means none
    "method": "I",
    "status": "h",  # 0: no answer
    "outcome": "B",  # index into OUTCOMES
    "error": "I",
    "bytes": "q",
    "instance": "I",
    "instance_age_ms": "q",  # -1 if the service does not send this header
    "server_us": "q",  # -1 if the service does not send this header
    "side": "B",  # an index into SIDES; 0 in a run with one target
}
"""The columns of a frame, with the `array` type code of each."""

ABSENT: Mapping[str, int] = {"late_us": -1, "status": 0, "instance_age_ms": -1, "server_us": -1}
"""The number that represents an unknown value in a column that may be null."""

SIDES = ("", "a", "b")
"""The names of the two targets in a run against two targets (`lt ab`)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The rows of one worker, in the order in which they ended.

    Attributes:
        worker: the worker's name, unique in the run.
        seq: 0, 1, 2, … per worker; a gap is a lost frame.
        rows: the number of rows in the frame.
        rows_before: the number of rows in this worker's earlier frames, so that a gap shows how many rows were lost.
        begun: number of requests that this worker had begun when the frame was made, whether they had ended or not;
            None in runs of older versions, which did not count begun requests.
        strings: the strings to which the index columns refer; `strings[0]` is "" and means that there is no string.
        columns: one `array` per name in COLUMNS, each `rows` long.
    """

    worker: str
    seq: int
    rows: int
    rows_before: int
    strings: tuple[str, ...]
    columns: Mapping[str, array[int]]
    begun: int | None = None


def encode_frame(frame: Frame) -> bytes:
    """Return the frame as bytes, including its header."""
    payload = msgpack.packb(
        {
            "worker": frame.worker,
            "seq": frame.seq,
            "rows": frame.rows,
            "rows_before": frame.rows_before,
            "begun": frame.begun,
            "strings": list(frame.strings),
            "columns": {name: column.tobytes() for name, column in frame.columns.items()},
        },
        unicode_errors="replace",  # so that a row is not lost because the text of an error has lone surrogates
    )
    return HEADER.pack(MAGIC, len(payload), zlib.crc32(payload)) + bytes(payload)


def decode_frame(data: bytes) -> Frame:
    """Decode one frame, including its header.

    Raises:
        RunFolderError: `data` is not exactly one valid frame; the message says what is wrong with it.
    """
    if len(data) < HEADER.size:
        raise RunFolderError(f"a frame's header is {HEADER.size} bytes; there are only {len(data)}")
    magic, length, crc = HEADER.unpack_from(data)
    payload = data[HEADER.size :]
    if magic != MAGIC or length != len(payload) or zlib.crc32(payload) != crc:
        raise RunFolderError("a frame's magic, length or checksum does not fit its content")
    try:
        return _frame_of(msgpack.unpackb(payload))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RunFolderError(f"a frame's checksum is right but its content is not a frame: {error!r}") from error


def _frame_of(fields: dict[str, Any]) -> Frame:
    columns: dict[str, array[int]] = {}
    for name, code in COLUMNS.items():
        columns[name] = array(code)
        if name == "side" and name not in fields["columns"]:  # the frame is older than runs against two targets
            columns[name].frombytes(bytes(fields["rows"]))
        else:
            columns[name].frombytes(fields["columns"][name])
        if len(columns[name]) != fields["rows"]:
            raise ValueError(f"column {name} has {len(columns[name])} values for {fields['rows']} rows")
    strings = tuple(str(text) for text in fields["strings"])
    for name in ("name", "method", "error", "instance"):
        if columns[name] and max(columns[name]) >= len(strings):
            raise ValueError(f"column {name} points past the frame's {len(strings)} strings")
    if columns["outcome"] and max(columns["outcome"]) >= len(OUTCOMES):
        raise ValueError(f"an outcome code is not below {len(OUTCOMES)}")
    if columns["side"] and max(columns["side"]) >= len(SIDES):
        raise ValueError(f"a side is not below {len(SIDES)}")
    return Frame(
        worker=str(fields["worker"]),
        seq=int(fields["seq"]),
        rows=int(fields["rows"]),
        rows_before=int(fields["rows_before"]),
        strings=strings,
        columns=columns,
        begun=None if fields.get("begun") is None else int(fields["begun"]),
    )


@dataclass(slots=True)
class SpoolReader:
    """Iterate over the valid frames of a spool file from `offset` on, and stop at the first invalid frame.

    After the iteration, `offset` is the position where it stopped, and `stopped_why` is "" if the iteration ended at
    the end of the file. A file that is still being written may end in the middle of a frame. To continue later, iterate
    again. The reader keeps one frame in memory, and even if a header is damaged, it never reads more than the size of
    the file.
    """

    path: Path
    offset: int = 0
    stopped_why: str = ""

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the end of the file or the first invalid byte.

        Raises:
            FileNotFoundError: there is no such file.
            RunFolderError: the file cannot be read.
        """
        self.stopped_why = ""
        try:
            yield from self._frames()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise RunFolderError(f"{self.path} cannot be read: {error.strerror}.") from error

    def _frames(self) -> Iterator[Frame]:
        with open_file(self.path) as file:
            file.seek(self.offset)
            while True:
                header = file.read(HEADER.size)
                if not header:
                    return
                if len(header) < HEADER.size:
                    self.stopped_why = f"half a frame header at byte {self.offset}"
                    return
                magic, length, _crc = HEADER.unpack(header)
                if magic != MAGIC or length > MAX_PAYLOAD_BYTES:
                    self.stopped_why = f"no frame at byte {self.offset}"
                    return
                # The length is checked before reading, because a read allocates memory for the claimed length, and four
                # flipped bits could make this 256 MB.
                there = os.fstat(file.fileno()).st_size - self.offset - HEADER.size
                payload = file.read(length) if length <= there else b""
                if len(payload) < length:
                    self.stopped_why = f"half a frame at byte {self.offset}"
                    return
                try:
                    frame = decode_frame(header + payload)
                except RunFolderError as error:
                    self.stopped_why = f"damaged frame at byte {self.offset}: {error}"
                    return
                self.offset += HEADER.size + length
                yield frame
