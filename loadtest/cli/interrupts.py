"""Decide what a signal does to this process: end it at once, or interrupt its verb."""

from __future__ import annotations

import os
import signal
from types import FrameType

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a verb to end early; `nohup` and a shell's `&` have some of them ignored, and they stay so."""

INTERRUPTED = 130


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
