"""Append to `load.csv` and read it. The file has one line per second and worker, with the state of the worker."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from ..core.errors import RunFolderError
from .paths import FILE_MODE, MAX_TEXT_BYTES, open_file

LOAD_COLUMNS = (
    "time_s",  # UTC, in s since 1970
    "worker",
    "planned_users",  # number for the whole fleet: the lines of all workers for one second have the same value
    "users",  # users that run on this worker
    "in_flight",  # requests of this worker that wait for an answer
    "oldest_s",  # how long the oldest of these requests has waited
    "cpu_ratio",  # share of one core used by this worker's process
    "loop_lag_ms",  # longest delay of the worker's event loop in this second
    "machine_cpu_ratio",  # share of the CPU of this worker's machine that all processes used
    "machine_steal_ratio",  # share of CPU time that the hypervisor gave to other machines
    "memory_pressure_ratio",  # share of the second in which at least one process waited for memory
    "refused",  # open-loop arrivals in this second that were dropped, because too many requests were in flight
    "connects_repeated",  # connections of this worker's machine whose first packet was sent again in this second
    "own_code_ms",  # `loop_lag_ms` if a listener of the scenario caused it; else 0
)

MAX_LINE_BYTES = 64 * 1024
"""A line has some 100 bytes. A longer line means that the file is damaged; such a line is skipped without being read
into memory."""


def append_lines(path: Path, lines: Sequence[Mapping[str, object]]) -> None:
    """Append lines, with the header if the file is new."""
    text = io.StringIO()
    writer = csv.DictWriter(text, LOAD_COLUMNS, lineterminator="\n")
    if not path.exists():
        path.touch(FILE_MODE)
        writer.writeheader()
    writer.writerows(lines)
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text.getvalue())


class CsvReader:
    """Iterate over the complete lines of a CSV file with a header, as dictionaries.

    `skipped` counts the lines that are left out. A line is skipped if a kill cut it short, if it has more cells than
    the header, or if its bytes are not text.
    """

    def __init__(self, path: Path, *, needs: tuple[str, ...]) -> None:
        self.path = path
        self.needs = needs
        self.skipped = 0

    def __iter__(self) -> Iterator[dict[str, str]]:
        """Yield one dictionary per line.

        Raises:
            FileNotFoundError: there is no such file.
            RunFolderError: the file is not a regular file, cannot be read, or does not have the required columns.
        """
        try:
            with open_file(self.path, limit=MAX_TEXT_BYTES) as file:
                rows = self._rows(_texts(file))
                header = next(rows, [])
                if missing := [name for name in self.needs if name not in header]:
                    raise RunFolderError(
                        f"{self.path} has no column {missing[0]!r}: an older version wrote the file, or it is damaged."
                    )
                for row in rows:
                    if len(row) == len(header):
                        yield dict(zip(header, row, strict=True))
                    elif row:
                        self.skipped += 1
        except FileNotFoundError:
            raise
        except OSError as error:
            raise RunFolderError(f"{self.path} cannot be read: {error.strerror}.") from error

    def _rows(self, texts: Iterator[str]) -> Iterator[list[str]]:
        rows = csv.reader(texts)
        while True:
            try:
                yield next(rows)
            except csv.Error:
                self.skipped += 1
            except StopIteration:
                return


def _texts(file: IO[bytes]) -> Iterator[str]:
    readline = file.readline
    while line := readline(MAX_LINE_BYTES):
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            line = b"\0,\0\n"
        yield line.decode("utf-8", errors="replace")


def load_lines(path: Path) -> CsvReader:
    """Return the reader of `load.csv`. All values are text; an unknown value is empty."""
    return CsvReader(path, needs=("time_s", "worker"))
