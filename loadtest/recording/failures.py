"""Count a run's failures by endpoint and message while its rows are sealed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from ..core.templates import text_template
from .arrays import Ints, integers
from .run import FailedBodyRecord

FAILURE_COLUMNS = (
    "method",
    "name",
    "kind",
    "status",
    "message",
    "first",
    "last",
    "count",
    "share",  # share of the requests of that endpoint
    "body",  # body of the first failed answer, if it was kept
)

LISTED = 1000
"""Number of lines in `failures.csv`. Rarer failures are counted in lines that say how many messages they represent."""

KEPT = 20_000
"""Maximum number of kinds that are kept while counting, so that memory is bounded. Later kinds are counted without
their message."""

OTHER = "(other messages)"


@dataclass(slots=True)
class FailureKind:
    """Failures of one endpoint that have the same kind, status and message.

    Attributes:
        method, name: the endpoint.
        kind: the outcome.
        status: None without an answer.
        message: the text, or the template if texts differ only in ids and numbers.
        first_ns, last_ns: start of the first and of the last failed request, in UTC ns.
        count: the number of failures.
        share: the share of the endpoint's requests.
    """

    method: str
    name: str
    kind: str
    status: int | None
    message: str
    first_ns: int
    last_ns: int
    count: int
    share: float = 0.0


_Key = tuple[str, str, str, int, str]


@dataclass(slots=True)
class _Count:
    first_ns: int
    last_ns: int
    count: int
    text: str
    varied: bool


class Failures:
    """Count failures in a stream of rows. The work per row does not grow with the number of messages or endpoints."""

    def __init__(self) -> None:
        self._seen: dict[_Key, _Count] = {}
        self._sent: dict[tuple[str, str], int] = {}
        self._templates: dict[str, str] = {}

    def add(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Count the failures among rows in `loadtest.recording.rows.SCHEMA`. Unused columns may be absent."""
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        plain = table.select(["start", "name", "method", "status", "outcome", "error"])
        for batch in plain.unify_dictionaries().combine_chunks().to_batches():
            if batch.num_rows:
                self._add(batch)

    def _add(self, batch: pa.RecordBatch) -> None:
        name, method = _texts(batch.column("name")), _texts(batch.column("method"))
        name_at, method_at = (integers(batch.column(column).indices, 0) for column in ("name", "method"))
        pairs = name_at * max(len(method), 1) + method_at
        for at, count in zip(*(part.tolist() for part in np.unique(pairs, return_counts=True)), strict=True):
            endpoint = (method[at % len(method)], name[at // len(method)])
            self._sent[endpoint] = self._sent.get(endpoint, 0) + count
        outcome, error = _texts(batch.column("outcome")), ["", *_texts(batch.column("error"))]
        ended = integers(batch.column("outcome").indices, 0)
        rows = np.flatnonzero(np.array([kind != "ok" for kind in outcome])[ended])
        if not len(rows):
            return
        message = integers(batch.column("error").indices, -1)[rows] + 1
        template = self._template_of(error, message)
        status = integers(batch.column("status"), 0)[rows]
        start = integers(batch.column("start"), 0)[rows]
        parts = (pairs[rows], ended[rows], status, template)
        order = np.lexsort((start, *reversed(parts)))
        changes = np.any([part[order][1:] != part[order][:-1] for part in parts], axis=0)
        begins = np.flatnonzero(np.r_[True, changes])
        ends = np.r_[begins[1:], len(order)]
        groups = np.repeat(np.arange(len(begins)), ends - begins)
        differs = message[order] != message[order][begins][groups]
        varied = np.logical_or.reduceat(differs, begins)
        for begin, end, is_varied in zip(begins.tolist(), ends.tolist(), varied.tolist(), strict=True):
            first, last = order[begin], order[end - 1]
            pair = int(parts[0][first])
            text = error[int(message[first])]
            key = (
                method[pair % len(method)],
                name[pair // len(method)],
                outcome[int(parts[1][first])],
                int(status[first]),
                self._templates.get(text, text),
            )
            self._count(key, _Count(int(start[first]), int(start[last]), end - begin, text, bool(is_varied)))

    def _template_of(self, texts: list[str], used: Ints) -> Ints:
        """Return one template number per row, for the row's error text. Each distinct text is examined once."""
        numbers: dict[str, int] = {}
        distinct, inverse = np.unique(used, return_inverse=True)
        if len(self._templates) > KEPT:
            self._templates.clear()
        found = []
        for at in distinct.tolist():
            text = texts[at]
            template = self._templates.setdefault(text, text_template(text))
            found.append(numbers.setdefault(template, len(numbers)))
        return np.array(found, dtype=np.int64)[inverse.ravel()]

    def _count(self, key: _Key, new: _Count) -> None:
        if key not in self._seen and len(self._seen) >= KEPT:
            key = (*key[:4], OTHER)
        old = self._seen.get(key)
        if old is None:
            self._seen[key] = new
            return
        old.varied = old.varied or new.varied or old.text != new.text
        old.first_ns, old.last_ns = min(old.first_ns, new.first_ns), max(old.last_ns, new.last_ns)
        old.count += new.count

    def kinds(self) -> list[FailureKind]:
        """Return the LISTED most frequent failures, then one line per outcome and status for all other failures."""
        ranked = sorted(self._seen.items(), key=lambda item: -item[1].count)
        rest: dict[tuple[str, int], list[_Count]] = {}
        for (_, _, kind, status, _), count in ranked[LISTED:]:
            rest.setdefault((kind, status), []).append(count)
        return [
            *(self._kind(key, count) for key, count in ranked[:LISTED]),
            *(
                FailureKind(
                    method="",
                    name="",
                    kind=kind,
                    status=status or None,
                    message=f"({len(counts):,} other kinds of failure)",
                    first_ns=min(count.first_ns for count in counts),
                    last_ns=max(count.last_ns for count in counts),
                    count=sum(count.count for count in counts),
                )
                for (kind, status), counts in rest.items()
            ),
        ]

    def _kind(self, key: _Key, count: _Count) -> FailureKind:
        method, name, kind, status, template = key
        message = template if count.varied else count.text
        share = count.count / self._sent[method, name]
        where = (method, name, kind, status or None, message)
        return FailureKind(*where, first_ns=count.first_ns, last_ns=count.last_ns, count=count.count, share=share)

    def csv(self, bodies: Sequence[FailedBodyRecord] = ()) -> str:
        """Return the content of `failures.csv`.

        Each body is written to the first line that has its endpoint and status.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(FAILURE_COLUMNS)
        writer.writerows(self._lines({(body.method, body.name, body.status): body.body for body in bodies}))
        return text.getvalue()

    def _lines(self, bodies: dict[tuple[str, str, int], str]) -> Iterator[tuple[object, ...]]:
        for kind in self.kinds():
            status = "" if kind.status is None else kind.status
            ends = (_utc(kind.first_ns), _utc(kind.last_ns))
            share = f"{kind.share:.6g}" if kind.name or kind.method else ""
            body = bodies.pop((kind.method, kind.name, kind.status or 0), "")
            yield (kind.method, kind.name, kind.kind, status, kind.message, *ends, kind.count, share, body)


def _texts(column: pa.Array) -> list[str]:
    return [text or "" for text in column.dictionary.to_pylist()]


def _utc(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
