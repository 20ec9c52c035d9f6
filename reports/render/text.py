"""Render a report as plain text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from reports.data.formats import printable
from reports.model import Report
from reports.render import sentences
from reports.render.sections import outline
from reports.render.tree import Beside, Block, Cards, Cell, Charts, Facts, Heading, Points, Table, Words

WIDTH = 100
LONGEST_CELL = 60
"""Longest cell within a column. A longer cell would move the following columns off the screen, so it is printed on
separate lines under its row."""


def render_text(report: Report, *, brief: bool = False) -> str:
    """Return the report as text that ends in a newline.

    Args:
        report: the report to render.
        brief: whether to return only the parts for the end of a run: the answers, the failures, the spikes, the phases.
    """
    title = printable(sentences.title(report))
    parts = [f"{title}\n{'=' * len(title)}"]
    for section in outline(report):
        if brief and not section.brief:
            continue
        heading = printable(section.heading)
        lines = [line for block in section.blocks for line in _lines(block, brief=brief)]
        if lines:
            parts.append("\n".join([heading, "-" * len(heading), *lines]))
    return "\n\n".join(parts) + "\n"


def _lines(block: Block, *, brief: bool) -> Iterator[str]:
    match block:
        case Words():
            yield _wrapped(block.line)
        case Cards():
            yield from (_wrapped(card.line) for card in block.cards)
        case Points():
            yield from (_wrapped(f"- {item}") for item in block.items)
        case Facts():
            yield from (_wrapped(f"{name}: {cell.line}") for name, cell in block.rows)
        case Charts():
            yield from block.lines
        case Heading():
            yield f"\n{printable(block.text)}"
        case Table():
            yield from _aligned(block, brief=brief)
        case Beside():
            yield from (line for inner in block.blocks for line in _lines(inner, brief=brief))


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(printable(text), WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ")


def _aligned(table: Table, *, brief: bool) -> Iterator[str]:
    """Yield the table in columns, with long cells and details on separate lines under each row.

    The qualification of a value, such as its interval, follows it in brackets. If the table is too wide for that, the
    qualification is printed on the line below. The brief summary leaves this line out.
    """
    heads = [printable(column.head) for column in table.columns]
    rows = [[printable(cell.line) for cell in row] for row in table.rows]
    long = [max((len(row[at]) for row in rows), default=0) > LONGEST_CELL for at in range(len(heads))]
    grid = [at for at in range(len(heads)) if not long[at]]
    lines = [[[row[at] for at in grid]] for row in rows]
    if _width(heads, grid, lines) > WIDTH:
        lines = [
            [[printable(row[at].text) for at in grid], *([] if brief else _qualifiers(row, grid))] for row in table.rows
        ]
    widths = [max(len(heads[at]), *(len(line[n]) for row in lines for line in row)) for n, at in enumerate(grid)]
    numbers = [table.columns[at].number for at in grid]
    if grid:
        yield _line([heads[at] for at in grid], widths, numbers)
    for row, cells, texts in zip(lines, table.rows, rows, strict=True):
        yield from (_line(line, widths, numbers) for line in row if grid)
        yield from (_wrapped(f"{heads[at]}: {texts[at]}", "    ") for at in range(len(heads)) if long[at])
        yield from (_wrapped(text, indent="    ") for cell in cells for text in cell.more)


def _width(heads: Sequence[str], grid: Sequence[int], lines: Sequence[Sequence[Sequence[str]]]) -> int:
    columns = [max(len(heads[at]), *(len(line[n]) for row in lines for line in row)) for n, at in enumerate(grid)]
    return sum(columns) + 2 * (len(columns) - 1)


def _qualifiers(row: Sequence[Cell], grid: Sequence[int]) -> Iterator[list[str]]:
    if any(row[at].small for at in grid):
        yield [printable("; ".join(row[at].small)) for at in grid]


def _line(row: Sequence[str], widths: Sequence[int], numbers: Sequence[bool]) -> str:
    cells = [
        cell.rjust(width) if number else cell.ljust(width)
        for cell, width, number in zip(row, widths, numbers, strict=True)
    ]
    return "  ".join(cells).rstrip()
