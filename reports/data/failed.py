"""List the failures of a run by kind, status and message."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime

import numpy as np

from loadtest.recording.folder import RunFolder
from reports import model
from reports.data.arrays import integers

MAX_MESSAGES = 200
"""What a reader can take in; the rest stand in one line."""

REST = "(further messages)"


def failures_of(folder: RunFolder, t0_ns: int) -> list[model.Failure]:
    """Return the failures, most frequent first: from `failures.csv`, or from the rows where there is none.

    Raises:
        RunFolderError: the rows cannot be read.
    """
    found = _recorded(folder, t0_ns) if folder.failures.exists() else _counted(folder, t0_ns)
    found.sort(key=lambda failure: -failure.count)
    shown, rest = found[:MAX_MESSAGES], found[MAX_MESSAGES:]
    if rest:
        ends = [f.last_s for f in rest if f.last_s is not None]
        begins = [f.first_s for f in rest if f.first_s is not None]
        shown.append(
            model.Failure(
                kind="various",
                status=None,
                message=REST,
                count=sum(failure.count for failure in rest),
                first_s=min(begins, default=None),
                last_s=max(ends, default=None),
            )
        )
    return shown


def _recorded(folder: RunFolder, t0_ns: int) -> list[model.Failure]:
    with folder.failures.open(encoding="utf-8", newline="", errors="replace") as file:
        return list(_lines(csv.DictReader(file), t0_ns))


def _lines(lines: csv.DictReader[str], t0_ns: int) -> Iterator[model.Failure]:
    for line in lines:
        if not (line.get("count") or "").isdigit():  # cut short, or not a line of this file
            continue
        status = line.get("status") or ""
        yield model.Failure(
            kind=line.get("kind") or "",
            status=int(status) if status.isdigit() else None,
            message=line.get("message") or "",
            count=int(line["count"]),
            first_s=_moment(line.get("first"), t0_ns),
            last_s=_moment(line.get("last"), t0_ns),
        )


def _moment(text: str | None, t0_ns: int) -> float | None:
    try:
        return round(datetime.fromisoformat(text or "").timestamp() - t0_ns / 1e9, 3)
    except ValueError:
        return None


def _counted(folder: RunFolder, t0_ns: int) -> list[model.Failure]:
    seen: dict[tuple[str, int, str], tuple[int, int, int]] = {}
    for batch in folder.row_batches(("start", "latency_us", "status", "outcome", "error")):
        outcomes = batch.column("outcome").dictionary.to_pylist()
        outcome = integers(batch.column("outcome").indices, 0)
        failed = np.flatnonzero(np.array([name != "ok" for name in outcomes])[outcome])
        messages = ["", *batch.column("error").dictionary.to_pylist()]
        error = integers(batch.column("error").indices, -1)[failed] + 1
        status = integers(batch.column("status"), 0)[failed]
        end = (integers(batch.column("start"), 0) + integers(batch.column("latency_us"), 0) * 1000)[failed]
        rows = zip(outcome[failed].tolist(), error.tolist(), status.tolist(), end.tolist(), strict=True)
        for code, place, number, at in rows:
            key = (outcomes[code], number, messages[place] or "")
            count, first, last = seen.get(key, (0, at, at))
            seen[key] = (count + 1, min(first, at), max(last, at))
    return [
        model.Failure(
            kind=kind,
            status=status or None,
            message=message,
            count=count,
            first_s=round((first - t0_ns) / 1e9, 3),
            last_s=round((last - t0_ns) / 1e9, 3),
        )
        for (kind, status, message), (count, first, last) in seen.items()
    ]
