"""End this process when the one that started it is gone, also while it is busy or hangs."""

from __future__ import annotations

import _thread
import os
import time

from .messages import PARENT_VARIABLE

LOOK_EVERY_S = 0.5

GRACE_S = 30.0
"""How long a process that can end in good order may take for it: the stop timeout, the last rows, Locust's farewell."""

STATUS = 75
"""With what a process ends whose parent is gone; nobody is left to read it but a log."""

_sleep, _getppid, _exit, _monotonic = time.sleep, os.getppid, os._exit, time.monotonic  # before gevent replaces any

_orderly = False


def watch() -> None:
    """Look after the parent from now on, in a thread of the system; does nothing where nobody asked for it.

    A thread and not a greenlet: it looks also while the locustfile is imported, and while a loop hangs.
    """
    given = os.environ.get(PARENT_VARIABLE, "")
    if given.isdigit():
        _thread.start_new_thread(_main_loop, (int(given),))


def ends_orderly() -> None:
    """Say that this process now notices by itself that its parent is gone, and is to be given time to end."""
    global _orderly  # noqa: PLW0603 - one fact of the whole process
    _orderly = True


def _main_loop(parent_pid: int) -> None:
    while _getppid() == parent_pid:
        _sleep(LOOK_EVERY_S)
    give_up_s = _monotonic() + GRACE_S
    while _orderly and _monotonic() < give_up_s:
        _sleep(LOOK_EVERY_S)
    _exit(STATUS)
