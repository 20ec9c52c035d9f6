"""Collect one worker's rows in arrays until they are taken as a frame."""

from __future__ import annotations

from array import array

from recording.frames import COLUMNS, Frame, encode_frame

MAX_STRINGS = 65_536
"""Distinct names, errors and instances kept apart by one process; what comes after is recorded as OTHER."""

OTHER = "(other)"


class RowBuffer:
    """Rows since the last flush. One per Locust process; greenlets append, one flusher takes.

    Strings are kept once for the life of the process and rows hold their index: `text_id` gives it. A frame
    carries only the strings its own rows use.
    """

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self.seq = 0
        self.rows_sent = 0
        self._strings = [""]
        self._ids = {"": 0}
        self._columns = {name: array(code) for name, code in COLUMNS.items()}
        self._appends = tuple(column.append for column in self._columns.values())

    def __len__(self) -> int:
        return len(self._columns["start"])

    def text_id(self, text: str) -> int:
        """Return the index of `text` in this buffer's strings; 0 for ""."""
        index = self._ids.get(text)
        if index is None:
            if len(self._strings) >= MAX_STRINGS:
                return self._ids.setdefault(OTHER, 0) or self._keep(OTHER)
            index = self._keep(text)
        return index

    def _keep(self, text: str) -> int:
        self._strings.append(text)
        self._ids[text] = len(self._strings) - 1
        return self._ids[text]

    def add(self, *row: int) -> None:
        """Append one row: the values of COLUMNS in their order."""
        for append, value in zip(self._appends, row, strict=True):
            append(value)

    def take(self) -> bytes | None:
        """Return the rows since the last call as an encoded frame, or None when there are none."""
        rows = len(self)
        if not rows:
            return None
        columns, self._columns = self._columns, {name: array(code) for name, code in COLUMNS.items()}
        self._appends = tuple(column.append for column in self._columns.values())
        used = {0}
        for name in ("name", "method", "error", "instance"):
            used.update(columns[name])
        order = sorted(used)
        place = {index: at for at, index in enumerate(order)}
        for name in ("name", "method", "error", "instance"):
            columns[name] = array("I", map(place.__getitem__, columns[name]))
        frame = Frame(
            worker=self.worker,
            seq=self.seq,
            rows=rows,
            rows_before=self.rows_sent,
            strings=tuple(self._strings[index] for index in order),
            columns=columns,
        )
        self.seq += 1
        self.rows_sent += rows
        return encode_frame(frame)
