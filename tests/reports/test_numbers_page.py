"""docs/numbers.md lists exactly the functions that compute published numbers."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

from reports.data import numbers

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "numbers.md").read_text(encoding="utf-8")
MODULES = {
    path.stem: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "reports").rglob("*.py")
}
LISTED = set(re.findall(r"^\| [^|]+ \| `(\w+\.\w+)` \|", PAGE, re.MULTILINE))


def test_every_listed_function_exists_and_says_what_it_returns() -> None:
    assert len(LISTED) > 20
    for name in LISTED:
        module, function = name.split(".")
        found = getattr(importlib.import_module(MODULES[module]), function)
        assert (found.__doc__ or "").startswith("Return "), name


def test_every_function_of_numbers_is_listed_and_says_formula_population_unit_and_limits() -> None:
    for name, function in inspect.getmembers(numbers, inspect.isfunction):
        if function.__module__ != numbers.__name__:
            continue
        assert f"numbers.{name}" in LISTED
        for part in ("Formula:", "Population:", "Unit:", "Cannot", "tell:"):
            assert part in (function.__doc__ or ""), f"{name} lacks {part}"
