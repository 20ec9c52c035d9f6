"""Cache the descriptions of bundled scenarios, because making them requires importing Locust, which is slow."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).parents[2]
SOURCES = ("loadtest", "scenarios", "target_service")
"""The packages from which a bundled scenario may import."""

CONFIGURATION = ("~/.locust.conf", "locust.conf", "pyproject.toml")
"""The files that Locust reads by itself. Relative paths are relative to the working directory."""

KEPT = 64
"""Maximum number of files in the cache; the newest files are kept."""


def folder() -> Path:
    """Return the cache's folder, `$XDG_CACHE_HOME/lt` or `~/.cache/lt`. The folder may not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lt"


def key_of(path: Path, request: dict[str, Any]) -> str | None:
    """Return the cache key of a description, or None if it cannot be cached.

    Only bundled scenarios are cached, because their imports are known. The key is a digest of everything that
    determines a description: the size and time of each source file (as for Python's own `.pyc` files), Locust and
    Python, and the configuration that Locust reads.

    Args:
        path: the path of the locustfile.
        request: the fields of `loadtest.fleet.scenario.Request`, as JSON values.
    """
    if path.parent != HOUSE / "scenarios" or request.get("arguments"):
        return None  # the arguments may contain `--config FILE`
    return _key(str(path), request)


def key_of_list() -> str | None:
    """Return the cache key of the list of bundled scenarios, or None if it cannot be cached."""
    return _key("all", {})


def _key(what: str, request: dict[str, Any]) -> str | None:
    if any(name.startswith("LOCUST_") for name in os.environ):
        return None
    digest = hashlib.sha256(json.dumps([what, request, sys.version, os.environ.get("PYTHONPATH")]).encode())
    for source in _sources():
        about = source.stat()
        digest.update(f"{source}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    for name in CONFIGURATION:
        with suppress(OSError):
            digest.update(name.encode() + Path(name).expanduser().read_bytes())
    return digest.hexdigest()


def _sources() -> Iterator[Path]:
    for package in SOURCES:
        yield from sorted((HOUSE / package).rglob("*.py"))
    locust = importlib.util.find_spec("locust")  # this function finds the module without importing it
    if locust is not None and locust.origin is not None:
        yield from sorted(Path(locust.origin).parent.glob("*.py"))


def read(key: str) -> str | None:
    """Return the cached description of `key`, or None."""
    try:
        return (folder() / f"{key}.json").read_text(encoding="utf-8")
    except (OSError, RuntimeError, UnicodeDecodeError):
        # there is no cached description or no home folder, or the file is incomplete
        return None


def keep(key: str, description: str) -> None:
    """Cache a description. If the cache cannot be written, this is not an error: the next call only takes longer."""
    with suppress(OSError, RuntimeError):
        folder().mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder(), suffix=".new", delete=False, encoding="utf-8") as new:
            new.write(description)
        Path(new.name).replace(folder() / f"{key}.json")
        for old in sorted(folder().glob("*.json"), key=lambda file: file.stat().st_mtime_ns)[:-KEPT]:
            old.unlink()
