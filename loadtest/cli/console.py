"""Print messages on the terminal and the live page: the console that `loadtest.runs` and `loadtest.platforms` use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from ..core.console import Update
from .terminal import talk

if TYPE_CHECKING:
    from ..recording.folder import RunFolder
    from .live import LivePage
    from .progress import Progress


class TerminalConsole:
    """Print messages to stderr, and ask questions if stdin is a terminal.

    Args:
        live: the live page, which shows the status texts too; None without a live page.
        note: returns the end of the live line; called each time the line is drawn.
    """

    def __init__(self, live: LivePage | None = None, note: Callable[[], str] = str) -> None:
        self._live = live
        self._note = note

    def say(self, text: str) -> None:
        """Print a sentence."""
        talk.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Print a sentence after a yellow mark."""
        talk.print(f"[yellow]![/] {escape(text)}")

    @contextmanager
    def status(self, doing: str) -> Iterator[Update]:
        """Show a spinner with the text, or print the text once if there is no terminal."""
        if not talk.is_terminal:
            talk.print(f"{doing} …", markup=False)
        with talk.status(escape(doing)) as line:

            def update(text: str) -> None:
                line.update(escape(text))
                if self._live is not None:
                    self._live.wait_for(text)

            if self._live is not None:
                self._live.wait_for(doing)
            yield update

    def confirm(self, question: str) -> bool | None:
        """Ask a yes/no question; return None if there is no terminal."""
        return typer.confirm(question, err=True) if sys.stdin is not None and sys.stdin.isatty() else None

    def progress(self, folder: RunFolder, planned_s: float | None, *, expect_workers: int) -> Progress:
        """Return the display of a running run."""
        from .progress import Progress

        return Progress(folder, planned_s, expect_workers=expect_workers, live=self._live, note=self._note)
