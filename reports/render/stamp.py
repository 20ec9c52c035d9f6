"""Stamp a page with a digest of all its inputs, so that an up-to-date page is not made again.

The digest covers the contents of the run's files, of the page and of the files written with the page. It does not cover
their times. Only lt's own sources are identified by size and time, as Python does for `.pyc` files.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from loadtest.core.errors import RunFolderError
from loadtest.recording.listing import recorded
from loadtest.recording.paths import RunPaths, open_file, run_files

INDEX = "index.html"
TITLE_WITHIN_BYTES = 8192
"""The page's title is within this many bytes from the beginning, before the style."""

_HOUSE = Path(__file__).parents[2]
_STAMP = re.compile(rb"<!-- (\w+) ([0-9a-f]{64}) -->\n\Z")
_RUNNING = re.compile(rb'"outcome"\s*:\s*"running"')


def run_sources(folder: Path, notes: Iterable[str]) -> str:
    """Return the digest of everything that determines the page of one run. Compute it before the run is read."""
    paths = RunPaths(folder)
    derived = {paths.summary, paths.report, paths.reserved}
    return _digest([file for file in run_files(paths) if file not in derived], [str(folder.resolve()), *notes])


def index_sources(runs: Path) -> str:
    """Return the digest of all inputs of the index; "" while a run goes on, because no file shows if it is killed."""
    folders = [RunPaths(path) for path in recorded(runs)]
    texts = [f"{paths.path.name} {paths.report.exists()}" for paths in folders]
    try:
        texts += [f"{path.name} {path.stat().st_mtime_ns}" for path in sorted(runs.glob("compare-*.html"))]
        for paths in folders:
            with open_file(paths.record) as file:
                if _RUNNING.search(file.read()):
                    return ""
    except (OSError, RunFolderError):
        return ""
    return _digest([file for paths in folders for file in (paths.record, paths.summary)], texts)


def stamped(page: str, sources: str, word: str, beside: str = "") -> str:
    """Return the page with its stamp.

    Args:
        page: the rendered page.
        sources: the digest of its inputs; "" for no stamp.
        word: a word to store in the stamp; `word_of` returns it if the page is up to date.
        beside: the text of the file that is written together with the page.
    """
    return f"{page}<!-- {word} {_seal(page.encode(), sources, word, beside.encode())} -->\n" if sources else page


def word_of(page: Path, sources: str, beside: Path | None = None) -> str | None:
    """Return the word in the stamp of a page that is unchanged and up to date, else None."""
    try:
        with open_file(page) as file:
            text = file.read()
        with_it = b""
        if beside is not None:
            with open_file(beside) as file:
                with_it = file.read()
    except (OSError, RunFolderError):
        return None
    found = _STAMP.search(text)
    if found is None or not sources:
        return None
    word = found[1].decode()
    return word if found[2].decode() == _seal(text[: found.start()], sources, word, with_it) else None


def _seal(page: bytes, sources: str, word: str, beside: bytes) -> str:
    parts = (page, beside, sources.encode(), word.encode())
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _digest(files: Iterable[Path], texts: Iterable[str]) -> str:
    """Return one digest of the files' contents, the texts and lt's own files; "" if a file cannot be read."""
    parts = [*texts, "", *program()]
    for path in files:
        try:
            with open_file(path) as file:
                digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type] # it is a BufferedReader
            parts.append(f"{path.name} {digest.hexdigest()}")
        except FileNotFoundError:
            parts.append(f"{path.name} absent")
        except (OSError, RunFolderError):
            return ""
    return hashlib.sha256(os.fsencode("\0".join(parts))).hexdigest()  # a folder's name may not be UTF-8


@functools.cache
def program() -> list[str]:
    """Return path, size and time of each of lt's own files."""
    found, folders = [], [str(_HOUSE / "loadtest"), str(_HOUSE / "reports")]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if not entry.is_dir():
                    with suppress(FileNotFoundError):  # an editor's lock may be a broken link
                        about = entry.stat()
                        found.append(f"{entry.path} {about.st_size} {about.st_mtime_ns}")
                elif entry.name != "__pycache__":
                    folders.append(entry.path)
    return sorted(found)
