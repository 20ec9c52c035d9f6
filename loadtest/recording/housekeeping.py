"""Label, export and delete recorded runs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import RunFolderError, UsageError
from .folder import RunFolder
from .paths import is_there, run_files
from .run import Run

if TYPE_CHECKING:
    import pyarrow as pa

_STRAY = re.compile(
    r"\.?(?:run\.json|requests\.parquet|summary\.json|report\.html|metrics\.parquet|failures\.csv)\.?\w*\.tmp\w*"
)
"""Files that an interrupted write may have left in the folder of a run."""


def delete_run(folder: RunFolder) -> list[str]:
    """Delete the files of a run and its folder.

    If there are other files in the folder, keep the folder and return their names. A link is removed, but not its
    target.

    Raises:
        UsageError: the folder is not a run's folder, or the run is still in progress.
        RunFolderError: a file cannot be deleted.
    """
    if not is_there(folder.record):
        raise UsageError(f"{folder.path} is not a run's folder: it has no run.json. Nothing was deleted.")
    if folder.is_live():
        raise UsageError(f"{folder.path.name} is still running: end it with Ctrl-C first. Nothing was deleted.")
    path = folder.path
    try:
        if path.is_symlink():
            path.unlink()
            return []
        # so that the record is deleted last
        for file in sorted(run_files(folder), key=lambda each: each == folder.record):
            if is_there(file) and not (file.is_dir() and not file.is_symlink()):
                file.unlink()
        for file in path.iterdir():
            if _STRAY.fullmatch(file.name) and not file.is_dir():
                file.unlink()
        kept = sorted(file.name for file in path.iterdir())
        if not kept:
            path.rmdir()
    except OSError as error:
        raise RunFolderError(f"{error.filename}: cannot be deleted: {error.strerror}.") from error
    return kept


def label_run(folder: RunFolder, label: str | None) -> Run:
    """Set or remove the label of a run, and return its record.

    Raises:
        UsageError: the run is still in progress.
        RunFolderError: its record cannot be read or written.
    """
    run = folder.read_run()
    if folder.is_live():
        raise UsageError(f"{folder.path.name} is still running: label it when it has ended.")
    run.label = label
    folder.write_run(run)
    return run


def export_rows(folder: RunFolder, out: Path) -> int:
    """Write the rows of a run as CSV, one batch at a time, and return their number.

    Raises:
        RunFolderError: the rows cannot be read, or the file cannot be written.
    """
    import pyarrow.csv as pa_csv

    folder.ensure_sealed()
    count = 0
    writer: pa_csv.CSVWriter | None = None
    try:
        for batch in folder.row_batches():
            plain = _plain(batch)
            if writer is None:
                writer = pa_csv.CSVWriter(out, plain.schema)
            writer.write(plain)
            count += batch.num_rows
    except OSError as error:
        raise RunFolderError(f"{out} cannot be written: {error.strerror or error}.") from error
    finally:
        if writer is not None:
            writer.close()
    return count


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch in which dictionary indices are replaced by their texts, for a CSV file."""
    import pyarrow as pa

    columns = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def expired(
    runs: Iterable[tuple[RunFolder, Run | None, str]], *, now: datetime, keep: int | None, older_than_s: float | None
) -> list[RunFolder]:
    """Return the runs that may be deleted by age or number, oldest first.

    Runs with a label and unreadable runs are never returned.

    Args:
        runs: the runs, oldest first, from `list_runs`.
        now: the current time, with a time zone.
        keep: how many of the newest runs to keep.
        older_than_s: runs that are younger than this are kept.
    """
    known = [(folder, run) for folder, run, _ in runs if run is not None and not run.label]
    gone = known[: max(0, len(known) - keep)] if keep is not None else known
    if older_than_s is not None:
        gone = [(folder, run) for folder, run in gone if now - run.start > timedelta(seconds=older_than_s)]
    return [folder for folder, _ in gone]
