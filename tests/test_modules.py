"""The tests reach every module: by an import, or by its name if the module is loaded by name or runs as a process."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from loadtest.fleet.scenario import bundled
from tests.conftest import ROOT

PACKAGES = ("loadtest", "reports", "scenarios", "target_service")
NAMED = re.compile(r"[.\w/-]+(?:\.py)?(?::\w+)?")
"""The form in which code names a module in a string: `.local:Local`, `deploy:deploy`, `loadtest/launch.py`."""


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _modules() -> dict[str, Path]:
    return {_name(path): path for package in PACKAGES for path in (ROOT / package).rglob("*.py")}


def _references(path: Path, package: str) -> Iterator[str]:
    """Yield the full names of the modules that a file imports, and the names that its strings may mean."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and NAMED.fullmatch(node.value):
            text = node.value.partition(":")[0].removesuffix(".py").replace("/", ".").strip(".")
            yield from (text, f"{package}.{text}", f"loadtest.{text}", f"scenarios.{text}", f"{text}.__main__")


def _reached(modules: dict[str, Path]) -> set[str]:
    tests = [path for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts]
    waiting = {name for path in [*tests, ROOT / "lt.py"] for name in _references(path, "tests")}
    waiting |= {f"scenarios.{name}" for name in bundled()}  # `lt scenarios`, run by test_docs.py, imports each
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        for found in {name, name.rpartition(".")[0]} & (modules.keys() - reached):
            path = modules[found]
            package = found if path.name == "__init__.py" else found.rpartition(".")[0]
            reached.add(found)
            waiting |= {*_references(path, package), package}
    return reached


def test_every_module_is_reached_from_the_tests() -> None:
    modules = _modules()
    assert sorted(modules.keys() - _reached(modules)) == []


def test_a_module_that_nothing_names_is_found(tmp_path: Path) -> None:
    """The check can fail: a module that no import and no string names is not reached."""
    path = tmp_path / "lonely.py"
    path.write_text("")
    lonely = ".".join(["loadtest", "core", "lonely"])  # if this were one string, this file would name the module
    modules = {**_modules(), lonely: path}
    assert modules.keys() - _reached(modules) == {lonely}
