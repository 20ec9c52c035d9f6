"""Find the recorded runs of a folder by id, prefix, label or path."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import RunFolderError
from .folder import RunFolder
from .listing import find_path, recorded
from .run import Run


def list_runs(runs: Path) -> list[tuple[RunFolder, Run | None, str]]:
    """Return every folder below `runs` that has a `run.json`, oldest first, as (folder, record, error or "")."""
    found: list[tuple[RunFolder, Run | None, str]] = []
    for path in recorded(runs):
        folder = RunFolder(path)
        try:
            found.append((folder, folder.read_run(), ""))
        except RunFolderError as error:
            found.append((folder, None, str(error)))
    return found


def find_run(runs: Path, name: str) -> RunFolder:
    """Return the run called `name`, which is an id, a unique prefix of an id, a label, `latest`, or a path.

    Raises:
        UnknownRunError: no run or several runs match; the message lists the existing runs.
    """
    return RunFolder(find_path(runs, name))
