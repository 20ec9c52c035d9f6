"""Define how the library reports to its caller. Only `loadtest.cli` uses a terminal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Update = Callable[[str], None]
"""A function that replaces the status text."""


class Console(Protocol):
    """The interface for messages and questions. Texts are plain: they have no markup and no line breaks."""

    def say(self, text: str) -> None:
        """Print a sentence that requires no action."""

    def warn(self, text: str) -> None:
        """Print a warning; the run continues."""

    def status(self, doing: str) -> AbstractContextManager[Update]:
        """Show a text while the block lasts. Calling the block's value replaces the text."""

    def confirm(self, question: str) -> bool | None:
        """Return the answer to a yes/no question; None if no one can answer."""


class LogConsole:
    """A console for programs without a terminal: it logs sentences to the `loadtest` logger and answers no question."""

    def __init__(self) -> None:
        self._log = logging.getLogger("loadtest")

    def say(self, text: str) -> None:
        """Log the sentence as information."""
        self._log.info("%s", text)

    def warn(self, text: str) -> None:
        """Log the sentence as a warning."""
        self._log.warning("%s", text)

    @contextmanager
    def status(self, doing: str) -> Iterator[Update]:
        """Log the text and each change of it, at level DEBUG."""
        self._log.debug("%s", doing)
        yield lambda text: self._log.debug("%s", text)

    def confirm(self, question: str) -> bool | None:
        """Return None, because no one can answer."""
        del question
        return None
