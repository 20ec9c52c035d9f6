"""Convert frames to the rows of `requests.parquet`, and define its schema."""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .arrays import column_of, texts_of
from .frames import ABSENT, OUTCOMES, SIDES, Frame

_TEXT = pa.dictionary(pa.int32(), pa.string())

SCHEMA = pa.schema(
    [
        pa.field("start", pa.timestamp("ns", tz="UTC"), nullable=False),
        pa.field("latency_us", pa.int64(), nullable=False),
        pa.field("late_us", pa.int64()),
        pa.field("name", _TEXT, nullable=False),
        pa.field("method", _TEXT, nullable=False),
        pa.field("status", pa.int16()),
        pa.field("outcome", _TEXT, nullable=False),
        pa.field("error", _TEXT),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("instance", _TEXT),
        pa.field("instance_age_ms", pa.int64()),
        pa.field("server_us", pa.int64()),
        pa.field("worker", _TEXT, nullable=False),
        pa.field("side", _TEXT),
    ]
)
"""One row per request. Null means unknown, never zero."""

METRICS_SCHEMA = pa.schema(
    [
        pa.field("metric", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # GAUGE or DELTA
        pa.field("unit", pa.string()),
        pa.field("labels", pa.string(), nullable=False),  # JSON object: the metric's own labels and `revision_name`
        pa.field("start", pa.timestamp("ns", tz="UTC"), nullable=False),
        pa.field("end", pa.timestamp("ns", tz="UTC"), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("distribution", pa.string()),  # JSON object: count, mean, bounds, counts (len(bounds) + 1)
    ]
)
"""One row per point of a cloud series. Either `value` or `distribution` is null."""


def rows_of(frame: Frame, *, clock_offset_us: float = 0.0) -> pa.RecordBatch:
    """Return the frame's rows in SCHEMA, with `start` converted to the master's clock."""
    column = {name: _numpy(values) for name, values in frame.columns.items()}
    strings = texts_of(frame.strings)
    start = column["start"] + round(clock_offset_us * 1000)

    def indexed(name: str, *, nullable: bool, values: pa.Array = strings) -> pa.Array:
        index = column[name].astype(np.int32)
        places = column_of(index, pa.int32(), absent=index == 0 if nullable else None)
        return pa.DictionaryArray.from_arrays(places, values)

    columns = {
        "start": column_of(start, SCHEMA.field("start").type),
        "latency_us": column_of(column["latency_us"], pa.int64()),
        "bytes": column_of(column["bytes"], pa.int64()),
        "outcome": indexed("outcome", nullable=False, values=texts_of(OUTCOMES)),
        "side": indexed("side", nullable=True, values=texts_of(SIDES)),
        "worker": pa.DictionaryArray.from_arrays(
            column_of(np.zeros(frame.rows, np.int32), pa.int32()), texts_of([frame.worker])
        ),
    }
    for name in ("name", "method", "error", "instance"):
        columns[name] = indexed(name, nullable=SCHEMA.field(name).nullable)
    for name, absent in ABSENT.items():
        columns[name] = column_of(column[name], SCHEMA.field(name).type, absent=column[name] == absent)
    return pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _numpy(values: array[int]) -> npt.NDArray[np.int64]:
    return np.frombuffer(values, dtype=np.dtype(values.typecode))
