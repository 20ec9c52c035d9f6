"""Data files are read completely, in order, a few rows at a time, and with JSON values."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loadtest.core.data_files import BATCH_ROWS, DataFileError, batches, count_rows, digest_of

ROWS = [{"id": n, "name": f"user, {n}\nof “two” lines", "score": n / 4} for n in range(1000)]


def written(path: Path) -> Path:
    """Write ROWS in the format of the path's extension."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=300)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n", encoding="utf-8")
    else:
        mark = "\t" if path.suffix == ".tsv" else ","
        lines = [mark.join(("id", "name", "score"))]
        lines += [mark.join((str(row["id"]), '"' + str(row["name"]) + '"', str(row["score"]))) for row in ROWS]
        path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv", ".jsonl"])
def test_every_row_comes_once_and_in_order(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"rows{suffix}")
    read = list(batches(path))
    assert [row for batch in read for row in batch] == ROWS
    assert max(map(len, read)) <= BATCH_ROWS
    assert count_rows(path) == 1000
    assert next(iter(batches(path, ["score", "id"])))[1] == {"score": 0.25, "id": 1}


def test_values_are_what_json_takes(tmp_path: Path) -> None:
    """Dates are ISO texts, and missing or non-finite values are null."""
    path = tmp_path / "rows.parquet"
    row: dict[str, Any] = {
        "day": datetime.date(2024, 2, 29),
        "at": datetime.datetime(2024, 2, 29, 12),
        "x": float("nan"),
        "b": b"x",
    }
    pq.write_table(pa.Table.from_pylist([row, {**row, "x": None}]), path)
    expected = {"day": "2024-02-29", "at": "2024-02-29T12:00:00", "x": None, "b": "x"}
    assert next(batches(path)) == [expected, expected]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("rows.xlsx", b"PK", "give a .parquet, .csv, .tsv or .jsonl file"),
        ("rows.csv", b"", "the file is empty"),
        ("rows.csv", b"a,b\n1,2\n3\n", "cannot be read"),
        ("rows.jsonl", b'{"a": 1}\n{"a"', "line 2 is not JSON"),
        ("rows.jsonl", b"[1]\n", "line 1 is not a JSON object"),
        ("rows.parquet", b"PAR1 nonsense PAR1", "cannot be read"),
    ],
)
def test_a_problem_with_a_file_is_reported_with_a_sentence(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=sentence):
        list(batches(path))


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.csv")
    with pytest.raises(DataFileError, match="no column 'nmae'; it has id, name, score"):
        list(batches(path, ["nmae"]))
    with pytest.raises(DataFileError, match="no such file"):
        list(batches(tmp_path / "missing.csv"))


def test_the_digest_is_the_content_s(tmp_path: Path) -> None:
    first, second = written(tmp_path / "a.csv"), written(tmp_path / "b.csv")
    assert digest_of(first) == digest_of(second) != digest_of(written(tmp_path / "c.jsonl"))
