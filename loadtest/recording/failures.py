"""Count a run's failures by message while its rows are sealed."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

FAILURE_COLUMNS = ("kind", "status", "message", "first", "last", "count")


class Failures:
    """Count failures by kind, status and message while rows stream past; at most LIMIT kinds are kept apart."""

    LIMIT = 1000

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int | None, str], tuple[int, int, int]] = {}

    def add(self, table: pa.Table) -> None:
        """Count the failures among rows in `loadtest.recording.rows.SCHEMA`."""
        plain = table.select(["start", "status", "outcome", "error"])
        failed = plain.filter(pc.not_equal(plain.column("outcome").cast("string"), "ok"))
        if not failed.num_rows:
            return
        failed = failed.set_column(2, "outcome", failed.column("outcome").cast("string"))
        failed = failed.set_column(3, "error", pc.fill_null(failed.column("error").cast("string"), ""))
        grouped = failed.group_by(["outcome", "status", "error"]).aggregate(
            [("start", "min"), ("start", "max"), ("start", "count")]
        )
        for line in grouped.to_pylist():
            key = (line["outcome"], line["status"], line["error"])
            if key not in self._seen and len(self._seen) >= self.LIMIT:
                key = (line["outcome"], line["status"], "(other messages)")
            first, last, count = line["start_min"].value, line["start_max"].value, line["start_count"]
            old = self._seen.get(key)
            self._seen[key] = (
                (first, last, count) if old is None else (min(first, old[0]), max(last, old[1]), count + old[2])
            )

    def csv(self) -> str:
        """Return the content of `failures.csv`, the most frequent first."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(FAILURE_COLUMNS)
        for (kind, status, message), (first, last, count) in sorted(self._seen.items(), key=lambda item: -item[1][2]):
            writer.writerow((kind, "" if status is None else status, message, _utc(first), _utc(last), count))
        return text.getvalue()


def _utc(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
