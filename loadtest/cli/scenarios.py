"""The verb `scenarios`: list the bundled scenarios with their load shapes."""

from __future__ import annotations

import json
import shutil
import textwrap
from typing import TYPE_CHECKING

from ..fleet import description_cache

if TYPE_CHECKING:  # slow to import, and not needed when the list is cached
    from ..fleet.scenario import Scenario

BARS = " ▁▂▃▄▅▆▇█"
SPARK_WIDTH = 16
HEADS = ("scenario", "users over time", "users", "length", "requests ≈")
NARROWEST = 24
"""The last column is at least this wide, whatever the terminal's width."""


def list_scenarios() -> int:
    """List the scenarios: load shape, maximum number of users, duration, planned number of requests, and purpose."""
    from .columns import padded
    from .terminal import write_data

    rows = _rows()
    left = ["  ".join(cells) for cells in padded([HEADS, *(row[:5] for row in rows)], right=(2, 4))]
    width = max(NARROWEST, shutil.get_terminal_size().columns - len(left[0]) - 2)
    lines = [f"{left[0]}  what for"]
    for head, row in zip(left[1:], rows, strict=True):
        first, *others = textwrap.wrap(row[5], width, break_on_hyphens=False) or [""]
        lines += [f"{head}  {first}", *(" " * (len(head) + 2) + line for line in others)]
    write_data("".join(f"{line.rstrip()}\n" for line in lines))
    return 0


def _rows() -> list[list[str]]:
    """Return the cells of each scenario, from the cache if the scenarios have not changed."""
    key = description_cache.key_of_list()
    kept = key and description_cache.read(key)
    if kept:
        rows: list[list[str]] = json.loads(kept)
        return rows
    from ..fleet.scenario import bundled, describe_all

    described = describe_all(bundled().values())
    rows = [_cells(name, scenario) for name, scenario in zip(bundled(), described, strict=True)]
    if key and not any(isinstance(scenario, str) for scenario in described):
        description_cache.keep(key, json.dumps(rows))
    return rows


def _cells(name: str, scenario: Scenario | str) -> list[str]:
    if isinstance(scenario, str):
        return [name, "–", "–", "–", "–", scenario]
    budget = scenario.request_budget()
    return [
        name,
        sparkline(scenario.points),
        f"{scenario.users}",
        _length(scenario.duration_s),
        "–" if budget is None else f"{budget:,.0f}",
        scenario.description,
    ]


def sparkline(points: tuple[tuple[float, float], ...], width: int = SPARK_WIDTH) -> str:
    """Return the plan drawn in `width` characters. The peak is a full block."""
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
