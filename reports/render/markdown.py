"""Render a report as Markdown, for a pull request or a wiki."""

from __future__ import annotations

from collections.abc import Sequence

from reports.data import formats
from reports.model import Report
from reports.render import sentences
from reports.render.sections import Table, outline

SPECIAL = "\\`*_{}[]<>#|~&"


def render_markdown(report: Report) -> str:
    """Return the report as GitHub-flavoured Markdown; texts of a run are escaped."""
    parts = [f"# {escaped(sentences.title(report))}"]
    for section in outline(report):
        parts.append(f"## {escaped(section.heading)}")
        parts += [_table(block) if isinstance(block, Table) else escaped(block) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Return text in which nothing is read as Markdown or HTML, on one line."""
    return "".join(f"\\{char}" if char in SPECIAL else char for char in formats.printable(text))


def _table(table: Table) -> str:
    rule = ["---:" if at in table.numbers else ":---" for at in range(len(table.heads))]
    lines = [_row([escaped(head) for head in table.heads]), _row(rule)]
    return "\n".join(lines + [_row([escaped(cell) for cell in row]) for row in table.rows])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
