"""The import arrow of the design, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {"cli", "cloudrun", "emulator", "loadtest", "recording", "reports", "scenarios", "target_service"}
ALLOWED = {
    "lt": {"cli", "recording"},
    "cli": {"cloudrun", "emulator", "loadtest", "recording", "reports", "target_service"},
    "cloudrun": {"recording"},
    "emulator": {"recording"},
    "loadtest": {"recording"},
    "recording": set(),
    "reports": {"recording"},
    "scenarios": {"loadtest", "recording"},
    "target_service": set(),
}
BARRED = {
    "reports": {"locust", "gevent", "google", "grpc"},
    "recording": {"locust", "gevent", "google", "grpc"},
    "cloudrun": {"locust", "gevent"},
    "emulator": {"locust", "gevent"},
    "loadtest": {"google", "grpc"},
    "scenarios": {"google", "grpc"},
    "target_service": {"locust", "gevent", "google", "grpc"},
}


def imported(path: Path) -> set[str]:
    """Return the top-level packages that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def files(room: str) -> list[Path]:
    return [ROOT / "lt.py"] if room == "lt" else sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_imports_point_one_way(room: str) -> None:
    """No room imports a sibling, or a package that must stay out of its process."""
    assert files(room)
    for path in files(room):
        wrong = imported(path) & (ROOMS - ALLOWED[room] - {room} | BARRED.get(room, set()))
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"
