"""Decide what a signal does to this process: end it at once, or interrupt its verb."""

from __future__ import annotations

import atexit
import os
import signal
from types import FrameType

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a verb to end early; `nohup` and a shell's `&` make processes ignore some of them; these stay ignored."""

INTERRUPTED = 130


def survive_the_end() -> None:
    """Have interrupts ignored in the last moments of this process, in which Python gives signals back to the system.

    Called first: what is registered first is called last. Whatever could still hang has ended by then.
    """
    atexit.register(_ignore)


def _ignore() -> None:
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)


def end_at_once() -> None:
    """Let an interrupt end this process now: nothing is recorded yet, or everything is."""
    for number in INTERRUPTS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def raise_interrupts() -> None:
    """Let an interrupt be a KeyboardInterrupt from now on: whatever was recorded is kept."""
    for number in INTERRUPTS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    os._exit(INTERRUPTED)
