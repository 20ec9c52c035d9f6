"""Columns that are made from numbers and texts equal the columns that Arrow makes, but pandas is not imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.recording.arrays import column_of, integers, texts_of
from tests.conftest import ROOT

SEALING = """
import sys
from pathlib import Path
from tests.recording.frames import frames, spooled
spooled(Path(sys.argv[1]), frames(3)).ensure_sealed()
assert "pandas" not in sys.modules
"""


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_texts(texts: list[str]) -> None:
    column = texts_of(texts)
    column.validate(full=True)
    assert column.equals(pa.array(texts, pa.string()))


@pytest.mark.parametrize("kind", [pa.int16(), pa.int32(), pa.int64(), pa.timestamp("ns", tz="UTC")])
@settings(deadline=None)
@given(st.lists(st.integers(-1, 9)))
def test_numbers_that_are_absent_are_null(kind: pa.DataType, numbers: list[int]) -> None:
    width = np.int64 if pa.types.is_timestamp(kind) else kind.to_pandas_dtype()
    values = np.array(numbers, dtype=width)
    column = column_of(values, kind, absent=values == -1)
    column.validate(full=True)
    assert column.equals(pa.array([None if number == -1 else number for number in numbers], kind))
    assert integers(column, -1).tolist() == numbers


def test_sealing_imports_no_pandas(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", SEALING, str(tmp_path)], cwd=ROOT, check=True)
