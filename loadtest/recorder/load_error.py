"""Format the error of a locustfile's import as a traceback that starts at the author's file."""

from __future__ import annotations

import traceback
from pathlib import Path

import locust

OURS = str(Path(__file__).parents[1])
LOADERS = tuple(str(Path(locust.__file__).parent / name) for name in ("main.py", "util"))


def format_load_error(error: BaseException, locustfile: Path) -> str:
    """Return the traceback in Python's format, without the frames of the loader, of Locust and of this project.

    The first line says what failed. Causes and contexts are formatted in the same way. A syntax error has no frames;
    its position in the file is part of the error.
    """
    formatted = traceback.TracebackException.from_exception(error)
    part: traceback.TracebackException | None = formatted
    seen = set()
    while part is not None and id(part) not in seen:
        seen.add(id(part))
        _keep_authors_frames(part, str(locustfile))
        part = part.__cause__ or part.__context__
    return f"{locustfile} could not be imported:\n" + "".join(formatted.format()).rstrip()


def _keep_authors_frames(part: traceback.TracebackException, locustfile: str) -> None:
    frames = [frame for frame in part.stack if not frame.filename.startswith("<frozen importlib")]
    first = next((index for index, frame in enumerate(frames) if frame.filename == locustfile), None)
    # the loader itself raised the error (a syntax error), or a library raised it while it handled another error
    if first is None:
        frames = [frame for frame in frames if not frame.filename.startswith((OURS, *LOADERS))]
    part.stack = traceback.StackSummary.from_list(frames[first or 0 :])


def missing_module(error: BaseException) -> str | None:
    """Return the module that an import did not find, or None."""
    return error.name if isinstance(error, ModuleNotFoundError) else None
