"""Render a report as Markdown, for a pull request or a wiki."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reports.data.formats import printable
from reports.model import Report
from reports.render import sentences
from reports.render.sections import outline
from reports.render.tree import Beside, Block, Cards, Cell, Charts, Facts, Heading, Points, Table, Words
from reports.verdict import of_report

SPECIAL = "\\`*_{}[]<>#|~&"


MAX_BYTES = 64_000
"""Largest size of a report: GitHub accepts 65,536 characters as a comment."""


def render_markdown(report: Report) -> str:
    """Return the report as GitHub-flavoured Markdown of at most MAX_BYTES; the verdict comes first.

    Texts of a run are escaped. If the report is too long, parts are left out from the end (tables row by row), with a
    note.
    """
    parts = [f"# {escaped(sentences.title(report))}", *_verdict(report)]
    left_out: list[str] = []
    room = MAX_BYTES - sum(_size(part) for part in parts) - NOTE_BYTES
    for section in outline(report):
        blocks = [part for block in section.blocks for part in _parts(block)]
        if not blocks:
            continue
        for part in (f"## {escaped(section.heading)}", *blocks):
            kept = _fitting(part, room)
            if kept:
                parts.append(kept)
                room -= _size(kept)
            if kept != part and section.heading not in left_out:
                left_out.append(section.heading)
    if left_out:
        parts.append(escaped(f"Left out or cut for length: {', '.join(left_out)}. The page (--format html) has all."))
    return "\n\n".join(parts) + "\n"


NOTE_BYTES = 1_000
"""Number of bytes reserved for the sentence about the omitted parts."""

MAX_REASONS = 20


def _verdict(report: Report) -> list[str]:
    """Return the verdict in bold, and its reasons."""
    found = of_report(report)
    reasons = [f"- {escaped(reason[:MAX_REASON_CHARS])}" for reason in found.why[:MAX_REASONS]]
    more = len(found.why) - MAX_REASONS
    reasons += [f"- and {more} more"] if more > 0 else []
    return [
        f"**{sentences.MARKS.get(found.kind, '')} {found.kind.capitalize()}**".replace("** ", "**"),
        "\n".join(reasons),
    ]


MAX_REASON_CHARS = 600


def _fitting(part: str, room: int) -> str:
    """Return as many whole lines of a part as fit. A table without rows, or a heading alone, is left out."""
    if _size(part) <= room:
        return part
    lines: list[str] = []
    for line in part.splitlines():
        room -= _size(line)
        if room < 0:
            break
        lines.append(line)
    return "\n".join(lines) if len(lines) > 2 else ""


def _size(part: str) -> int:
    return len(part.encode()) + 2


def escaped(text: str) -> str:
    """Return the text on one line, escaped so that nothing in it is read as Markdown or HTML."""
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
