"""List and find the recorded runs.

If the digest of a record matches, lt wrote the record, so it is not validated again. Importing pydantic to validate
records and pyarrow to count rows would take most of the time of `lt runs`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..core.errors import RunFolderError, UnknownRunError
from .digest import KEY, digest_of
from .paths import FORMAT_VERSION, MAX_RECORD_BYTES, RunPaths, is_there, open_file, require_file

ENDED = ("complete", "interrupted", "degraded")
"""Outcomes of a run that has ended."""

_TEXTS = ("label", "scenario", "target", "url", "git_commit")


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the list of runs. Unknown values are None.

    Attributes:
        path: the run's folder.
        why: why the run cannot be read, else "". Nothing else is known about an unreadable run.
        length_s: the duration of the load.
        requests: the number of sealed rows; also None if their file is damaged.
        damaged: whether the file of the rows cannot be read.
    """

    path: Path
    why: str = ""
    label: str | None = None
    scenario: str | None = None
    target: str | None = None
    url: str | None = None
    start: datetime | None = None
    length_s: float | None = None
    requests: int | None = None
    damaged: bool = False
    outcome: str = "unreadable"
    git_commit: str | None = None


def recorded(runs: Path) -> list[Path]:
    """Return every folder below `runs` that has a `run.json`, oldest first."""
    return [path for path in sorted(runs.iterdir()) if is_there(RunPaths(path).record)] if runs.is_dir() else []


def listed(runs: Path) -> list[Listed]:
    """Return a line for every recorded run, oldest first."""
    return [_listed(RunPaths(path)) for path in recorded(runs)]


def find_path(runs: Path, name: str) -> Path:
    """Return the folder of the run called `name`, in the forms that `catalogue.find_run` accepts.

    Raises:
        UnknownRunError: no run or several runs match; the message lists the existing runs.
    """
    if name and is_there(RunPaths(Path(name)).record):
        return Path(name)
    known = recorded(runs)
    if not known:
        raise UnknownRunError(f"No run is recorded in {runs}/: record one with `python lt.py run --scenario ramp300`.")
    if name == "latest":
        return known[-1]
    if any(path.name == name for path in known):
        return runs / name
    labelled = [run.path for run in listed(runs) if run.label == name]
    if labelled:
        return labelled[-1]  # the newest run with this label: labels are reused on purpose, ids are not
    matches = [path for path in known if path.name.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        several = ", ".join(path.name for path in matches[:5])
        raise UnknownRunError(
            f"`{name}` is the beginning of {len(matches)} runs: {several}. Give more characters of the id."
        )
    newest = ", ".join(path.name for path in known[-3:])
    raise UnknownRunError(f"No run is called `{name}` in {runs}/. The newest are: {newest}.")


def _listed(paths: RunPaths) -> Listed:
    try:
        return _as_written(paths) or _line(paths, _validated(paths))
    except RunFolderError as error:
        return Listed(paths.path, why=str(error))


def _as_written(paths: RunPaths) -> Listed | None:
    """Return the line of a run that has ended, from its record; None if the record does not match its digest."""
    try:
        with open_file(paths.record, limit=MAX_RECORD_BYTES) as file:
            fields: dict[str, Any] = json.loads(file.read())
        digest = fields.pop(KEY)
        if digest != digest_of(fields) or fields["format"] != FORMAT_VERSION or fields["outcome"] not in ENDED:
            return None
        line = _line(paths, fields)
    except (OSError, RunFolderError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    sound = line.start is not None and line.start.tzinfo is not None and isinstance(line.requests, int | None)
    return line if sound and all(isinstance(getattr(line, name), str | None) for name in _TEXTS) else None


def _line(paths: RunPaths, record: Mapping[str, Any]) -> Listed:
    requests, damaged = _requests(paths, record["sealed"])
    start, load_start, end = (_moment(record[name]) for name in ("start", "load_start", "end"))
    begun = load_start or start
    return Listed(
        path=paths.path,
        label=record["label"],
        scenario=record["scenario"]["name"],
        target=record["target"]["kind"],
        url=record["target"]["url"],
        start=start,
        length_s=None if end is None or begun is None else (end - begun).total_seconds(),
        requests=requests,
        damaged=damaged,
        outcome=record["outcome"],
        git_commit=record["git_commit"],
    )


def _validated(paths: RunPaths) -> dict[str, Any]:
    from .folder import RunFolder

    return RunFolder(paths.path).read_run().model_dump(mode="json")


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _requests(paths: RunPaths, sealed: Mapping[str, Any] | None) -> tuple[int | None, bool]:
    """Return the number of sealed rows, and whether their file is damaged.

    If the file still has the size that it had when it was sealed, the number is taken from the record; otherwise the
    footer of the file is read.
    """
    try:
        if sealed is not None and require_file(paths.rows) == sealed["bytes"]:
            return sealed["rows"], False
        if not is_there(paths.rows):
            return None, False
        from .readers import count_rows

        return count_rows(paths), False
    except FileNotFoundError:
        return None, False
    except RunFolderError:
        return None, True
