"""The library behind `lt`: it load-tests model services and explains the results (docs/library.md).

Importing this package patches nothing and imports neither Locust nor pandas; each public name is imported when it is
first used. In a locustfile: `from loadtest import FastUser, Ramp`. In a notebook or a test, use `run`, `report` and
`open_run`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.2.0"
"""The version of the whole project. pyproject.toml reads the version from this file, so it is known even if the package
is not installed."""

__all__ = [
    "AnswerCheck",
    "Burst",
    "CloudError",
    "EmulatorError",
    "FastUser",
    "FleetError",
    "FormatVersionError",
    "LoadTestError",
    "ObjectiveError",
    "OpenLoopUser",
    "PlannedShape",
    "Ramp",
    "RecordedRun",
    "RunFolderError",
    "Staircase",
    "TargetError",
    "UnknownRunError",
    "UnusableError",
    "UsageError",
    "open_run",
    "report",
    "rows",
    "run",
    "spread_throughput",
]

_MODULES = {
    ".core.answers": ("AnswerCheck",),
    ".api": ("RecordedRun", "open_run", "report", "run"),
    ".users.fast_user": ("FastUser",),
    ".users.open_loop": ("OpenLoopUser",),
    ".users.pacing": ("spread_throughput",),
    ".users.rows": ("rows",),
    ".users.shapes": ("Burst", "PlannedShape", "Ramp", "Staircase"),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}
"""The module of each public name. A name that is not in this table is an error class."""


def __getattr__(name: str) -> Any:
    """Import a public name and return it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE.get(name, ".core.errors"), __name__), name)


def __dir__() -> list[str]:
    """Return the public names, so that an editor's completion shows them."""
    return [*__all__, "__version__"]
