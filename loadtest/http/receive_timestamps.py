"""Find out when the bytes of an answer reached this machine, even if the event loop read them later."""

from __future__ import annotations

import platform
import socket
import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt

SO_TIMESTAMPNS = 35  # the value in Linux's headers (a few old architectures differ); Python has no name for it
STAMP_BYTES = 16
ANCILLARY_BYTES = socket.CMSG_SPACE(STAMP_BYTES)
AVAILABLE = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")

Stamps = list[tuple[int, int, bytes]]
"""The ancillary data that `socket.recvmsg` returns (level, type and bytes): none, or one `struct timespec`."""

STAMP_TYPE = [("stamp_s", "<i8"), ("stamp_ns", "<i8")]
"""The numpy type of a `struct timespec`: the wall-clock time at which the kernel received the last bytes."""

Moments = npt.NDArray[np.int64]


def ask_for_stamps(connected: socket.socket) -> None:
    """Make the kernel report when it received the data of this socket, if the kernel supports this."""
    if AVAILABLE:
        try:
            connected.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        except OSError:  # a sandbox that imitates Linux may not have this option
            return


def arrivals(stamps: npt.NDArray[Any], ahead_ns: int, *, sent: Moments, read: Moments) -> Moments:
    """Return when answers arrived, on the clock of `time.perf_counter_ns()`.

    The stamps come from the wall clock, which may be set at any moment. A stamp is used only if it lies between the
    times of sending and reading. Otherwise, or if there is no stamp, the time of reading is returned.

    Args:
        stamps: an array with the fields of STAMP_TYPE; zeros where there is no stamp.
        ahead_ns: how far the wall clock is ahead of `time.perf_counter_ns()`.
        sent: when the requests were sent.
        read: when the answers had been read.
    """
    arrived = stamps["stamp_s"] * 1_000_000_000 + stamps["stamp_ns"] - ahead_ns
    return np.where((arrived > sent) & (arrived < read), arrived, read)


def wall_clock_ahead_ns() -> int:
    """Return how far the wall clock (UTC ns) is ahead of `time.perf_counter_ns()`."""
    for _ in range(3):
        before_ns = time.perf_counter_ns()
        wall_ns = time.time_ns()
        after_ns = time.perf_counter_ns()
        # if the difference is larger, this process was interrupted between the two readings
        if after_ns - before_ns < 2_000:
            break
    return wall_ns - (before_ns + after_ns) // 2
