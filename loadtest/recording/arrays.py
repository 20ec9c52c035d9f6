"""Read Arrow columns as numpy arrays without pandas, whose import alone would cost a second and 60 MB.

Arrow's own conversions (`to_numpy`, `fill_null`, `pa.array` of an ndarray) import pandas when it is installed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]


def integers(column: pa.Array, absent: int) -> Ints:
    """Return an integer or timestamp column as int64, with `absent` where it is null."""
    plain = column.cast(pa.int64()) if column.type != pa.int64() else column
    validity, values = plain.buffers()
    span = slice(plain.offset, plain.offset + len(plain))
    if values is None:
        return np.full(len(plain), absent, dtype=np.int64)
    found = np.frombuffer(values, dtype=np.int64)[span]
    if validity is None or not plain.null_count:
        return found
    known = np.unpackbits(np.frombuffer(validity, dtype=np.uint8), count=span.stop, bitorder="little")[span]
    return np.where(known == 1, found, absent)
