"""Check in the source that imports follow the direction of the design."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
CORE = {"loadtest.recording", "loadtest.core"}
ALLOWED = {
    "lt": {"loadtest.cli"},
    "loadtest": set(),
    "loadtest.core": set(),
    "loadtest.recording": {"loadtest.core"},
    "loadtest.http": {"loadtest.core"},
    "loadtest.users": {"loadtest.http", *CORE},
    "loadtest.recorder": {"loadtest.users", "loadtest.http", *CORE},
    "loadtest.fleet": {"loadtest.recorder", "loadtest.users", *CORE},
    "loadtest.openapi": {"loadtest.core"},
    "loadtest.emulator": {"loadtest.core"},
    "loadtest.platforms": {"loadtest.emulator", *CORE},
    "loadtest.runs": {"loadtest", "loadtest.platforms", "loadtest.fleet", *CORE},
    "loadtest.api": {"loadtest.runs", *CORE, "reports.model", "reports.render", "reports.summary"},
    "loadtest.cli": {
        "loadtest",
        "loadtest.api",
        "loadtest.runs",
        "loadtest.platforms",
        "loadtest.emulator",
        "loadtest.openapi",
        "loadtest.fleet",
        *CORE,
        "reports.model",
        "reports.verdict",
        "reports.analysis",
        "reports.render",
        "reports.summary",
        "reports.live",
        "reports.data",
        "target_service",
    },
    "reports": set(),
    "reports.model": {"loadtest.recording"},
    "reports.verdict": {"reports.model"},
    "reports.data": {"reports.model", *CORE},
    "reports.spikes": {"reports.data", "reports.model", *CORE},
    "reports.analysis": {"reports.spikes", "reports.data", "reports.model", *CORE},
    "reports.summary": {
        "loadtest",
        "reports.analysis",
        "reports.spikes",
        "reports.data",
        "reports.model",
        "reports.verdict",
        *CORE,
    },
    "reports.render": {"reports.model", "reports.verdict", "reports.data", *CORE},
    "reports.live": {"reports.render", "reports.summary", "reports.data", "reports.model", *CORE},
    "scenarios": {"loadtest.users"},
    "target_service": set(),
}
"""The packages that each layer may import, in addition to itself. The longest matching name is a module's layer."""

SHIMS = {"loadtest.user", "loadtest.shapes", "loadtest.schedule", "loadtest.pacing"}
"""Old import paths that users' locustfiles may contain."""

STILL: frozenset[tuple[str, str]] = frozenset()
"""Imports against the direction of the design that are still to be removed. The list only shrinks."""

BARRED = {
    "loadtest.core": {"locust", "gevent", "google", "grpc"},
    "loadtest.recording": {"locust", "gevent", "google", "grpc"},
    "loadtest.openapi": {"loadtest.core"},
    "loadtest.emulator": {"locust", "gevent"},
    "loadtest.platforms": {"locust", "gevent"},
    "loadtest.users": {"google", "grpc"},
    "loadtest.recorder": {"google", "grpc"},
    "reports": {"locust", "gevent", "google", "grpc"},
    "scenarios": {"google", "grpc"},
    "target_service": {"locust", "gevent", "google", "grpc"},
}


def module_of(path: Path) -> str:
    """Return the dotted name of a source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    module_of(path): path
    for top in ("lt.py", "loadtest", "reports", "scenarios", "target_service")
    for path in ([ROOT / top] if top.endswith(".py") else sorted((ROOT / top).rglob("*.py")))
}


def package_of(module: str) -> str:
    """Return the layer of a module: the longest name in ALLOWED with which it begins."""
    return max(
        (package for package in ALLOWED if module == package or module.startswith(package + ".")),
        key=len,
        default=module,
    )


def imported(module: str) -> set[str]:
    """Return the full names of all modules that a file imports anywhere, with relative names resolved."""
    path, found = FILES[module], set()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            found |= {full if (full := f"{source}.{name.name}") in FILES else source for name in node.names}
    return found


@pytest.mark.parametrize("module", sorted(FILES))
def test_imports_point_one_way(module: str) -> None:
    """No module imports from a package that its own package may not use, or from a package that must stay out of its
    process.
    """
    package, names = package_of(module), imported(module)
    if module in SHIMS:
        return
    assert package in ALLOWED, f"{module}: add its package to ALLOWED"
    used = {package_of(name) for name in names if name in FILES} - {
        other for importer, other in STILL if importer == module
    }
    assert used <= ALLOWED[package] | {package}, f"{module} imports {sorted(used - ALLOWED[package] - {package})}"
    barred = set().union(*(packages for prefix, packages in BARRED.items() if module.startswith(prefix)))
    wrong = {name for name in names if name.partition(".")[0] in barred}
    assert not wrong, f"{module} imports {sorted(wrong)}"


def test_the_map_for_contributors_lists_every_layer_above_those_that_it_imports() -> None:
    """In the list of CONTRIBUTING.md, a package imports only packages below it."""
    places = re.findall(r"^\| `(.+?)(?:\.py|/__init__\.py|/)`(?:, `(.+?)/`)?", CONTRIBUTING.read_text(), re.M)
    listed = [name.replace("/", ".") for place in places for name in place if name]
    assert sorted(listed) == sorted(ALLOWED.keys() - {"reports"})
    upwards = {
        (layer, other) for layer in listed for other in ALLOWED[layer] if listed.index(other) < listed.index(layer)
    }
    assert not upwards


def test_no_modules_import_each_other_in_a_circle() -> None:
    """There is no import cycle, not even one that `TYPE_CHECKING` hides."""
    edges = {module: {name for name in imported(module) if name in FILES and name != module} for module in FILES}
    while leaves := [module for module, names in edges.items() if not names & edges.keys()]:
        for module in leaves:
            del edges[module]
    assert not edges, f"circles among {sorted(edges)}"
