"""Locate the files of a run folder. No other module names, opens or replaces these files."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ..core.errors import RunFolderError

RUN_JSON = "run.json"
SPOOL = "requests.spool"
ROWS = "requests.parquet"
LOAD = "load.csv"
METRICS = "metrics.parquet"
SIDE_METRICS = ("metrics-a.parquet", "metrics-b.parquet")
FAILURES = "failures.csv"
LOG = "locust.log"
EMULATOR_LOG = "emulator.log"
SUMMARY = "summary.json"
REPORT = "report.html"
RESERVE = ".reserve"

FORMAT_VERSION = 1
"""The version of the run folder that this code reads and writes; docs/run-folder.md describes each version."""

MAX_RECORD_BYTES = 64 << 20
"""Largest allowed record. A usual record has about 10 kB; a plan of 100,000 points adds 4 MB."""

MAX_TEXT_BYTES = 1 << 30
"""A larger text file cannot come from this package, because even the load.csv of 100 workers grows by only 0.5 GiB per
day."""

FOLDER_MODE, FILE_MODE = 0o700, 0o600
"""Permissions of rows and logs. These files may contain answers of a service, so only the owner may read them."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class RunPaths:
    """The files of one run. Creating this object opens no files."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def record(self) -> Path:
        """The record of the run."""
        return self.path / RUN_JSON

    @property
    def spool(self) -> Path:
        """The frames in the order of arrival.

        The file exists during the run; afterwards it exists only if sealing found damage.
        """
        return self.path / SPOOL

    @property
    def rows(self) -> Path:
        """One row per request; the file exists after the run was sealed."""
        return self.path / ROWS

    @property
    def load(self) -> Path:
        """The state of every worker, one line per second."""
        return self.path / LOAD

    @property
    def metrics(self) -> Path:
        """Every fetched cloud series, in long form."""
        return self.path / METRICS

    @property
    def failures(self) -> Path:
        """Failures by endpoint and message, with first time, last time and count."""
        return self.path / FAILURES

    @property
    def log(self) -> Path:
        """The fleet's own log."""
        return self.path / LOG

    @property
    def emulator_log(self) -> Path:
        """Log of the emulator: starts and ends of instances, and changed decisions of the autoscaler with reasons."""
        return self.path / EMULATOR_LOG

    @property
    def summary(self) -> Path:
        """The report's numbers (derived)."""
        return self.path / SUMMARY

    @property
    def report(self) -> Path:
        """The report's page (derived)."""
        return self.path / REPORT

    @property
    def reserved(self) -> Path:
        """Space reserved for the record of how a run ends."""
        return self.path / RESERVE


def run_files(paths: RunPaths) -> list[Path]:
    """Return every file that a run's folder may contain."""
    names = (RUN_JSON, SPOOL, ROWS, LOAD, METRICS, *SIDE_METRICS, FAILURES, LOG, EMULATOR_LOG, SUMMARY, REPORT, RESERVE)
    return [paths.path / name for name in names]


def is_there(path: Path) -> bool:
    """Whether the name exists: as a file, a folder or a broken link."""
    return os.path.lexists(path)


def require_file(path: Path) -> int:
    """Return the size in bytes of a regular file (or of a link's target).

    Raises:
        FileNotFoundError: the name does not exist.
        RunFolderError: the path is not a regular file (reading a pipe or a device could block forever), or its name is
            not UTF-8, so no report can contain the name.
    """
    try:
        str(path).encode()
        found = path.stat()
    except UnicodeEncodeError:
        raise RunFolderError(f"{path}: the name is not UTF-8. Rename the folder.") from None
    except FileNotFoundError:
        if is_there(path):
            raise RunFolderError(f"{path} is a broken link: restore its target.") from None
        raise
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror}.") from error
    _require_regular(path, found)
    return found.st_size


def open_file(path: Path, *, limit: int | None = None) -> IO[bytes]:
    """Open a regular file for reading. If the file is a pipe, do not wait for its other end.

    Raises:
        FileNotFoundError: the name does not exist.
        RunFolderError: the file is not a regular file, cannot be read, or is larger than `limit` bytes.
    """
    require_file(path)
    try:
        # O_NONBLOCK: with this flag, a file that was replaced by a pipe after the check does not block this process.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror}.") from error
    file = os.fdopen(descriptor, "rb")
    try:
        found = os.fstat(descriptor)
        _require_regular(path, found)
        if limit is not None and found.st_size > limit:
            raise RunFolderError(f"{path} has {found.st_size:,} bytes; such a file has at most {limit:,}.")
    except RunFolderError:
        file.close()
        raise
    return file


def _require_regular(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), "no file")
        raise RunFolderError(f"{path} is {kind}, not a file: move it away and put the file back.")


def replace_text(path: Path, text: str) -> None:
    """Replace a file atomically. A reader sees either the old or the new file, never a part of it.

    Raises:
        RunFolderError: the file cannot be written; the old file is unchanged.
    """
    with replacing(path) as new:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the temporary name of a file that will replace another.

    However the block ends, the temporary file is removed.

    Raises:
        RunFolderError: the file cannot be written.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.unlink(missing_ok=True)  # of a crash
        yield new
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> RunFolderError:
    """Return the error for a file that cannot be written, with advice."""
    cure = "free some space" if error.errno == errno.ENOSPC else "choose another folder with --runs DIR"
    if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY):
        cure = "move away what stands there"
    return RunFolderError(f"{path} cannot be written ({error.strerror}): {cure}.")
