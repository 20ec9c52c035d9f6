"""Draw a run's p95 over time as a line of blocks, for formats without charts."""

from __future__ import annotations

from collections.abc import Sequence

from reports.data import formats
from reports.model import RunSummary

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 60


def p95_over_time(run: RunSummary) -> str:
    """Return the run's p95 as a line of blocks, with a space where nothing was measured; "" without data."""
    values = run.series.columns.get("p95_ms", [])
    top = max((value for value in values if value is not None), default=None)
    return f"p95 of {formats.printable(run.name)}, 0 to {formats.ms(top)}: {spark(values)}" if top else ""


def spark(values: Sequence[float | None]) -> str:
    """Draw numbers as at most WIDTH blocks.

    Each block stands for a part of the numbers and shows the highest number in that part.
    """
    width = min(WIDTH, len(values))
    slices = [values[at * len(values) // width : (at + 1) * len(values) // width] for at in range(width)]
    highest = [max((value for value in part if value is not None), default=None) for part in slices]
    top = max((value for value in highest if value is not None), default=None)
    if not top:
        return ""
    return "".join(" " if value is None else BLOCKS[min(7, int(8 * value / top))] for value in highest)
