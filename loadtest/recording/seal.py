"""Convert the spool of a run to its rows, and check later that they are still the sealed rows."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..core.errors import RunFolderError
from .frames import Frame, SpoolReader
from .paths import FILE_MODE, RunPaths, is_there, open_file, replace_text, replacing, require_file
from .readers import ROW_GROUP_ROWS, count_rows
from .run import Outcome, Run, SealedFile, WorkerRecord

if TYPE_CHECKING:  # slow to import, and needed only by the readers of rows
    import pyarrow as pa

UNHEARD_FLUSHES = 7
"""If the master has ended and the time at which a worker ended is unknown, this many frames of the worker count as
lost. Such a worker sends load for 5 s after the last message from the master (`SILENCE_S` in recorder/messages.py), and
flushes once a second."""

WAITING_FRAMES = 4096
"""The maximum number of frames that are kept in memory before their rows are written. A frame takes some 10 kB besides
its rows, so a limit is also needed for long runs with few requests."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """The result of sealing a spool.

    Attributes:
        rows: the number of rows written to `requests.parquet`.
        stopped_why: "" if the whole spool was valid, else where and why reading stopped.
        file: the data that identifies the rows' file.
        workers: the content of the spool per worker; empty if there was nothing to seal.
    """

    rows: int
    stopped_why: str
    file: SealedFile | None = None
    workers: dict[str, SpooledRows] = field(default_factory=dict)

    def doubts(self, run: Run) -> list[str]:
        """Return why the sealed rows may differ from those that the record counted, as sentences without a full stop.

        If the master was killed, or a worker was lost, there may be more rows than the record counted.
        """
        found, counted = [], rows_counted(run)
        final = bool(run.workers) and all(worker.rows_sent is not None for worker in run.workers)
        if self.rows < counted or (final and self.rows > counted):
            found.append(f"{self.rows:,} rows could be read, but the run's record counts {counted:,}")
        if self.stopped_why:
            found.append(f"the spool is valid up to row {self.rows}: {self.stopped_why}")
        return found


@dataclass(slots=True)
class SpooledRows:
    """The content of a spool for one worker.

    Attributes:
        rows: number of rows in the worker's frames.
        gap_rows: number of rows in missing frames between existing frames, according to the worker's own count.
        densest: number of rows in the worker's largest frame, or the largest number of requests begun from one frame to
            the next, whichever is larger.
        last_ns: when the request of the worker's last row began, in UTC ns by the worker's clock; 0 if there are no
            rows.
        begun: number of requests that the worker had begun when it sent the last frame; None if the worker did not
            count begun requests.
    """

    rows: int = 0
    gap_rows: int = 0
    densest: int = 0
    last_ns: int = 0
    begun: int | None = None

    def add(self, frame: Frame) -> None:
        """Count one frame, in the order of the spool."""
        self.gap_rows = max(self.gap_rows, frame.rows_before - self.rows)
        self.rows += frame.rows
        self.densest = max(self.densest, frame.rows, (frame.begun or 0) - (self.begun or 0))
        if frame.rows:
            self.last_ns = max(self.last_ns, *frame.columns["start"])
        if frame.begun is not None:
            self.begun = max(self.begun or 0, frame.begun)


def seal(paths: RunPaths, run: Run, *, keep_spool: bool = False) -> Sealed:
    """Write `requests.parquet` and `failures.csv` from the spool, and then remove the spool if all of it was valid.

    A spool with an invalid part is kept, together with the rows that could be read. If the run is already sealed, this
    does nothing. Existing rows are never overwritten, and no empty file is written if the run counts rows.

    Raises:
        RunFolderError: the rows are missing or cannot be written.
    """
    import pyarrow.parquet as pq

    from .failures import Failures
    from .rows import SCHEMA

    if is_there(paths.rows):
        return Sealed(rows=count_rows(paths) or 0, stopped_why="", file=run.sealed)
    _require_spool(paths, run)
    reader, failures, workers = SpoolReader(paths.spool), Failures(), dict[str, SpooledRows]()
    count = 0
    with replacing(paths.rows) as new:
        # Without page checksums, a flipped bit inside a page would become a wrong number.
        with pq.ParquetWriter(new, SCHEMA, compression="zstd", write_page_checksum=True) as writer:
            for table in _spooled(reader, run, workers):
                failures.add(table)
                writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
                count += table.num_rows
        new.chmod(FILE_MODE)
        # another command has sealed the run and removed the spool
        if not is_there(paths.spool) and is_there(paths.rows):
            return Sealed(rows=count_rows(paths) or 0, stopped_why="")
        replace_text(paths.failures, failures.csv(run.failed_bodies))
        new.replace(paths.rows)
        file = fingerprint(paths)
    if not reader.stopped_why and not keep_spool:
        paths.spool.unlink(missing_ok=True)
    return Sealed(rows=count, stopped_why=reader.stopped_why, file=file, workers=workers)


def _require_spool(paths: RunPaths, run: Run) -> None:
    """Raise an error if the run has lost its rows: its record counts rows, but there are neither rows nor a spool."""
    counted = rows_counted(run)
    if (run.sealed is not None or counted) and not is_there(paths.spool):
        raise RunFolderError(
            f"{paths.path} has no {paths.rows.name}, though its record counts {counted:,} rows: it was deleted or "
            "moved. Put the file back; nothing was written in its place."
        )


def rows_counted(run: Run) -> int:
    """Return how many rows the record counts: the sealed rows, or the rows in the workers' frames if there are none."""
    return run.sealed.rows if run.sealed is not None else sum(worker.rows_received for worker in run.workers)


def fingerprint(paths: RunPaths) -> SealedFile:
    """Return the data that identifies the sealed file.

    Raises:
        RunFolderError: the sealed file cannot be read.
    """
    digest = hashlib.sha256()
    with open_file(paths.rows) as file:
        size = os.fstat(file.fileno()).st_size
        while piece := file.read(1 << 20):
            digest.update(piece)
    return SealedFile(rows=count_rows(paths) or 0, bytes=size, sha256=digest.hexdigest())


def difference(paths: RunPaths, run: Run) -> str:
    """Return how the file of the rows differs from the record, as a sentence without a full stop; "" if it does not.

    The record of an older run has no fingerprint of the file. Then only the number of rows is compared, and only if no
    row was missing.

    Raises:
        RunFolderError: the file cannot be read.
    """
    name, there = paths.rows.name, count_rows(paths) or 0
    counted = rows_counted(run)
    if (run.sealed is not None or (counted and run.outcome is Outcome.COMPLETE)) and there != counted:
        return f"{name} has {there:,} rows, but the run's record counts {counted:,}: it was changed or replaced"
    if run.sealed is None:
        return ""
    if require_file(paths.rows) != run.sealed.bytes or fingerprint(paths).sha256 != run.sealed.sha256:
        return f"{name} is not the file that was sealed when the run ended: it was changed or replaced"
    return ""


def recount(run: Run, workers: dict[str, SpooledRows], in_flight: dict[str, int]) -> None:
    """Correct a record whose writer was killed: the number of rows that each worker sent, and how many may be missing.

    This upper bound includes the rows that are known to be missing. If a worker did not report its count, the bound
    also includes the requests that it had in flight at its last report, and the rows of one frame for every second from
    its last row to the end of the run (at least UNHEARD_FLUSHES frames). Each of these frames is assumed to be as large
    as the worker's largest frame.

    Args:
        run: the record, changed in place.
        workers: the content of the spool per worker.
        in_flight: requests, or users, of each worker in its last line of `load.csv`.
    """
    known = {worker.name: worker for worker in run.workers}
    for name, spooled in workers.items():
        worker = known.get(name)
        if worker is None:
            worker = WorkerRecord(name=name)
            run.workers.append(worker)
        worker.rows_received = spooled.rows
        worker.begun = spooled.begun if worker.begun is None else max(worker.begun, spooled.begun or 0)
    for worker in run.workers:
        spooled = workers.get(worker.name, SpooledRows())
        if worker.rows_sent is not None:
            worker.rows_missing_at_most = max(0, worker.rows_sent - spooled.rows)
        else:
            unseen = _unheard_flushes(run, worker, spooled) * spooled.densest + in_flight.get(worker.name, 0)
            worker.rows_missing_at_most = max(spooled.gap_rows + unseen, (worker.begun or 0) - spooled.rows)


def _unheard_flushes(run: Run, worker: WorkerRecord, spooled: SpooledRows) -> int:
    """Return how many frames of a worker may have been lost since its last row."""
    if run.end is None or not spooled.last_ns:
        return UNHEARD_FLUSHES
    last_s = spooled.last_ns / 1e9 + (worker.clock_offset_us or 0.0) / 1e6
    return max(UNHEARD_FLUSHES, math.ceil(run.end.timestamp() - last_s) + 2)


def _spooled(reader: SpoolReader, run: Run, workers: dict[str, SpooledRows]) -> Iterator[pa.Table]:
    """Yield the spool's valid rows, with corrected clocks, in tables of about ROW_GROUP_ROWS; none without a spool.

    Raises:
        RunFolderError: the spool cannot be read.
    """
    import pyarrow as pa

    from .rows import SCHEMA, rows_of

    offsets = {worker.name: worker.clock_offset_us or 0.0 for worker in run.workers}
    waiting: list[pa.RecordBatch] = []
    rows = 0
    try:
        for frame in reader:
            workers.setdefault(frame.worker, SpooledRows()).add(frame)
            waiting.append(rows_of(frame, clock_offset_us=offsets.get(frame.worker, 0.0)))
            rows += frame.rows
            if rows >= ROW_GROUP_ROWS or len(waiting) >= WAITING_FRAMES:
                yield pa.Table.from_batches(waiting, SCHEMA).unify_dictionaries()
                waiting.clear()
                rows = 0
    except FileNotFoundError:
        return
    if waiting:
        yield pa.Table.from_batches(waiting, SCHEMA).unify_dictionaries()
