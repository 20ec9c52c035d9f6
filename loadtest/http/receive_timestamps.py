"""Tell when an answer's bytes reached this machine, however long they then waited for the event loop to read them."""

from __future__ import annotations

import platform
import socket
import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt

SO_TIMESTAMPNS = 35  # of Linux, except on a few old architectures; Python has no name for it
STAMP_BYTES = 16
ANCILLARY_BYTES = socket.CMSG_SPACE(STAMP_BYTES)
AVAILABLE = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")

Stamps = list[tuple[int, int, bytes]]
"""What `socket.recvmsg` returns with the data, as level, type and bytes: nothing, or one `struct timespec`."""

STAMP_TYPE = [("stamp_s", "<i8"), ("stamp_ns", "<i8")]
"""A `struct timespec` for numpy: what the wall clock said when the kernel had the last of the bytes."""

Moments = npt.NDArray[np.int64]


def ask_for_stamps(connected: socket.socket) -> None:
    """Have the kernel report when it received the data read from this socket, if it can."""
    if AVAILABLE:
        try:
            connected.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        except OSError:  # a sandbox that imitates Linux without it
            return


def arrivals(stamps: npt.NDArray[Any], ahead_ns: int, *, sent: Moments, read: Moments) -> Moments:
    """Return when answers arrived, on the clock of `time.perf_counter_ns()`.

    The wall clock, which stamps them, may be set at any moment: what it says is believed where it lies between the
    sending and the reading; elsewhere, and where there is no stamp, the answer arrived when it was read.

    Args:
        stamps: an array with the fields of STAMP_TYPE; zeros where there is no stamp.
        ahead_ns: by how much the wall clock is ahead of that clock.
        sent: when the requests were sent.
        read: when the answers had been read.
    """
    arrived = stamps["stamp_s"] * 1_000_000_000 + stamps["stamp_ns"] - ahead_ns
    return np.where((arrived > sent) & (arrived < read), arrived, read)


def wall_clock_ahead_ns() -> int:
    """Return by how much the wall clock (UTC ns) is ahead of `time.perf_counter_ns()` now."""
    for _ in range(3):
        before_ns = time.perf_counter_ns()
        wall_ns = time.time_ns()
        after_ns = time.perf_counter_ns()
        if after_ns - before_ns < 2_000:  # else this process was interrupted in between
            break
    return wall_ns - (before_ns + after_ns) // 2
