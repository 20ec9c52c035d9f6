"""The verb `scenarios`: list the bundled scenarios with their shape."""

from __future__ import annotations

BARS = " ▁▂▃▄▅▆▇█"
SPARK_WIDTH = 16


def list_scenarios() -> int:
    """List the scenarios: shape, most users, length, the most requests they send, and what they are for."""
    from rich.table import Table

    from ..fleet.scenario import bundled, describe_all
    from .terminal import out

    table = Table(box=None, pad_edge=False)
    for column in ("scenario", "users over time", "users", "length", "requests ≤"):
        table.add_column(column, no_wrap=True, justify="right" if column in ("users", "requests ≤") else "left")
    table.add_column("what for")
    for name, scenario in zip(bundled(), describe_all(bundled().values()), strict=True):
        if isinstance(scenario, str):
            table.add_row(name, "–", "–", "–", "–", scenario)
            continue
        budget = scenario.request_budget()
        table.add_row(
            name,
            sparkline(scenario.points),
            f"{scenario.users}",
            _length(scenario.duration_s),
            "–" if budget is None else f"{budget:,.0f}",
            scenario.description,
        )
    out.print(table)
    return 0


def sparkline(points: tuple[tuple[float, float], ...], width: int = SPARK_WIDTH) -> str:
    """Return the plan drawn in `width` characters, its peak a full block."""
    from ..core.plan import users_at

    if not points:
        return "?" * width
    end_s = points[-1][0]
    levels = [users_at(points, (column + 0.5) / width * end_s) or 0.0 for column in range(width)]
    peak = max(levels) or 1.0
    return "".join(BARS[round(level / peak * (len(BARS) - 1))] for level in levels)


def _length(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
