"""Detect requests of custom clients that were cut off when their user was stopped, and so were never reported."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import locust
from gevent import GreenletExit
from locust import FastHttpUser, HttpUser, User
from locust.user.task import TaskSet

from ..recording.outcomes import account_for, is_accounted
from ..users.fast_user import FastUser
from ..users.open_loop import OpenLoopUser

KNOWN = (HttpUser, FastHttpUser, FastUser)
"""User classes whose requests are known from their start."""

UNFINISHED = "in flight when its user was stopped, with a client that reports a request only when it ends"
"""The name under which a request that was cut off is counted as a refusal."""

WATCHED: tuple[tuple[type, str], ...] = ((TaskSet, "execute_next_task"), (OpenLoopUser, "_run_arrival"))
"""The function that calls tasks."""

STARTED: tuple[tuple[type, str], ...] = ((User, "run"), (TaskSet, "run"))
"""The function that calls `on_start`. This function catches the exception that cuts off `on_start`."""

_LOCUSTS_USERS = str(Path(locust.__file__).parent / "user")

OnCutOff = Callable[[object], None]
"""A function that is called with the user."""


def watch_tasks(on_cut_off: OnCutOff) -> None:
    """Call `on_cut_off` if a task or `on_start` is cut off and may have begun a request that has no row."""
    for owner, name in WATCHED:
        setattr(owner, name, _watched(getattr(owner, name), on_cut_off))
    for owner, name in STARTED:
        setattr(owner, name, _watching_on_start(getattr(owner, name), on_cut_off))


def _watched(original: Callable[..., Any], on_cut_off: OnCutOff) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(self: Any, *arguments: Any) -> Any:
        try:
            return original(self, *arguments)
        except GreenletExit as error:
            if not is_accounted(error) and not is_asleep(error.__traceback__):
                on_cut_off(getattr(self, "user", self))
                account_for(error)  # the exception also passes through the tasks that contain this task
            raise

    return call


def _watching_on_start(run: Callable[..., Any], on_cut_off: OnCutOff) -> Callable[..., Any]:
    @functools.wraps(run)
    def call(self: Any) -> Any:
        if type(self).on_start not in (User.on_start, TaskSet.on_start):
            own = self.on_start
            self.on_start = lambda: _watched(lambda _: own(), on_cut_off)(self)
        return run(self)

    return call


def is_asleep(trace: TracebackType | None) -> bool:
    """Whether a task was cut off in its own pause (`time.sleep`, `self.wait()`), without a request in flight."""
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_name == "sleep" and code.co_filename.endswith("gevent/hub.py"):
            return True
        if code.co_name == "wait" and code.co_filename.startswith(_LOCUSTS_USERS):
            return True
        trace = trace.tb_next
    return False


def interruption() -> GreenletExit | None:
    """Return the exception that is cutting off a task which fires an event in a `finally`; None if there is none.

    A request in `on_stop`, which Locust calls while it handles the same exception, is an ordinary request.
    """
    error = sys.exc_info()[1]
    trace = None if error is None else error.__traceback__
    if not isinstance(error, GreenletExit) or trace is None:
        return None
    return None if trace.tb_frame.f_code.co_filename.startswith(_LOCUSTS_USERS) else error
