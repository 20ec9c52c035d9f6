"""List the failures of a run by endpoint, kind, status and message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from loadtest.core.errors import RunFolderError
from loadtest.recording.failures import Failures
from loadtest.recording.folder import RunFolder
from loadtest.recording.load_lines import CsvReader
from loadtest.recording.run import FailedBodyRecord
from reports.data.endpoints import EndpointKey
from reports.data.series import Series
from reports.model import Failure

MAX_LINES = 200
"""Largest number of lines in the list. All other kinds of failures are counted in one line."""

COLUMNS = ("start", "name", "method", "status", "outcome", "error")
NEEDS = ("count", "kind", "status", "message", "method", "name")


def failures_of(
    folder: RunFolder, series: Series, bodies: Sequence[FailedBodyRecord] = ()
) -> tuple[list[Failure], str]:
    """Return the failures, most frequent first, and a sentence if `failures.csv` could not be used, else "".

    They come from `failures.csv`, or from the rows if that file is missing or damaged, or counts a different number of
    failures than the rows. A body of `bodies` is listed with the most frequent failure of its endpoint and status.

    Raises:
        RunFolderError: the rows cannot be read.
    """
    expected = int(series.failed.sum() + series.generator.sum())
    found, said = ([], "") if folder.share < 1 else _recorded(folder, series)  # the file counts both sides
    if sum(kind.count for kind in found) != expected:
        if found and not said:
            said = f"{folder.failures.name} and the rows have different numbers of failures; the rows are used."
        found = _counted(folder, series) if expected else []
    merged = _by_endpoint(found, series)
    named = [kind for kind in merged if kind.name or kind.method]
    remainder = [kind for kind in merged if not (kind.name or kind.method)]
    ranked = _with_bodies(sorted(named, key=lambda kind: -kind.count), bodies)
    return [*_limited(ranked), *remainder], said


def _with_bodies(found: list[Failure], bodies: Sequence[FailedBodyRecord]) -> list[Failure]:
    left = {(body.method, body.name, body.status): body.body for body in bodies}
    return [
        kind.model_copy(update={"body": kind.body or left.pop((kind.method, kind.name, kind.status or 0), None)})
        for kind in found
    ]


def _recorded(folder: RunFolder, series: Series) -> tuple[list[Failure], str]:
    try:
        lines = list(CsvReader(folder.failures, needs=NEEDS))
    except FileNotFoundError:
        return [], ""
    except RunFolderError as error:
        return [], f"{error} The failures are counted from the rows."
    return [_failure(line, series) for line in lines if (line.get("count") or "").isdecimal()], ""


def _failure(line: dict[str, str], series: Series) -> Failure:
    status = line.get("status") or ""
    return Failure(
        method=line.get("method") or "",
        name=line.get("name") or "",
        kind=line.get("kind") or "",
        status=int(status) if status.isdecimal() else None,
        message=line.get("message") or "",
        count=int(line["count"]),
        first_s=_moment(line.get("first"), series.t0_ns),
        last_s=_moment(line.get("last"), series.t0_ns),
        body=line.get("body") or None,
    )


def _moment(text: str | None, t0_ns: int) -> float | None:
    try:
        return round(datetime.fromisoformat(text or "").timestamp() - t0_ns / 1e9, 3)
    except (ValueError, OverflowError):
        return None


def _counted(folder: RunFolder, series: Series) -> list[Failure]:
    failures = Failures()
    for batch in folder.row_batches(COLUMNS):
        failures.add(batch)
    return [
        Failure(
            method=kind.method,
            name=kind.name,
            kind=kind.kind,
            status=kind.status,
            message=kind.message,
            count=kind.count,
            first_s=round((kind.first_ns - series.t0_ns) / 1e9, 3),
            last_s=round((kind.last_ns - series.t0_ns) / 1e9, 3),
        )
        for kind in failures.kinds()
    ]


def _by_endpoint(found: list[Failure], series: Series) -> list[Failure]:
    """Return the failures by endpoint, each with its share of the requests of that endpoint.

    The endpoints are those that the report keeps apart.
    """
    sent = dict(zip(series.endpoints, series.by_endpoint.tolist(), strict=True))
    merged: dict[tuple[object, ...], Failure] = {}
    for failure in found:
        endpoint = (
            series.index.kept(EndpointKey(failure.name, failure.method)) if failure.name or failure.method else None
        )
        where = {"name": "", "method": ""} if endpoint is None else {"name": endpoint.name, "method": endpoint.method}
        key = (*where.values(), failure.kind, failure.status, failure.message)
        old = merged.get(key)
        count = failure.count + (old.count if old else 0)
        both = [failure] if old is None else [old, failure]
        firsts = [each.first_s for each in both if each.first_s is not None]
        lasts = [each.last_s for each in both if each.last_s is not None]
        share = count / sent[endpoint] if endpoint is not None and sent.get(endpoint) else None
        merged[key] = failure.model_copy(
            update={
                **where,
                "count": count,
                "first_s": min(firsts, default=None),
                "last_s": max(lasts, default=None),
                "share": share,
            }
        )
    return list(merged.values())


def _limited(found: list[Failure]) -> list[Failure]:
    shown, rest = found[:MAX_LINES], found[MAX_LINES:]
    if rest:
        firsts = [kind.first_s for kind in rest if kind.first_s is not None]
        lasts = [kind.last_s for kind in rest if kind.last_s is not None]
        shown.append(
            Failure(
                kind="various",
                status=None,
                message=f"({len(rest):,} more kinds of failure)",
                count=sum(kind.count for kind in rest),
                first_s=min(firsts, default=None),
                last_s=max(lasts, default=None),
            )
        )
    return shown
