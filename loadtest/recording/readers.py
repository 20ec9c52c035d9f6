"""Read the tables of a run folder: the rows and the fetched series."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..core.errors import RunFolderError
from .paths import RunPaths, is_there, require_file

if TYPE_CHECKING:  # slow to import, and needed only by the readers of rows
    import pyarrow as pa

ROW_GROUP_ROWS = 128 * 1024


def count_rows(paths: RunPaths) -> int | None:
    """Return how many rows the sealed file has; None if there is no such file. Only the footer of the file is read.

    Raises:
        RunFolderError: the file cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        require_file(paths.rows)
        return int(pq.read_metadata(paths.rows).num_rows)
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException) as error:
        raise _damaged(paths, error) from error


def row_batches(paths: RunPaths, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows in record batches of at most ROW_GROUP_ROWS, in no particular order of time.

    If the writer of the file left out an optional column, the column consists of nulls.

    Raises:
        RunFolderError: the file is missing, truncated or not in the documented schema.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from .rows import SCHEMA

    wanted = [SCHEMA.field(name) for name in (columns or SCHEMA.names)]
    try:
        require_file(paths.rows)
        # Pre-buffering keeps every column chunk until the file is closed: 150 MB at 10 M rows.
        with pq.ParquetFile(paths.rows, pre_buffer=False, page_checksum_verification=True) as file:
            there = set(file.schema_arrow.names)
            missing = [field.name for field in wanted if field.name not in there and not field.nullable]
            if missing:
                raise RunFolderError(f"{paths.rows} has no column {missing[0]!r} (docs/run-folder.md lists them).")
            for batch in file.iter_batches(ROW_GROUP_ROWS, columns=[f.name for f in wanted if f.name in there]):
                yield pa.RecordBatch.from_arrays(
                    [
                        _cast(batch.column(field.name), field)
                        if field.name in there
                        else pa.nulls(batch.num_rows, field.type)
                        for field in wanted
                    ],
                    schema=pa.schema(wanted),
                )
    except FileNotFoundError:
        raise RunFolderError(
            f"{paths.path} has no {paths.rows.name}: the run recorded nothing, or was not sealed."
        ) from None
    except (OSError, pa.ArrowException) as error:
        raise _damaged(paths, error) from error


def metrics_table(paths: RunPaths) -> pa.Table | None:
    """Return the fetched series in METRICS_SCHEMA, or None if none were fetched.

    Raises:
        RunFolderError: the file is truncated, damaged or not in the documented schema.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from .rows import METRICS_SCHEMA

    if not is_there(paths.metrics):
        return None
    try:
        require_file(paths.metrics)
        with pq.ParquetFile(paths.metrics, page_checksum_verification=True) as file:
            table = file.read(METRICS_SCHEMA.names).select(METRICS_SCHEMA.names).cast(METRICS_SCHEMA)
        table.validate(full=True)  # the file contains texts that are not UTF-8
        for name in ("labels", "distribution"):
            for text in table.column(name).unique().drop_null().to_pylist():
                if not isinstance(json.loads(text), dict):
                    raise ValueError(f"{name} is not a JSON object: {text[:80]}")
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunFolderError(f"{paths.metrics} cannot be read: {error} (docs/run-folder.md describes it).") from error
    return table


def _cast(column: pa.Array, field: pa.Field) -> pa.Array:
    """Return `column` converted to the field's type.

    Another tool may have written plain strings or other integer widths.
    """
    if not field.nullable and column.null_count:
        raise RunFolderError(f"the rows have {column.null_count} empty values of {field.name!r}, which is never empty.")
    return column if column.type == field.type else column.cast(field.type)


def _damaged(paths: RunPaths, error: Exception) -> RunFolderError:
    cure = "restore a copy of it"
    if is_there(paths.spool):
        cure = f"delete the file; the next command that reads the run makes it again from {paths.spool.name}"
    return RunFolderError(f"{paths.rows} cannot be read: {error}: {cure}.")
