"""End this process when its parent process has ended, even if this process is busy or hangs."""

from __future__ import annotations

import _thread
import os
import time

from .messages import PARENT_VARIABLE

LOOK_EVERY_S = 0.5

GRACE_S = 30.0
"""How long a process may take to end properly: the stop timeout, the last rows, and Locust's shutdown."""

STATUS = 75
"""Exit status of a process whose parent has ended. Because there is no parent to read the status, only a log can show
it."""

_sleep, _getppid, _exit, _monotonic = (
    time.sleep,
    os.getppid,
    os._exit,
    time.monotonic,
)  # imported before gevent patches these modules

_orderly = False


def watch() -> None:
    """From now on, watch the parent in a system thread. Do nothing unless the environment asks for this.

    A thread is used instead of a greenlet, so that this also works while the locustfile is imported or the event loop
    hangs.
    """
    given = os.environ.get(PARENT_VARIABLE, "")
    if given.isdigit():
        _thread.start_new_thread(_main_loop, (int(given),))


def ends_orderly() -> None:
    """Record that this process now detects by itself when its parent has ended, and needs time to end."""
    global _orderly  # noqa: PLW0603 - one state for the whole process
    _orderly = True


def _main_loop(parent_pid: int) -> None:
    while _getppid() == parent_pid:
        _sleep(LOOK_EVERY_S)
    give_up_s = _monotonic() + GRACE_S
    while _orderly and _monotonic() < give_up_s:
        _sleep(LOOK_EVERY_S)
    _exit(STATUS)
