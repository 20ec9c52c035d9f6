"""Talk on the terminal: what `loadtest.runs` and `loadtest.platforms` call a console."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.markup import escape

from ..core.console import Update
from .progress import ProgressLine
from .terminal import talk


class TerminalConsole:
    """Sentences go to stderr, questions to the terminal if stdin is one."""

    def say(self, text: str) -> None:
        """Print a sentence."""
        talk.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Print a sentence behind a yellow mark."""
        talk.print(f"[yellow]![/] {escape(text)}")

    @contextmanager
    def status(self, doing: str) -> Iterator[Update]:
        """Show a spinner with the text."""
        with talk.status(escape(doing)) as line:
            yield lambda text: line.update(escape(text))

    def confirm(self, question: str) -> bool | None:
        """Ask; None without a terminal."""
        return typer.confirm(question, err=True) if sys.stdin is not None and sys.stdin.isatty() else None

    def progress(self, planned_s: float | None, *, expect_workers: int) -> ProgressLine:
        """Return the live line."""
        return ProgressLine(planned_s, expect_workers=expect_workers)
