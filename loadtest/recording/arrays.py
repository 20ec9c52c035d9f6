"""Convert Arrow columns to numpy arrays and back without pandas, because importing pandas takes a second and 60 MB.

Arrow's own conversions (`to_numpy`, `fill_null`, `pa.array`) import pandas when it is installed, and `cast` imports
pyarrow.compute.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]


def integers(column: pa.Array, absent: int) -> Ints:
    """Return an integer or timestamp column as int64, with `absent` in place of nulls."""
    validity, values = column.buffers()
    span = slice(column.offset, column.offset + len(column))
    if values is None:
        return np.full(len(column), absent, dtype=np.int64)
    sign = "u" if pa.types.is_unsigned_integer(column.type) else "i"
    stored = np.frombuffer(values, dtype=f"{sign}{column.type.bit_width // 8}")
    found = stored[span].astype(np.int64, copy=False)
    if validity is None or not column.null_count:
        return found
    known = np.unpackbits(np.frombuffer(validity, dtype=np.uint8), count=span.stop, bitorder="little")[span]
    return np.where(known == 1, found, absent)


def column_of(values: npt.NDArray[Any], kind: pa.DataType, *, absent: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Return numbers as a column.

    Args:
        values: the numbers, in the width of `kind`.
        kind: a type of numbers or of times.
        absent: states which values are null.
    """
    validity = None if absent is None else pa.py_buffer(np.packbits(~absent, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(np.ascontiguousarray(values))])


def texts_of(texts: Iterable[str]) -> pa.Array:
    """Return texts as a column."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))
