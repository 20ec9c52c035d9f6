"""Read HAProxy's access log line by line from a pipe, as it is written."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass

PIPE_BYTES = 1024 * 1024
"""Size of the pipe. A pipe of this size can hold about 25,000 unread lines; the kernel does not give an unprivileged
process a larger pipe."""

_F_SETPIPE_SZ = 1031  # the value in fcntl.h; only Linux has it


@dataclass(frozen=True, slots=True)
class Answered:
    """A completed request.

    Attributes:
        status: the status code sent to the client; 0 if the client had left.
        slot: the slot of the instance that served the request; None if it reached no instance (429, or the client had
            left).
        pending_ms: time in the queue.
        total_ms: time from the request's first byte to the answer's last byte.
        in_flight: number of other requests at that instance when this request ended.
    """

    status: int
    slot: int | None
    pending_ms: int
    total_ms: int
    in_flight: int


def parse_line(line: str) -> Answered | None:
    """Parse a line in our log format; None for HAProxy's own notices."""
    fields = line.split()
    if len(fields) != 6 or not fields[3].lstrip("-+").isdigit():
        return None
    status, _, pending_ms, total_ms, server, in_flight = fields
    slot = int(server[1:]) if server[0] == "i" and server[1:].isdigit() else None
    return Answered(
        status=int(status) if status.isdigit() else 0,
        slot=slot,
        pending_ms=max(int(pending_ms), 0),
        total_ms=max(int(total_ms), 0),
        in_flight=int(in_flight),
    )


class AccessLog:
    """The pipe and its reader. The reader calls `note` with each completed request, in order."""

    def __init__(self, note: Callable[[Answered], None]) -> None:
        self._note = note
        self._rest = b""
        self._read_fd, self.write_fd = os.pipe()

    def startup(self) -> None:
        """Start reading."""
        with contextlib.suppress(OSError):  # on macOS a pipe has 64 KiB, and there is no such call
            fcntl.fcntl(self.write_fd, _F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(self._read_fd, False)
        asyncio.get_running_loop().add_reader(self._read_fd, self.read)

    def read(self) -> None:
        """Handle every line that has arrived."""
        while True:
            try:
                chunk = os.read(self._read_fd, PIPE_BYTES)
            except BlockingIOError:
                return
            if not chunk:
                return
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                answered = parse_line(line.decode(errors="replace"))
                if answered is not None:
                    self._note(answered)

    def shutdown(self) -> None:
        """Handle the remaining lines and close the pipe."""
        asyncio.get_running_loop().remove_reader(self._read_fd)
        self.read()
        os.close(self._read_fd)
        os.close(self.write_fd)
