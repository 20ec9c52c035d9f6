"""Find the recorded runs of a folder, by id, prefix, label or path."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import RunFolderError, UnknownRunError
from .folder import RunFolder
from .paths import is_there
from .run import Run


def list_runs(runs: Path) -> list[tuple[RunFolder, Run | None, str]]:
    """Return every folder below `runs` that has a `run.json`, oldest first: (folder, record, why unreadable or "")."""
    found: list[tuple[RunFolder, Run | None, str]] = []
    if not runs.is_dir():
        return found
    for path in sorted(runs.iterdir()):
        folder = RunFolder(path)
        if not is_there(folder.record):
            continue
        try:
            found.append((folder, folder.read_run(), ""))
        except RunFolderError as error:
            found.append((folder, None, str(error)))
    return found


def find_run(runs: Path, name: str) -> RunFolder:
    """Return the run that `name` names: an id, a unique prefix of one, a label, `latest`, or a path.

    Raises:
        UnknownRunError: none or several; the text lists what is there.
    """
    if name and is_there(RunFolder(Path(name)).record):
        return RunFolder(Path(name))
    known = list_runs(runs)
    if not known:
        raise UnknownRunError(f"No run is recorded in {runs}/: record one with `python lt.py run --scenario ramp300`.")
    if name == "latest":
        return known[-1][0]
    for folder, _, _ in known:
        if folder.path.name == name:
            return folder
    labelled = [folder for folder, run, _ in known if run is not None and run.label == name]
    if labelled:
        return labelled[-1]  # the newest of a label: a label is reused on purpose, an id is not
    matches = [folder for folder, _, _ in known if folder.path.name.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        several = ", ".join(folder.path.name for folder in matches[:5])
        raise UnknownRunError(f"`{name}` is the beginning of {len(matches)} runs: {several}. Give more of the id.")
    newest = ", ".join(folder.path.name for folder, _, _ in known[-3:])
    raise UnknownRunError(f"No run is called `{name}` in {runs}/. The newest are: {newest}.")
