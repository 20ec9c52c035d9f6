"""Print data to stdout and messages to stderr; a failure to print never ends a verb."""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:  # created at first use, because `lt --help` prints without rich
    from rich.console import Console
    from rich.text import Text

    out: Console
    """For output that a program may read: tables, paths, JSON."""

    talk: Console
    """For output that only a person reads: progress, warnings, errors."""

_CHECKOUT, _INSTALLED = "python lt.py", "lt"
"""Messages in the code contain the first name of this program; if the program is installed, it prints the second name
instead."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters to which a terminal reacts: C0 except tab and line feed, C1, and marks of writing direction."""

_SPELLED = {
    **{ord(bar): str(level) for level, bar in enumerate("▁▂▃▄▅▆▇█", start=1)},
    **str.maketrans({"→": "->", "×": "x", "≥": ">=", "≤": "<=", "±": "+-", "–": "-", "−": "-", "…": "...", "·": ","}),
    **str.maketrans({"✓": "ok", "✗": "x"}),
}
"""Replacements for the special characters in our texts, for encodings such as ASCII that do not contain them."""


def visible(text: str) -> str:
    r"""Escape control characters in a text (`\x1b`), so that names and labels cannot control the terminal."""
    return _CONTROL.sub(
        lambda match: f"\\x{ord(match[0]):02x}" if ord(match[0]) < 256 else f"\\u{ord(match[0]):04x}", text
    )


def named(text: str) -> str:
    """Return the text with the name by which the user calls this program: `lt` if it is installed."""
    return text if Path(sys.argv[0]).name == "lt.py" else text.replace(_CHECKOUT, _INSTALLED)


class _Stream(io.TextIOBase):
    """The current stdout or stderr.

    Once writing fails, later output is dropped, so that a run can continue if nothing reads its output.

    Attributes:
        failed: the error of the first failed write; None if none failed. If the reader closed the pipe (EPIPE), this
            is not a failure.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._gone: TextIO | None = None
        self.failed: OSError | None = None

    @property
    def _now(self) -> TextIO | None:
        stream: TextIO | None = getattr(sys, self._name)
        stream = getattr(stream, "rich_proxied_file", stream)  # rich replaces the stream while it shows a live display
        return None if stream is self._gone else stream

    @property
    def encoding(self) -> str:  # type: ignore[override] # rich reads this only to decide whether it may draw boxes
        return (self._now and self._now.encoding) or "ascii"

    def isatty(self) -> bool:
        return self._now is not None and self._now.isatty()

    def fileno(self) -> int:
        if self._now is None:
            raise io.UnsupportedOperation("fileno")
        return self._now.fileno()

    def write(self, text: str) -> int:
        stream = self._now
        if stream is not None:
            try:
                stream.write(text)
            except (OSError, ValueError) as error:  # a ValueError means that the stream is closed
                self._drop(stream, error)
        return len(text)

    def flush(self) -> None:
        stream = self._now
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError) as error:
                self._drop(stream, error)

    def _drop(self, stream: TextIO, error: Exception) -> None:
        self._gone = stream
        if isinstance(error, OSError) and error.errno != errno.EPIPE:
            self.failed = error
        try:  # otherwise, at exit, Python would try to flush the remaining buffer, fail again, and change the exit code
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except (OSError, ValueError):
            return


_stdout = _Stream("stdout")


def __getattr__(name: str) -> Console:
    """Return `out` or `talk`, created at first use."""
    if name not in ("out", "talk"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()[name] = _console(_stdout if name == "out" else _Stream("stderr"))
    return made


def _console(stream: _Stream) -> Console:
    """Return a console for sentences and tables that shows control characters instead of sending them."""
    from rich.console import Console

    class Terminal(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(visible(named(text)), **options)

    return Terminal(file=stream, highlight=False, soft_wrap=True)  # type: ignore[arg-type] # rich uses no other methods


def write_data(text: str) -> None:
    """Write a rendered text to stdout unchanged, including its line breaks."""
    _stdout.write(visible(text))


def write_lines(lines: Iterable[str]) -> None:
    """Write lines to stdout. The caller applies `visible` to the texts before it colours them."""
    _stdout.write("".join(f"{line}\n" for line in lines))


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return _stdout.isatty()


def prepare() -> None:
    """Make stdin, stdout and stderr usable, even if they were closed or use an encoding without `→`."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:  # a closed stream: the next file to be opened would get its number and then receive the output
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - never closed
    codecs.register_error("spell", _spell)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="spell")


def end() -> OSError | None:
    """Flush stdout and return the error if that failed."""
    _stdout.flush()
    return _stdout.failed


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end].translate(_SPELLED)
    return text.encode("ascii", "backslashreplace").decode(), error.end
