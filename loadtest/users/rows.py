"""Feed users the rows of a data file: `customers = rows("customers.parquet", order="once")`, then `next(customers)`."""

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
"""Rows that `shuffle` draws from at a time: a longer file is shuffled within a window that moves through it."""


class RowsExhausted(StopUser):
    """Raised when every row of a file with `order="once"` has been given out; it ends the user."""


def rows(path: str | Path, order: Order = "shuffle", columns: Sequence[str] | None = None, seed: int = 1) -> Rows:
    """Return the rows of a data file for the users of this process; `next()` gives one as a dict.

    The file is read forward, a few rows at a time, and never held whole. With several workers, `shuffle` draws a
    different order in each; `sequential` begins in each at another place.

    Args:
        path: .parquet, .csv, .tsv or .jsonl; a relative one is looked for in the working folder, then beside the
            scenario.
        order: `shuffle` and `sequential` begin again at the end; `once` gives each row to exactly one user of all
            workers, and ends the users and the run when there are no more.
        columns: those to keep; None keeps all.
        seed: of `shuffle`.

    Raises:
        DataFileError: the file is not there, is empty, or cannot be read.
    """
    if order not in ("shuffle", "sequential", "once"):
        raise DataFileError(f'rows("{path}", order="{order}"): give shuffle, sequential or once.')
    found = _found(Path(path))
    kept = tuple(columns) if columns is not None else None
    if next(batches(found, kept), None) is None:  # said when the scenario is loaded, not in a task
        raise DataFileError(f'rows("{path}"): the file has no rows.')
    if order == "once":
        HUB.share(found)
    return Rows(found, order, kept, seed)


class Rows:
    """An iterator over a file's rows that the users of one process share. Made by `rows`."""

    def __init__(self, path: Path, order: Order, columns: tuple[str, ...] | None, seed: int) -> None:
        self.path, self.order, self.columns, self.seed = path, order, columns, seed
        self._rows: Iterator[Row] | None = None
        self._one_at_a_time = Semaphore()  # the master's answer is waited for in the middle of the iteration

    def __iter__(self) -> Rows:
        """Return itself."""
        return self

    def __next__(self) -> Row:
        """Return the next row; in a run against two targets the n-th of a user is that of its twin too.

        Raises:
            RowsExhausted: with `once`, none is left: Locust ends the user.
            DataFileError: the file cannot be read further, or the master has another file.
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
        """Yield the rows in order, over and over; worker n begins n golden sections of the file on."""
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
    """Return an absolute path; a relative one as Python would look for it: here, then where modules are found."""
    for folder in (Path(), *(Path(each) for each in sys.path if each)):
        if (folder / path).is_file():
            return (folder / path).resolve()
    return path
