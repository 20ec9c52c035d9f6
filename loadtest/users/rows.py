"""Give users the rows of a data file: `customers = rows("customers.parquet", order="once")`, then `next(customers)`."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

from gevent.lock import Semaphore
from locust.exception import StopUser

from ..core.data_files import DataFileError, Row, batches, count_rows
from .row_blocks import HUB
from .sides import current_twin

Order = Literal["shuffle", "sequential", "once"]

SHUFFLED_ROWS = 16_384
"""Number of rows among which `shuffle` draws. A longer file is shuffled within a window that moves through the file."""


class RowsExhausted(StopUser):
    """Every row of a file with `order="once"` has been given out. The error ends the user."""


def rows(path: str | Path, order: Order = "shuffle", columns: Sequence[str] | None = None, seed: int = 1) -> Rows:
    """Return the rows of a data file for the users of this process. `next()` returns a row as a dict.

    The file is read in order, a few rows at a time, and is never completely in memory. With several workers, `shuffle`
    draws a different order in each, and `sequential` begins at a different position in each.

    Args:
        path: .parquet, .csv, .tsv or .jsonl. A relative path is looked up in the working folder, then in the scenario's
            folder.
        order: `shuffle` and `sequential` begin again at the end; `once` gives each row to exactly one user of all
            workers, and ends the users and the run when there are no more rows.
        columns: the columns to keep; None keeps all.
        seed: the seed of `shuffle`.

    Raises:
        DataFileError: the file does not exist, is empty, or cannot be read.
    """
    if order not in ("shuffle", "sequential", "once"):
        raise DataFileError(f'rows("{path}", order="{order}"): give shuffle, sequential or once.')
    found = _found(Path(path))
    kept = tuple(columns) if columns is not None else None
    # so that the error is reported when the scenario is loaded and not in a task
    if next(batches(found, kept), None) is None:
        raise DataFileError(f'rows("{path}"): the file has no rows.')
    if order == "once":
        HUB.share(found)
    return Rows(found, order, kept, seed)


class Rows:
    """An iterator over a file's rows that all users of one process share. `rows` creates it."""

    def __init__(self, path: Path, order: Order, columns: tuple[str, ...] | None, seed: int) -> None:
        self.path, self.order, self.columns, self.seed = path, order, columns, seed
        self._rows: Iterator[Row] | None = None
        self._one_at_a_time = Semaphore()  # the iteration waits here for the master's answer

    def __iter__(self) -> Rows:
        """Return itself."""
        return self

    def __next__(self) -> Row:
        """Return the next row. In a run against two targets, a user and its twin get the same n-th row.

        Raises:
            RowsExhausted: with `once`, if no row is left; Locust then ends the user.
            DataFileError: the rest of the file cannot be read, or the master has a different file.
        """
        twin = current_twin()
        return self._next() if twin is None else twin.pair.draw(self, twin.side, self._next)

    def _next(self) -> Row:
        with self._one_at_a_time:
            if self._rows is None:
                orders = {"shuffle": self._shuffled, "sequential": self._sequential, "once": self._once}
                self._rows = orders[self.order]()
            try:
                return next(self._rows)
            except StopIteration:
                raise RowsExhausted from None

    def _all(self) -> Iterator[Row]:
        return (row for batch in batches(self.path, self.columns) for row in batch)

    def _sequential(self) -> Iterator[Row]:
        """Yield the rows in order, again and again.

        Worker n begins at the fraction n × 0.618 (modulo 1) of the file, so that workers begin at places that are far
        apart.
        """
        begin = int(count_rows(self.path) * (HUB.worker_index * 0.618034 % 1))
        yield from islice(self._all(), begin, None)
        while True:
            yield from self._all()

    def _shuffled(self) -> Iterator[Row]:
        draw = random.Random(f"{self.seed}/{HUB.worker_index}")
        source = self._sequential()
        window = list(islice(source, min(SHUFFLED_ROWS, count_rows(self.path))))
        while True:
            place = draw.randrange(len(window))
            yield window[place]
            window[place] = next(source)

    def _once(self) -> Iterator[Row]:
        source, at = self._all(), 0
        while True:
            begin, end = HUB.block(self.path)
            if begin == end:
                return
            for row in islice(source, begin - at, end - at):
                HUB.used(self.path)
                yield row
            at = end


def _found(path: Path) -> Path:
    """Return an absolute path.

    A relative path is looked up in the same way as by Python: in the working folder, then in the folders of modules.
    """
    for folder in (Path(), *(Path(each) for each in sys.path if each)):
        if (folder / path).is_file():
            return (folder / path).resolve()
    return path
