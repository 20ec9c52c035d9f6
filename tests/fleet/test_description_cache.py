"""The cache keys of the descriptions of bundled scenarios. A cache that fails costs time and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loadtest.fleet import description_cache
from loadtest.fleet.description_cache import key_of
from loadtest.fleet.scenario import Request, bundled, describe_one

STEADY = bundled()["steady"]
ANSWER = {
    "sha256": "0" * 64,
    "description": "",
    "user_classes": ["Borrower"],
    "open_loop": False,
    "shape": None,
    "points": [(0.0, 0.0), (10.0, 5.0)],
    "spawn_rate": 1.0,
    "duration_s": 10.0,
    "requests_per_user_s": 1.0,
    "objectives": ["p95 < 1s"],
    "limits": {"cpu": 1},
}


@pytest.fixture(autouse=True)
def a_machine_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("LOCUST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a small copy of the files that are digested."""
    for package in description_cache.SOURCES:
        (tmp_path / "house" / package).mkdir(parents=True)
        (tmp_path / "house" / package / "some.py").write_text("A = 1\n")
    monkeypatch.setattr(description_cache, "HOUSE", tmp_path / "house")
    return tmp_path / "house"


def test_the_key_follows_everything_that_a_description_follows(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = house / "scenarios" / "some.py"
    seen = [key_of(path, {})]
    assert key_of(path, {}) == seen[0]
    seen.append(key_of(path, {"users": 3}))
    for package in description_cache.SOURCES:
        (house / package / "some.py").write_text("A = 22\n")
        seen.append(key_of(path, {}))
    (house / "loadtest" / "new.py").touch()
    seen.append(key_of(path, {}))
    for name in ("locust.conf", "pyproject.toml"):
        Path(name).write_text("users = 3\n")
        seen.append(key_of(path, {}))
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    seen.append(key_of(path, {}))
    assert None not in seen
    assert len(set(seen)) == len(seen)


def test_what_may_follow_from_something_else_has_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").touch()
    assert key_of(tmp_path / "mine.py", {}) is None
    assert key_of(STEADY, {"arguments": ["--config", "x"]}) is None
    monkeypatch.setenv("LOCUST_USERS", "3")
    assert key_of(STEADY, {}) is None


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with each describing process. The fake process answers at once."""
    started: list[int] = []

    def describe(requests: list[tuple[Path, Request]]) -> list[dict[str, object]]:
        started.extend(1 for _ in requests)
        return [{**ANSWER, "path": str(path), "users": request.users} for path, request in requests]

    monkeypatch.setattr("loadtest.fleet.scenario._describe", describe)
    return started


def test_a_kept_description_is_the_same_and_needs_no_process(processes: list[int]) -> None:
    first = describe_one(STEADY, users=7)
    assert describe_one(STEADY, users=7) == first
    assert len(processes) == 1
    assert describe_one(STEADY, users=8).users == 8
    assert len(processes) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"name": 3}'])
def test_a_cache_that_is_not_whole_is_made_again(content: bytes, processes: list[int]) -> None:
    first = describe_one(STEADY)
    (kept,) = description_cache.folder().glob("*.json")
    kept.write_bytes(content)
    assert describe_one(STEADY) == first
    assert kept.read_bytes() != content
    assert len(processes) == 2


def test_a_cache_that_cannot_be_written_costs_nothing(tmp_path: Path, processes: list[int]) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    assert describe_one(STEADY, users=3).users == 3
    assert len(processes) == 1


def test_the_oldest_go(tmp_path: Path) -> None:
    for number in range(description_cache.KEPT + 3):
        description_cache.keep(f"{number}", "{}")
        os.utime(description_cache.folder() / f"{number}.json", (number, number))
    description_cache.keep("last", "{}")
    names = {path.stem for path in description_cache.folder().iterdir()}
    assert len(names) == description_cache.KEPT
    assert {"last", f"{description_cache.KEPT + 2}"} <= names
    assert "0" not in names
