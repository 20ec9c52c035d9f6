"""Remove secrets from everything that a Locust process logs or prints, and so from `locust.log`."""

from __future__ import annotations

import io
import logging
import sys
from typing import Any, TextIO

from ..core.redaction import redact

MAX_LINE_CHARS = 65_536


def redact_output() -> None:
    """Redact all text that this process's logging handlers format, and every line of stdout and stderr."""
    original = logging.Handler.format
    if getattr(original, "lt_redacts", False):
        return

    def redacted(handler: logging.Handler, record: logging.LogRecord) -> str:
        return redact(original(handler, record))

    redacted.lt_redacts = True  # type: ignore[attr-defined] # our own mark
    logging.Handler.format = redacted  # type: ignore[assignment,method-assign] # also for handlers that are added later
    sys.stdout, sys.stderr = RedactingStream(sys.stdout), RedactingStream(sys.stderr)


class RedactingStream(io.TextIOBase):
    """Redacts the text that is written and passes on only whole lines.

    A line is redacted as a whole, because a secret may be written in pieces, as by `print("Bearer", token)`.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._line = ""

    def write(self, text: str) -> int:
        """Pass on the complete lines."""
        whole, newline, rest = (self._line + text).rpartition("\n")
        self._line = rest
        if newline:
            self._stream.write(redact(whole) + newline)
        elif len(rest) > MAX_LINE_CHARS:
            self._line = ""
            self._stream.write(redact(rest))
        return len(text)

    def flush(self) -> None:
        """Pass on the complete lines. An incomplete line is kept until its end is written."""
        self._stream.flush()

    def close(self) -> None:
        """Pass on everything. The stream itself stays open, because it belongs to the process."""
        if self._line:
            self._stream.write(redact(self._line))
            self._line = ""
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the stream itself: encoding, buffer, fileno."""
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True
