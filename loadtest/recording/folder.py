"""Read and write one run folder; the only module that knows its file names."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ..core.errors import FormatVersionError, RunFolderError
from .frames import SpoolReader
from .run import FORMAT_VERSION, Outcome, Run

if TYPE_CHECKING:  # heavy, and only the readers of rows need it
    import pandas as pd
    import pyarrow as pa

RUN_JSON = "run.json"
SPOOL = "requests.spool"
ROWS = "requests.parquet"
LOAD = "load.csv"
METRICS = "metrics.parquet"
FAILURES = "failures.csv"
LOG = "locust.log"
EMULATOR_LOG = "emulator.log"
SUMMARY = "summary.json"
REPORT = "report.html"
RESERVE = ".reserve"

LOAD_COLUMNS = (
    "time_s",  # UTC epoch second
    "worker",
    "planned_users",  # of the whole fleet, the same on every worker's line of a second; empty: no plan known
    "users",  # running on this worker
    "in_flight",  # requests of this worker awaiting an answer
    "oldest_s",  # how long the oldest of them has waited
    "cpu_ratio",  # of one core, this worker's process
    "loop_lag_ms",  # worst delay of the worker's event loop in this second
    "machine_cpu_ratio",  # busy share of all cores of this worker's machine, every process on it included
    "machine_steal_ratio",  # CPU that the hypervisor gave to other machines
    "memory_pressure_ratio",  # share of the second in which some process waited for memory
    "refused",  # open-loop arrivals this second that found the bound on requests in flight reached
)

ROW_GROUP_ROWS = 128 * 1024
WAITING_FRAMES = 4096
"""A frame costs some 10 kB beside its rows: a quiet run of many hours is written in smaller groups than that."""

RESERVE_BYTES = 64 * 1024
"""Kept aside while a run is recorded, so that on a full disk `run.json` can still say why it ended."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What sealing a spool found.

    Attributes:
        rows: written to `requests.parquet`.
        stopped_why: "" when the spool was sound to its end, else where and why reading stopped.
    """

    rows: int
    stopped_why: str


class RunFolder:
    """One run on disk. Paths are cheap; nothing is read before it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def spool(self) -> Path:
        """Frames as they arrived; there during the run, and after it when sealing found damage."""
        return self.path / SPOOL

    @property
    def rows(self) -> Path:
        """One row per request, once sealed."""
        return self.path / ROWS

    @property
    def load(self) -> Path:
        """What every worker was doing, a line a second."""
        return self.path / LOAD

    @property
    def metrics(self) -> Path:
        """Every fetched cloud series, long form."""
        return self.path / METRICS

    @property
    def failures(self) -> Path:
        """Failures by message, with first, last and count."""
        return self.path / FAILURES

    @property
    def log(self) -> Path:
        """The fleet's own log."""
        return self.path / LOG

    @property
    def emulator_log(self) -> Path:
        """What the local Cloud Run said: starts, ends and every change of a decision, with its driver and numbers."""
        return self.path / EMULATOR_LOG

    @property
    def summary(self) -> Path:
        """The report's numbers; derived."""
        return self.path / SUMMARY

    @property
    def report(self) -> Path:
        """The report's page; derived."""
        return self.path / REPORT

    @classmethod
    def create(cls, runs: Path, run: Run) -> RunFolder:
        """Make the folder `runs/<run.id>` with its `run.json`.

        Raises:
            RunFolderError: the folder exists already or cannot be written.
        """
        folder = cls(runs / run.id)
        try:
            runs.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise RunFolderError(f"{runs} is a file, not a folder: choose another with --runs DIR.") from None
        except OSError as error:
            raise _unwritable(runs, error) from error
        try:
            folder.path.mkdir()
        except FileExistsError:
            raise RunFolderError(
                f"{folder.path} exists already; nothing was overwritten. Start the run again."
            ) from None
        except OSError as error:
            raise _unwritable(folder.path, error) from error
        folder.write_run(run)
        return folder

    def read_run(self) -> Run:
        """Return what `run.json` says, with a dead `running` told as `interrupted`.

        Raises:
            FormatVersionError: another version wrote it.
            RunFolderError: it is missing, unreadable or not a run's record.
        """
        path = self.path / RUN_JSON
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            version = fields["format"]
        except FileNotFoundError:
            raise RunFolderError(f"{self.path} is not a run folder: it has no {RUN_JSON}.") from None
        except OSError as error:
            raise RunFolderError(f"{path} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunFolderError(
                f"{path} is not a run's record ({error!r}); the rows beside it are untouched."
            ) from error
        if version != FORMAT_VERSION:
            raise FormatVersionError(
                f"{self.path} is written in run folder format {version!r}; this version reads format {FORMAT_VERSION}. "
                "Read it with the version that wrote it (`versions.lt` in its run.json)."
            )
        try:
            run = Run.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise RunFolderError(f"{path}: `{where}`: {first['msg']}.") from error
        if run.outcome is Outcome.RUNNING and not _alive(run):
            run.outcome = Outcome.INTERRUPTED
            run.reasons.append("the process that ran it ended without closing the run")
        return run

    def write_run(self, run: Run) -> None:
        """Replace `run.json` atomically."""
        self.write_derived(self.path / RUN_JSON, run.model_dump_json(indent=2) + "\n")

    def write_derived(self, path: Path, text: str) -> None:
        """Replace a file of this folder atomically: a reader sees the old or the new one, never half.

        Raises:
            RunFolderError: it cannot be written; the old one is as it was.
        """
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            beside.write_text(text, encoding="utf-8")
            beside.replace(path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise _unwritable(path, error) from error

    def is_live(self) -> bool:
        """Whether the process that runs this run is still there."""
        return self.read_run().outcome is Outcome.RUNNING

    def seal(self, *, keep_spool: bool = False) -> Sealed:
        """Write `requests.parquet` and `failures.csv` from the spool, then remove the spool if all of it was sound.

        A spool that stops early is kept beside the rows that could be read. Sealing a sealed run does nothing.

        Raises:
            RunFolderError: there is neither a spool nor rows, or they cannot be written.
        """
        import pyarrow.parquet as pq

        from .failures import Failures
        from .rows import SCHEMA

        self.release()
        if self.rows.exists():
            return Sealed(rows=self.sealed_rows() or 0, stopped_why="")
        reader = SpoolReader(self.spool)
        failures = Failures()
        beside = self.rows.with_name(f".{ROWS}.{os.getpid()}")
        count = 0
        try:
            # A flipped bit inside a page would be a wrong number without its checksum.
            with pq.ParquetWriter(beside, SCHEMA, compression="zstd", write_page_checksum=True) as writer:
                for table in self._spooled(reader):
                    failures.add(table)
                    writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
                    count += table.num_rows
            if not self.spool.exists() and self.rows.exists():  # another reader sealed it meanwhile, and took the spool
                beside.unlink()
                return Sealed(rows=self.sealed_rows() or 0, stopped_why="")
            self.write_derived(self.failures, failures.csv())
            beside.replace(self.rows)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise _unwritable(self.rows, error) from error
        except RunFolderError:
            beside.unlink(missing_ok=True)
            raise
        if not reader.stopped_why and not keep_spool:
            self.spool.unlink(missing_ok=True)
        return Sealed(rows=count, stopped_why=reader.stopped_why)

    def _spooled(self, reader: SpoolReader) -> Iterator[pa.Table]:
        """Yield the spool's sound rows, clock offsets applied, in tables of about ROW_GROUP_ROWS; none without a spool.

        Raises:
            RunFolderError: `run.json` (it has the offsets) or the spool cannot be read.
        """
        import pyarrow as pa

        from .rows import SCHEMA, rows_of

        offsets = {worker.name: worker.clock_offset_us or 0.0 for worker in self.read_run().workers}
        waiting: list[pa.RecordBatch] = []
        rows = 0
        try:
            for frame in reader:
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

    def sealed_rows(self) -> int | None:
        """Return how many rows `requests.parquet` has, from its footer alone; None when there is no such file.

        Raises:
            RunFolderError: it cannot be read.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return int(pq.read_metadata(self.rows).num_rows)
        except FileNotFoundError:
            return None
        except (OSError, pa.ArrowException) as error:
            raise RunFolderError(f"{self.rows} cannot be read: {error}.") from error

    def reserve(self) -> None:
        """Keep RESERVE_BYTES of the disk aside for the record of how the run ends.

        Raises:
            RunFolderError: there is no room for that.
        """
        path = self.path / RESERVE
        try:
            path.write_bytes(os.urandom(RESERVE_BYTES))  # random: a file system may store zeros in no room at all
        except OSError as error:
            path.unlink(missing_ok=True)
            raise _unwritable(path, error) from error

    def release(self) -> None:
        """Give back what `reserve` kept aside."""
        (self.path / RESERVE).unlink(missing_ok=True)

    def ensure_sealed(self) -> Run:
        """Return the run's record, sealing it first if it was left unsealed by a process that is gone.

        Raises:
            RunFolderError: the run is still being recorded, or the folder cannot be read or written.
        """
        run = self.read_run()
        if self.rows.exists():
            return run
        if run.outcome is Outcome.RUNNING:
            raise RunFolderError(f"{self.path.name} is still running; stop it (Ctrl-C in its terminal) or wait.")
        sealed = self.seal()
        if sealed.stopped_why:
            run.reasons.append(f"the spool is sound up to row {sealed.rows}: {sealed.stopped_why}")
        if run.end is None:
            run.end = _last_end(self)
        self.write_run(run)
        return run

    def row_batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows in record batches of at most ROW_GROUP_ROWS, in no particular order of time.

        Columns that are absent from a file (an optional one that its writer left out) come as nulls.

        Raises:
            RunFolderError: the file is missing, truncated or not in the documented schema.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        from .rows import SCHEMA

        wanted = [SCHEMA.field(name) for name in (columns or SCHEMA.names)]
        try:
            # Pre-buffering keeps every column chunk until the file is closed: 150 MB at 10 M rows.
            with pq.ParquetFile(self.rows, pre_buffer=False, page_checksum_verification=True) as file:
                there = set(file.schema_arrow.names)
                missing = [field.name for field in wanted if field.name not in there and not field.nullable]
                if missing:
                    raise RunFolderError(f"{self.rows} has no column {missing[0]!r} (docs/run-folder.md lists them).")
                for batch in file.iter_batches(ROW_GROUP_ROWS, columns=[f.name for f in wanted if f.name in there]):
                    yield pa.RecordBatch.from_arrays(
                        [
                            _cast(batch.column(field.name), field.type)
                            if field.name in there
                            else pa.nulls(batch.num_rows, field.type)
                            for field in wanted
                        ],
                        schema=pa.schema(wanted),
                    )
        except FileNotFoundError:
            raise RunFolderError(f"{self.path} has no {ROWS}: the run recorded nothing, or was not sealed.") from None
        except (OSError, pa.ArrowException) as error:
            raise RunFolderError(f"{self.rows} cannot be read: {error}.") from error

    def read_rows(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return all rows as one DataFrame: for questions at a prompt, not for the report (memory grows with rows)."""
        import pyarrow as pa

        from .rows import SCHEMA

        schema = pa.schema([SCHEMA.field(name) for name in (columns or SCHEMA.names)])
        frame: pd.DataFrame = pa.Table.from_batches(self.row_batches(columns), schema).to_pandas()
        return frame

    def append_load(self, lines: Sequence[Mapping[str, object]]) -> None:
        """Append lines to `load.csv`, with its header when it is new."""
        text = io.StringIO()
        writer = csv.DictWriter(text, LOAD_COLUMNS, lineterminator="\n")
        if not self.load.exists():
            writer.writeheader()
        writer.writerows(lines)
        with self.load.open("a", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())

    def read_load(self) -> pd.DataFrame:
        """Return `load.csv`, one row per second and worker in LOAD_COLUMNS; empty when there is none.

        A last line cut short by a kill is left out.
        """
        import pandas as pd

        empty = pd.DataFrame(
            {name: pd.Series(dtype="object" if name == "worker" else "float64") for name in LOAD_COLUMNS}
        )
        if not self.load.exists():
            return empty
        try:
            lines = pd.read_csv(self.load, dtype={"worker": "str"}, on_bad_lines="skip")
        except (ValueError, OSError) as error:
            if self.load.stat().st_size == 0:
                return empty
            raise RunFolderError(f"{self.load} cannot be read: {error}.") from error
        lines = lines.reindex(columns=list(LOAD_COLUMNS))
        for name in LOAD_COLUMNS:
            if name != "worker":
                lines[name] = pd.to_numeric(lines[name], errors="coerce")
        return lines.dropna(subset=["time_s", "worker"])

    def write_metrics(self, table: pa.Table) -> None:
        """Replace `metrics.parquet` (schema: `loadtest.recording.rows.METRICS_SCHEMA`) atomically."""
        import pyarrow.parquet as pq

        beside = self.metrics.with_name(f".{METRICS}.{os.getpid()}")
        try:
            pq.write_table(table, beside, compression="zstd", write_page_checksum=True)
            beside.replace(self.metrics)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise _unwritable(self.metrics, error) from error

    def read_metrics(self) -> pd.DataFrame | None:
        """Return `metrics_table` as a DataFrame."""
        table = self.metrics_table()
        return None if table is None else table.to_pandas()

    def metrics_table(self) -> pa.Table | None:
        """Return the cloud series in METRICS_SCHEMA, or None when none were fetched.

        Raises:
            RunFolderError: the file is truncated, damaged or not in the documented schema.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        from .rows import METRICS_SCHEMA

        if not self.metrics.exists():
            return None
        try:
            with pq.ParquetFile(self.metrics, page_checksum_verification=True) as file:
                table = file.read(METRICS_SCHEMA.names).select(METRICS_SCHEMA.names).cast(METRICS_SCHEMA)
            table.validate(full=True)  # texts that are no UTF-8
            for name in ("labels", "distribution"):
                for text in table.column(name).unique().drop_null().to_pylist():
                    if not isinstance(json.loads(text), dict):
                        raise ValueError(f"{name} is no JSON object: {text[:80]}")
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
            raise RunFolderError(
                f"{self.metrics} cannot be read: {error} (docs/run-folder.md has its form)."
            ) from error
        return table


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return `column` as `kind`; a file written by another tool may hold plain strings or other integer widths."""
    return column if column.type == kind else column.cast(kind)


def _alive(run: Run) -> bool:
    import psutil

    if run.process is None or run.process.host != socket.gethostname():
        return False
    try:
        return abs(psutil.Process(run.process.pid).create_time() - run.process.started_s) < 1.0
    except psutil.Error:
        return False


def _last_end(folder: RunFolder) -> datetime | None:
    """Return when the last recorded request ended, to the second; None without rows."""
    import pyarrow.compute as pc

    last: datetime | None = None
    for batch in folder.row_batches(["start"]):
        if batch.num_rows:
            newest = pc.max(batch.column("start")).cast("int64").as_py() / 1e9
            at = datetime.fromtimestamp(newest, UTC)
            last = at if last is None else max(last, at)
    return last


def _unwritable(path: Path, error: OSError) -> RunFolderError:
    cure = {
        errno.ENOSPC: "free some space",
        errno.EACCES: "choose another folder with --runs DIR",
        errno.EROFS: "choose another folder with --runs DIR",
        errno.EPERM: "choose another folder with --runs DIR",
    }.get(error.errno or 0, "choose another folder with --runs DIR")
    return RunFolderError(f"{path} cannot be written ({error.strerror}): {cure}.")
