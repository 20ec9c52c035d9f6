"""Open one run folder: its record, its rows and its other files."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ..core.errors import FormatVersionError, RunFolderError
from . import readers
from .digest import CHANGED, KEY, digest_of, with_digest
from .load_lines import LOAD_COLUMNS, append_lines, load_lines
from .paths import (
    FOLDER_MODE,
    FORMAT_VERSION,
    MAX_RECORD_BYTES,
    RunPaths,
    is_there,
    open_file,
    replace_text,
    replacing,
    unwritable,
)
from .run import Outcome, Run
from .seal import Sealed, difference, recount, seal

if TYPE_CHECKING:  # slow to import, and needed only by the readers of rows
    import pandas as pd
    import pyarrow as pa

RESERVE_BYTES = 64 * 1024
"""Space that is reserved while a run is recorded, so that `run.json` can still be written when the disk is full."""


class RunFolder(RunPaths):
    """One run on disk. Creating this object reads no files.

    Attributes:
        share: the share of the run's users whose rows this object returns: 1, except for one side of a run against two
            targets.
        only_revision: the revision whose cloud series belong into this folder; None for all of the service.
    """

    share: float = 1.0
    only_revision: str | None = None

    @classmethod
    def create(cls, runs: Path, run: Run) -> RunFolder:
        """Make the folder `runs/<run.id>` with its `run.json`.

        Raises:
            RunFolderError: the folder exists already or cannot be written. No new folder is left.
        """
        folder = cls(runs / run.id)
        try:
            runs.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise RunFolderError(f"{runs} is a file, not a folder: choose another with --runs DIR.") from None
        except OSError as error:
            raise unwritable(runs, error) from error
        try:
            folder.path.mkdir(FOLDER_MODE)
        except FileExistsError:
            raise RunFolderError(
                f"{folder.path} already exists; nothing was overwritten. Start the run again."
            ) from None
        except OSError as error:
            raise unwritable(folder.path, error) from error
        try:
            folder.write_run(run)
        except BaseException:
            folder.discard()
            raise
        return folder

    def discard(self) -> None:
        """Remove a folder that contains only its record, because the run will not be recorded."""
        with suppress(OSError):
            self.record.unlink(missing_ok=True)
            self.path.rmdir()

    def read_run(self) -> Run:
        """Return the record in `run.json`.

        If a run is `running` but its process has ended, the outcome is returned as `interrupted`. If the record was
        changed, it is returned as `degraded`.

        Raises:
            FormatVersionError: another version of the format was used.
            RunFolderError: the record is missing or unreadable, or is not a run's record.
        """
        try:
            with open_file(self.record, limit=MAX_RECORD_BYTES) as file:
                fields = json.loads(file.read().decode("utf-8"))
            version = fields["format"]
        except FileNotFoundError:
            raise RunFolderError(f"{self.path} is not a run folder: it has no {self.record.name}.") from None
        except OSError as error:
            raise RunFolderError(f"{self.record} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._no_record(f"it is not a run's record ({error!r})") from error
        if version != FORMAT_VERSION:
            raise FormatVersionError(
                f"{self.path} is written in run folder format {version!r}; this version reads format {FORMAT_VERSION}. "
                "Read it with the version that wrote it (`versions.lt` in its run.json)."
            )
        digest = fields.pop(KEY, None)  # a record that another program wrote has no digest
        try:
            run = Run.model_validate(fields)
        except (ValidationError, RecursionError) as error:
            first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "nested too deeply"}
            where = ".".join(str(part) for part in first["loc"])
            raise self._no_record(f"`{where}`: {first['msg']}") from error
        if run.outcome is Outcome.RUNNING and not _alive(run):
            run.outcome = Outcome.INTERRUPTED
            run.reasons.append("the process that recorded the run ended without closing the run")
        if digest not in (None, digest_of(fields)):
            run.outcome = Outcome.DEGRADED if run.outcome is Outcome.COMPLETE else run.outcome
            run.reasons.append(CHANGED)
        return run

    def _no_record(self, why: str) -> RunFolderError:
        return RunFolderError(
            f"{self.record}: {why}. The rows in the same folder are unchanged: restore a copy of the record, or write "
            "a minimal record (docs/run-folder.md shows one)."
        )

    def write_run(self, run: Run) -> None:
        """Replace `run.json` atomically."""
        replace_text(self.record, with_digest(run.model_dump_json(indent=2)))

    def write_derived(self, path: Path, text: str) -> None:
        """Replace a file of this folder atomically. A reader sees either the old or the new file, never a part of it.

        Raises:
            RunFolderError: the file cannot be written; the old file is unchanged.
        """
        replace_text(path, text)

    def is_live(self) -> bool:
        """Whether the process that records this run still exists."""
        return self.read_run().outcome is Outcome.RUNNING

    def seal(self, *, keep_spool: bool = False) -> Sealed:
        """Write the rows and failures from the spool (see `seal.seal`), and record what was sealed.

        Raises:
            RunFolderError: the record cannot be read, or the rows are missing or cannot be written.
        """
        self.release()
        return seal(self, self.read_run(), keep_spool=keep_spool)

    def ensure_sealed(self) -> Run:
        """Return the run's record. If a process that has ended left the run unsealed, seal the run first.

        If the number of rows differs from the number in the record, the run is returned as degraded, with the reason.

        Raises:
            RunFolderError: the run is still being recorded, its rows are missing, or the folder cannot be read or
                written.
        """
        run = self.read_run()
        if is_there(self.rows):
            if run.outcome is Outcome.RUNNING:
                return run
            if run.end is None:  # the process was killed between sealing and closing
                run.end = _last_end(self)
            changed = difference(self, run)
            if changed:
                run.outcome = Outcome.DEGRADED
                run.reasons.append(changed)
            return run
        if run.outcome is Outcome.RUNNING:
            raise RunFolderError(f"{self.path.name} is still running; stop it (Ctrl-C in its terminal) or wait.")
        self.release()
        sealed = seal(self, run)
        if doubts := sealed.doubts(run):
            run.reasons += doubts
            run.outcome = Outcome.DEGRADED if run.outcome is Outcome.COMPLETE else run.outcome
        run.sealed = sealed.file
        if run.outcome is Outcome.INTERRUPTED:  # the master, which counted the workers' rows, was killed
            self.recount(run, sealed)
        if run.end is None:
            run.end = _last_end(self)
        self.write_run(run)
        return run

    def recount(self, run: Run, sealed: Sealed) -> None:
        """Correct the workers' accounts in a record whose writer was killed, from the sealed rows and `load.csv`."""
        # empty if the rows had been sealed before; in this case the record has already been corrected
        if sealed.workers:
            recount(run, sealed.workers, self._last_in_flight())

    def _last_in_flight(self) -> dict[str, int]:
        """Return each worker's requests in flight, or its users if these are more, from its last line in `load.csv`."""
        last: dict[str, int] = {}
        try:
            for line in load_lines(self.load):
                numbers = [line.get(name) or "0" for name in ("in_flight", "users")]
                last[line["worker"]] = max(int(text) if text.isdigit() else 0 for text in numbers)
        except (FileNotFoundError, RunFolderError):
            return last
        return last

    def row_batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows in record batches (see `readers.row_batches`)."""
        return readers.row_batches(self, columns)

    def read_rows(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return all rows as one DataFrame.

        Use this for interactive questions, not for reports, because the memory grows with the number of rows.
        """
        import pyarrow as pa

        from .rows import SCHEMA

        schema = pa.schema([SCHEMA.field(name) for name in (columns or SCHEMA.names)])
        frame: pd.DataFrame = pa.Table.from_batches(self.row_batches(columns), schema).to_pandas()
        return frame

    def append_load(self, lines: Sequence[Mapping[str, object]]) -> None:
        """Append lines to `load.csv`, with its header if the file is new."""
        append_lines(self.load, lines)

    def read_load(self) -> pd.DataFrame:
        """Return `load.csv`, one row per second and worker in LOAD_COLUMNS; empty if there is no such file.

        Incomplete lines are left out.

        Raises:
            RunFolderError: the file cannot be read.
        """
        import pandas as pd

        try:
            lines = pd.DataFrame(list(load_lines(self.load)), columns=list(LOAD_COLUMNS), dtype="object")
        except FileNotFoundError:
            lines = pd.DataFrame(columns=list(LOAD_COLUMNS), dtype="object")
        for name in LOAD_COLUMNS:
            if name != "worker":
                lines[name] = pd.to_numeric(lines[name], errors="coerce").astype("float64")
        return lines.dropna(subset=["time_s", "worker"])

    def write_metrics(self, table: pa.Table) -> None:
        """Replace the cloud series (schema: `loadtest.recording.rows.METRICS_SCHEMA`) atomically."""
        import pyarrow.parquet as pq

        with replacing(self.metrics) as new:
            pq.write_table(table, new, compression="zstd", write_page_checksum=True)
            new.replace(self.metrics)

    def read_metrics(self) -> pd.DataFrame | None:
        """Return `metrics_table` as a DataFrame."""
        table = self.metrics_table()
        return None if table is None else table.to_pandas()

    def metrics_table(self) -> pa.Table | None:
        """Return the cloud series in METRICS_SCHEMA, or None if none were fetched.

        Raises:
            RunFolderError: the file is truncated, damaged or not in the documented schema.
        """
        return readers.metrics_table(self)

    def reserve(self) -> None:
        """Reserve RESERVE_BYTES of the disk for the record of how the run ends.

        Raises:
            RunFolderError: the disk is full.
        """
        try:
            self.reserved.write_bytes(os.urandom(RESERVE_BYTES))  # a file system might store zeros without using space
        except OSError as error:
            self.reserved.unlink(missing_ok=True)
            raise unwritable(self.reserved, error) from error

    def release(self) -> None:
        """Free the space that `reserve` reserved."""
        try:
            self.reserved.unlink(missing_ok=True)
        except OSError as error:
            if error.errno not in (errno.EISDIR, errno.EPERM, errno.EROFS, errno.EACCES):
                raise


def _alive(run: Run) -> bool:
    import psutil

    if run.process is None or run.process.host != socket.gethostname():
        return False
    try:
        return abs(psutil.Process(run.process.pid).create_time() - run.process.started_s) < 1.0
    except (psutil.Error, ValueError, OverflowError):
        return False


def _last_end(folder: RunFolder) -> datetime | None:
    """Return when the last recorded request began, to the second; None if there are no rows."""
    import pyarrow.compute as pc

    last: datetime | None = None
    for batch in folder.row_batches(["start"]):
        if batch.num_rows:
            newest = pc.max(batch.column("start")).cast("int64").as_py() / 1e9
            at = datetime.fromtimestamp(newest, UTC)
            last = at if last is None else max(last, at)
    return last
