"""Render a report as Markdown, for a pull request or a wiki."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reports.data.formats import printable
from reports.model import Report
from reports.render import sentences
from reports.render.sections import outline
from reports.render.tree import Beside, Block, Cards, Cell, Charts, Facts, Heading, Points, Table, Words

SPECIAL = "\\`*_{}[]<>#|~&"


def render_markdown(report: Report) -> str:
    """Return the report as GitHub-flavoured Markdown; texts of a run are escaped."""
    parts = [f"# {escaped(sentences.title(report))}"]
    for section in outline(report):
        blocks = [part for block in section.blocks for part in _parts(block)]
        if blocks:
            parts += [f"## {escaped(section.heading)}", *blocks]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Return text in which nothing is read as Markdown or HTML, on one line."""
    return "".join(f"\\{char}" if char in SPECIAL else char for char in printable(text))


def _parts(block: Block) -> Iterator[str]:
    match block:
        case Words():
            yield escaped(block.line)
        case Cards():
            yield from (escaped(card.line) for card in block.cards)
        case Points():
            yield "\n".join(f"- {escaped(item)}" for item in block.items)
        case Facts():
            yield "\n".join(f"- {escaped(name)}: {escaped(cell.line)}" for name, cell in block.rows)
        case Charts():
            yield from (escaped(line) for line in block.lines)
        case Heading():
            yield f"### {escaped(block.text)}"
        case Table():
            yield _table(block)
        case Beside():
            yield from (part for inner in block.blocks for part in _parts(inner))


def _table(table: Table) -> str:
    rule = ["---:" if column.number else ":---" for column in table.columns]
    lines = [_row([escaped(column.head) for column in table.columns]), _row(rule)]
    return "\n".join(lines + [_row([_cell(cell) for cell in row]) for row in table.rows])


def _cell(cell: Cell) -> str:
    return escaped(" ".join([cell.line, *cell.more]))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
