"""Count the errors in a scenario's own code: in tasks, `on_start`, `on_stop`, listeners and initialisation."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import gevent
import locust
from gevent.hub import get_hub
from locust.exception import StopTest, StopUser
from locust.user.task import DefaultTaskSet

from ..core.redaction import redact
from ..core.templates import text_template
from ..recording.outcomes import text_of
from ..recording.run import TaskErrorRecord

MAX_KINDS = 100
MAX_TRACEBACK_CHARS = 4_000
MAX_MESSAGE_CHARS = 500
OTHER = "(other)"

_LIBRARIES = tuple(
    f"{Path(module.__file__ or '').parent}/" for module in (locust, gevent, sys.modules[__package__.split(".")[0]])
)
_COUNTED = "_lt_counted"

Key = tuple[str, str, str, str, str]


class TaskErrors:
    """Counts by place, class and message.

    At most MAX_KINDS kinds are counted separately, with one traceback for each.
    """

    def __init__(self, worker: str = "") -> None:
        self.worker = worker
        self._kinds: dict[Key, TaskErrorRecord] = {}
        self._changed: set[Key] = set()
        self._told: set[Key] = set()

    def add(
        self, error: BaseException, *, where: str = "", task: str = "", user: object = None
    ) -> TaskErrorRecord | None:
        """Count an exception and return its kind. Return None if the same exception was counted before.

        Args:
            error: the exception.
            where: as in TaskErrorRecord; "" if the place must be determined from the traceback.
            task: the task or the event; "" if it must be determined from the traceback.
            user: the user or TaskSet whose code raised the exception.
        """
        if getattr(error, _COUNTED, False):
            return None
        with suppress(Exception):  # the class has slots, so the error may be counted twice
            setattr(error, _COUNTED, True)
        place, function, found = _place_of(error)
        record = TaskErrorRecord(
            where=where or place,
            exception=type(error).__name__[:200],
            message=_message(error),
            user_class=_user_class(user or found),
            task=(task or function)[:200],
            worker=self.worker,
        )
        key = (record.where, record.exception, record.message, record.user_class, record.task)
        if key not in self._kinds and len(self._kinds) >= MAX_KINDS:
            key = (record.where, OTHER, "", "", "")
            record = TaskErrorRecord(where=record.where, exception=OTHER, worker=self.worker)
        kept = self._kinds.get(key)
        if kept is None:
            record.traceback = traceback_text(error)
            kept = self._kinds[key] = record
        kept.count += 1
        self._changed.add(key)
        return kept

    def take(self) -> list[dict[str, Any]]:
        """Return the kinds whose count has changed since the last call. Each traceback is sent once."""
        changed = []
        for key in self._changed:
            fields = self._kinds[key].model_dump()
            if key in self._told:
                fields["traceback"] = ""
            self._told.add(key)
            changed.append(fields)
        self._changed.clear()
        return changed

    def records(self) -> list[TaskErrorRecord]:
        """Return all kinds, the most frequent first."""
        return sorted(self._kinds.values(), key=lambda record: -record.count)


def merged(parts: Iterable[TaskErrorRecord]) -> list[TaskErrorRecord]:
    """Return the kinds of several processes as one list.

    The counts of one kind are added. The traceback and the worker are taken from the first process in which this kind
    occurred.
    """
    kinds: dict[Key, TaskErrorRecord] = {}
    for part in parts:
        key = (part.where, part.exception, part.message, part.user_class, part.task)
        kept = kinds.get(key)
        if kept is None:
            kinds[key] = part.model_copy()
        else:
            kept.count += part.count
            kept.traceback = kept.traceback or part.traceback
    return sorted(kinds.values(), key=lambda record: -record.count)[:MAX_KINDS]


def _message(error: BaseException) -> str:
    """Return an exception's text in which ids are replaced by placeholders.

    The status of a `sys.exit` is not grouped.
    """
    text = redact(text_of(error)[: 4 * MAX_MESSAGE_CHARS])
    return (text if isinstance(error, SystemExit) else text_template(text))[:MAX_MESSAGE_CHARS]


def traceback_text(error: BaseException) -> str:
    """Return the redacted traceback, beginning at the scenario's first frame.

    Of a long traceback, only the innermost MAX_TRACEBACK_CHARS are kept.
    """
    begin = error.__traceback__
    while begin is not None and begin.tb_next is not None and _is_library(begin.tb_frame):
        begin = begin.tb_next
    # the explicit cause ("from"), and not an exception that merely occurred before
    chained = error.__cause__ is not None
    lines = traceback.format_exception(type(error), error, begin, limit=-30, chain=chained)
    text = redact("".join(lines))
    return text if len(text) <= MAX_TRACEBACK_CHARS else "…" + text[1 - MAX_TRACEBACK_CHARS :]


def _is_library(frame: FrameType) -> bool:
    path = frame.f_code.co_filename
    return path.startswith(_LIBRARIES) or not path.startswith("/")  # gevent's compiled modules have relative paths


def _place_of(error: BaseException) -> tuple[str, str, object]:
    """Return where an exception was raised: the place, the name of the scenario's function, and the calling user.

    The place is `task`, `on_start` or `on_stop`.
    """
    trace: TracebackType | None = error.__traceback__
    name, user = "", None
    while trace is not None:
        if not _is_library(trace.tb_frame):
            name = trace.tb_frame.f_code.co_name
            break
        caller = trace.tb_frame.f_locals.get("self")
        user = caller if isinstance(caller, (locust.User, locust.TaskSet)) else user
        trace = trace.tb_next
    return (name if name in ("on_start", "on_stop") else "task"), name, user


def _user_class(user: object) -> str:
    if user is None:
        return ""
    owner = getattr(user, "user", user)
    name = type(owner).__name__
    if owner is not user and not isinstance(user, DefaultTaskSet):
        name = f"{name}.{type(user).__name__}"
    return name[:200]


def watch_users(errors: TaskErrors, on_exit: Callable[[TaskErrorRecord], None]) -> None:
    """Count errors in users, in `on_stop`, and in every greenlet that ends with an error.

    Args:
        errors: counts them.
        on_exit: called when a task calls `sys.exit`, which ends the process.
    """
    logging.getLogger().addHandler(_OnStopErrors(errors))
    hub = get_hub()
    original = hub.handle_error

    def handle_error(context: object, kind: type[BaseException], value: Any, trace: Any) -> None:
        if isinstance(value, Exception) and not isinstance(value, (StopTest, StopUser)) and not _is_handed_on(trace):
            errors.add(value)
        elif isinstance(value, SystemExit):
            record = errors.add(value, where="exit")
            if record is not None:
                on_exit(record)
        original(context, kind, value, trace)

    hub.handle_error = handle_error


def _is_handed_on(trace: TracebackType | None) -> bool:
    """Whether an error comes from gevent's thread pool, which for example looks up host names.

    gevent raises such an error again in the greenlet that waits for the result.
    """
    return trace is not None and trace.tb_frame.f_code.co_filename.endswith("gevent/threadpool.py")


class _OnStopErrors(logging.Handler):
    """Count errors in the `on_stop` of a TaskSet. Locust itself only logs one line for such an error."""

    def __init__(self, errors: TaskErrors) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        """Count the exception that is being handled while Locust's task loop logs."""
        error = sys.exc_info()[1]
        if error is not None and record.name == "root" and record.pathname.endswith("locust/user/task.py"):
            self._errors.add(error, where="on_stop")
