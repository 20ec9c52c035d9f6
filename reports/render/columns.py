"""Make tables from parts of the summary. The `Shown` of each field defines its column and cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from reports.data import formats as f
from reports.model import Part, Quantile, RunSummary, Shown
from reports.render.bodies import gist_of
from reports.render.tree import Cell, Column, Table

PAYLOAD_CHARS = 400
"""Number of characters of a request or an answer that a table shows. summary.json contains more of the text."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A function that converts the values of a column to cells."""

    cell: Callable[[object, RunSummary], Cell]
    number: bool = False
    wide: bool = False


def quantile_cell(found: Quantile | None) -> Cell:
    """Return a percentile with its interval. The percentile is marked if there are too few requests to rely on it."""
    if found is None or found.value_ms is None:
        return Cell(f.ABSENT)
    small = () if found.low_ms is None else (f.interval_ms(found.low_ms, found.high_ms),)
    return Cell(f.ms(found.value_ms), small, tone="" if found.enough else "few")


def _number(write: Callable[[float | None], str]) -> Writer:
    return Writer(lambda value, _: Cell(write(value)), number=True)  # type: ignore[arg-type] # Shown guarantees numbers


def _text(value: object, _: RunSummary) -> Cell:
    return Cell(f.ABSENT if value in (None, "") else str(value))


def _payload(value: object, _: RunSummary) -> Cell:
    text = str(value)
    return Cell(text if len(text) <= PAYLOAD_CHARS else text[: PAYLOAD_CHARS - 1] + "…", code=True)


def _failures(value: object, _: RunSummary) -> Cell:
    return Cell(f.count(value), tone="bad" if value else "")  # type: ignore[arg-type] # Shown guarantees a number


def _settled(value: object, _: RunSummary) -> Cell:
    return Cell("did not settle", tone="unsure") if value is None else Cell(f.seconds(value))  # type: ignore[arg-type] # Shown guarantees a number


def _clock(value: object, run: RunSummary) -> Cell:
    if value is None:
        return Cell(f.ABSENT)
    return Cell(f.elapsed(value), (f"{f.utc(run.load_start, value)} UTC",))  # type: ignore[arg-type] # Shown guarantees a number


WRITERS: Mapping[str, Writer] = {
    "text": Writer(_text),
    "long": Writer(_text, wide=True),
    "body": Writer(lambda value, _: Cell(gist_of(str(value)) if value else f.ABSENT), wide=True),
    "status": Writer(_text, number=True),
    "phase": Writer(lambda value, _: Cell(f.phase(str(value)))),
    "outcome": Writer(lambda value, _: Cell(f.outcome(str(value)))),
    "count": _number(f.count),
    "decimal": _number(f.decimal),
    "ms": _number(f.ms),
    "seconds": _number(f.seconds),
    "waiting": _number(lambda value: f.ABSENT if value is None else f"{f.decimal(value)} s"),
    "percent": _number(f.percent),
    "bytes": _number(f.size),
    "moment": _number(f.elapsed),
    "failures": Writer(_failures, number=True),
    "settled": Writer(_settled, number=True),
    "clock": Writer(_clock, number=True),
    "payload": Writer(_payload, wide=True),
    "lost": Writer(lambda value, _: Cell(str(value), tone="bad") if value else Cell("no")),
}


def table_of(
    label: str,
    rows: Sequence[tuple[RunSummary, Part]],
    *,
    name_runs: bool,
    folded: str = "",
) -> Table:
    """Return a table with a row per part and a column per field that has a `Shown`, in the order of the fields.

    A column in which no row has a value is left out. Otherwise a missing value is shown as "–".

    Args:
        label: the content of the table.
        rows: each part with its run; all parts have one class.
        name_runs: whether the first column is the run's name.
        folded: see Table.
    """
    columns: list[Column] = [Column("run", wide=True)] if name_runs else []
    cells: list[list[Cell]] = [[Cell(run.name)] if name_runs else [] for run, _ in rows]
    for field, shown in _shown(rows):
        values = [getattr(part, field) for _, part in rows]
        if shown.write == "percentiles":
            _add_percentiles(values, columns, cells)
        elif any(value not in (None, "") for value in values) or shown.write == "settled":
            writer = WRITERS[shown.write]
            columns.append(Column(shown.head, writer.number, writer.wide))
            for row, value, (run, _) in zip(cells, values, rows, strict=True):
                row.append(writer.cell(value, run))
    return Table(label, tuple(columns), tuple(tuple(row) for row in cells), folded)


def _shown(rows: Sequence[tuple[RunSummary, Part]]) -> list[tuple[str, Shown]]:
    fields = type(rows[0][1]).model_fields if rows else {}
    return [(name, mark) for name, field in fields.items() for mark in field.metadata if isinstance(mark, Shown)]


def _add_percentiles(values: Sequence[list[Quantile]], columns: list[Column], cells: list[list[Cell]]) -> None:
    """Add a column for each percentile that at least one row has."""
    for q in sorted({quantile.q_ratio for listed in values for quantile in listed}):
        columns.append(Column(f.quantile(q), number=True))
        for row, listed in zip(cells, values, strict=True):
            row.append(quantile_cell(next((field for field in listed if field.q_ratio == q), None)))
