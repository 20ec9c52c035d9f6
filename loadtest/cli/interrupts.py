"""Choose how a signal acts on this process: end it at once, or interrupt the running verb."""

from __future__ import annotations

import atexit
import os
import signal
from types import FrameType

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end a verb early. A signal that `nohup` or a shell's `&` made this process ignore is still ignored."""

INTERRUPTED = 130


def survive_the_end() -> None:
    """Ignore interrupts while Python shuts down, because Python then restores the default signal handlers.

    Call this first, because exit handlers run in reverse order. The exit handler that this function registers then runs
    last, when everything that could hang has ended.
    """
    atexit.register(_ignore)


def _ignore() -> None:
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)


def end_at_once() -> None:
    """Let an interrupt end this process at once.

    This function is used before the recording starts and after it has ended.
    """
    for number in INTERRUPTS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def raise_interrupts() -> None:
    """From now on, raise KeyboardInterrupt at an interrupt, so that the rows recorded so far are kept."""
    for number in INTERRUPTS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    os._exit(INTERRUPTED)
