"""Draw a run's p95 over time as a line of blocks, for formats without charts."""

from __future__ import annotations

from reports.data import formats
from reports.model import RunSummary

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 60


def p95_over_time(run: RunSummary) -> str:
    """Return the run's p95 as a line of blocks, a space where nothing was measured; "" when it never was."""
    values = run.series.columns.get("p95_ms", [])
    width = min(WIDTH, len(values))
    slices = [values[at * len(values) // width : (at + 1) * len(values) // width] for at in range(width)]
    highest = [max((value for value in part if value is not None), default=None) for part in slices]
    top = max((value for value in highest if value is not None), default=None)
    if not top:
        return ""
    blocks = (" " if value is None else BLOCKS[min(7, int(8 * value / top))] for value in highest)
    return f"p95 of {formats.printable(run.name)}, 0 to {formats.ms(top)}: {''.join(blocks)}"
