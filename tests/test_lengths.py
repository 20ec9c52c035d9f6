"""Functions have at most 60 lines and files at most 450. Each exception has its reason next to it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

LONGEST_FUNCTION = 60
LONGEST_FILE = 450
FOLDERS = ("loadtest", "reports", "scenarios", "target_service", "benchmarks", "docs")

LONG_FILES = {
    "reports/model.py": "the documented schema of summary.json: declarations only, read from top to bottom as one page",
    "reports/data/rules.py": "the constants of all rules, each with its reason: declarations only",
}
"""Files that may be longer, with the reason."""

REASON = re.compile(r"#.*\b(long|one function)\b.*")
"""The comment on the first line of a longer function: it says why the function would be harder to read, or slower, if
it were split."""


def sources() -> list[Path]:
    """Return every Python file of the product."""
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")) if "peers" not in path.parts]


def too_long(source: str) -> list[str]:
    """Return the functions that are too long and have no reason on their first line."""
    lines = source.splitlines()
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LONGEST_FUNCTION and not REASON.search(lines[node.lineno - 1]):
                found.append(f"{node.name}: {length} lines")
    return found


def test_a_function_too_long_is_found_and_a_reason_excuses_it() -> None:
    body = "    x = 1\n" * LONGEST_FUNCTION
    assert too_long(f"def f():\n{body}") == ["f: 61 lines"]
    assert too_long(f"def f():  # long as a table\n{body}") == []
    assert too_long(f"def f():\n{body[10:]}") == []


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_and_files_fit(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert too_long(source) == []
    if str(path.relative_to(ROOT)) not in LONG_FILES:
        assert len(source.splitlines()) <= LONGEST_FILE


def test_the_files_that_may_be_longer_are() -> None:
    """An exception that is no longer needed must be removed."""
    assert all(len((ROOT / name).read_text(encoding="utf-8").splitlines()) > LONGEST_FILE for name in LONG_FILES)
