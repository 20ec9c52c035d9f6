"""Render a report as plain text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from reports.data import formats
from reports.model import Report, RunSummary
from reports.render import sentences
from reports.render.sections import Table, outline

WIDTH = 100
BLOCKS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 60


def render_text(report: Report, *, brief: bool = False) -> str:
    """Return the report as text that ends in a newline.

    Args:
        report: what to render.
        brief: only what belongs at the end of a run: the answers, the spikes, the phases, the failures.
    """
    title = formats.printable(sentences.title(report))
    parts = [f"{title}\n{'=' * len(title)}"]
    for section in outline(report):
        if brief and not section.short:
            continue
        heading = formats.printable(section.heading)
        blocks = [_block(block) for block in section.blocks]
        parts.append("\n".join([heading, "-" * len(heading), *blocks]))
        if section.heading == "In short":
            parts += [line for run in report.runs if (line := p95_over_time(run))]
    return "\n\n".join(parts) + "\n"


def p95_over_time(run: RunSummary) -> str:
    """Return the run's p95 as a line of blocks, a space where nothing was measured; "" when it never was."""
    values = run.series.columns.get("p95_ms", [])
    width = min(SPARK_WIDTH, len(values))
    slices = [values[at * len(values) // width : (at + 1) * len(values) // width] for at in range(width)]
    highest = [max((value for value in part if value is not None), default=None) for part in slices]
    top = max((value for value in highest if value is not None), default=None)
    if not top:
        return ""
    blocks = (" " if value is None else BLOCKS[min(7, int(8 * value / top))] for value in highest)
    return f"p95 of {formats.printable(run.name)}, 0 to {formats.ms(top)}: {''.join(blocks)}"


def _block(block: str | Table) -> str:
    return (
        _aligned(block)
        if isinstance(block, Table)
        else textwrap.fill(formats.printable(block), WIDTH, subsequent_indent="  ")
    )


def _aligned(table: Table) -> str:
    rows = [tuple(formats.printable(cell) for cell in row) for row in (table.heads, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths, table.numbers) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int], numbers: frozenset[int]) -> str:
    cells = [
        cell.rjust(width) if at in numbers else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()
