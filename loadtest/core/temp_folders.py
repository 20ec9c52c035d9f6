"""Make temporary folders that are removed after their processes have ended, even if the processes are killed.

A process that uses a folder locks a file in this folder. The kernel releases the lock when the process ends for any
reason. The next start removes the folders whose files are all unlocked.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "lt-"
_HELD = "held-"


@contextmanager
def temporary_folder(kind: str) -> Iterator[Path]:
    """Yield a new folder that only this user may read. The folder is removed after the block, or by the next start."""
    remove_leftovers()
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{kind}-") as name:
        lock = hold(Path(name))
        try:
            yield Path(name)
        finally:
            os.close(lock)


def hold(folder: Path) -> int:
    """Lock a folder so that it is kept as long as this process lives. Return the descriptor of the lock."""
    import fcntl  # Windows does not have this module, and `lt` does not run there

    unlocked = folder / f"new-{os.getpid()}"
    lock = os.open(unlocked, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    unlocked.rename(folder / f"{_HELD}{os.getpid()}")
    return lock


def remove_leftovers() -> None:
    """Remove those folders of this user whose processes have all ended.

    Folders that other programs created have no such files, and folders that other users can write to are not trusted,
    so neither kind is removed.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if is_private(folder) and _is_left(folder):
            shutil.rmtree(folder, ignore_errors=True)


def is_private(path: Path) -> bool:
    """Return whether the path is a folder, not a link, that belongs to this user alone."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) & 0o077 == 0


def _is_left(folder: Path) -> bool:
    import fcntl

    locks: list[int] = []
    try:
        for held in folder.glob(f"{_HELD}*"):
            locks.append(os.open(held, os.O_WRONLY | os.O_NOFOLLOW))
            fcntl.flock(locks[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # the process that locked the file is alive, or the file no longer exists
        return False
    finally:
        for lock in locks:
            os.close(lock)
    return bool(locks)
