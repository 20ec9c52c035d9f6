"""Read the rows of a data file as dicts, in order and a few at a time, so the size of the file does not matter."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .errors import UsageError

BATCH_ROWS = 256
"""Number of rows that are converted at once. Converting them takes about a millisecond, during which all requests
wait."""

Row = dict[str, Any]


class DataFileError(UsageError):
    """The data file does not exist, or cannot be read in the format of its extension."""


def batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[list[Row]]:
    """Yield the rows of a Parquet, CSV or JSON-lines file in order, at most BATCH_ROWS at a time.

    All values are JSON values: dates become ISO texts, and missing values become None. The first 64 MB of a CSV decide
    the types of its columns; a column whose type changes later is an error.

    Args:
        path: ends in .parquet, .csv, .tsv, .jsonl or .ndjson.
        columns: the columns to keep; None keeps all.

    Raises:
        DataFileError: the file does not exist, has no requested column, or is damaged; the message says which.
    """
    readers = {".parquet": _parquet, ".csv": _csv, ".tsv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataFileError(f'rows("{path}"): give a .parquet, .csv, .tsv or .jsonl file.')
    if not path.is_file():
        raise DataFileError(f'rows("{path}"): there is no such file.')
    try:
        for batch in reader(path, list(columns) if columns is not None else None):
            for begin in range(0, len(batch), BATCH_ROWS):
                yield batch[begin : begin + BATCH_ROWS]
    except (OSError, ValueError, KeyError) as error:  # Arrow's errors are ValueErrors, KeyErrors or OSErrors
        if isinstance(error, DataFileError):
            raise
        raise DataFileError(f'rows("{path}"): cannot be read ({" ".join(str(error).split())[:300]}).') from None


def count_rows(path: Path) -> int:
    """Return how many rows a file has.

    A Parquet file contains the number; any other file is read once to count its rows.

    Raises:
        DataFileError: as in `batches`.
    """
    if path.suffix.lower() == ".parquet" and path.is_file():
        import pyarrow.parquet as pq

        try:
            return int(pq.ParquetFile(path).metadata.num_rows)
        except (OSError, ValueError):
            pass
    return sum(len(batch) for batch in batches(path))


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parquet(path: Path, columns: list[str] | None) -> Iterator[list[Row]]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path, memory_map=True)
    _require(path, columns, file.schema_arrow.names)
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
        yield _plain(batch.to_pylist())


def _csv(path: Path, columns: list[str] | None) -> Iterator[list[Row]]:
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    try:
        reader = pa_csv.open_csv(
            path,
            read_options=pa_csv.ReadOptions(block_size=1 << 22),
            parse_options=pa_csv.ParseOptions(
                delimiter="\t" if path.suffix.lower() == ".tsv" else ",", newlines_in_values=True
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            raise DataFileError(f'rows("{path}"): the file is empty.') from None
        raise
    _require(path, columns, reader.schema.names)
    for batch in reader:
        kept = batch if columns is None else batch.select(columns)
        for begin in range(0, kept.num_rows, BATCH_ROWS):
            yield _plain(kept.slice(begin, BATCH_ROWS).to_pylist())


def _json_lines(path: Path, columns: list[str] | None) -> Iterator[list[Row]]:
    import orjson

    batch: list[Row] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
            except ValueError:
                raise DataFileError(f'rows("{path}"): line {number} is not JSON.') from None
            if not isinstance(row, dict):
                raise DataFileError(f'rows("{path}"): line {number} is not a JSON object.')
            if columns is not None:
                _require(path, columns, list(row))
                row = {name: row[name] for name in columns}
            batch.append(row)
            if len(batch) == BATCH_ROWS:
                yield batch
                batch = []
    if batch:
        yield batch


def _require(path: Path, columns: list[str] | None, there: list[str]) -> None:
    missing = [name for name in columns or () if name not in there]
    if missing:
        raise DataFileError(f'rows("{path}"): there is no column {missing[0]!r}; it has {", ".join(there[:20])}.')


def _plain(rows: list[Row]) -> list[Row]:
    """Return the rows with all values converted to JSON values."""
    for row in rows:
        for name, value in row.items():
            if value is None or isinstance(value, str | int | bool | list | dict):
                continue
            if isinstance(value, float):
                if not math.isfinite(value):
                    row[name] = None
            elif hasattr(value, "isoformat"):
                row[name] = value.isoformat()
            elif isinstance(value, bytes):
                row[name] = value.decode("utf-8", "replace")
            else:
                row[name] = float(value) if hasattr(value, "as_tuple") else str(value)
    return rows
