"""Define how the library talks to whoever started it, so that only `loadtest.cli` knows a terminal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Update = Callable[[str], None]
"""Replaces the text of a status."""


class Console(Protocol):
    """Where sentences go and questions are asked. Texts are plain: no markup, no line breaks of the caller's."""

    def say(self, text: str) -> None:
        """Tell a sentence that needs no action."""

    def warn(self, text: str) -> None:
        """Tell a sentence that the user should read: the run goes on."""

    def status(self, doing: str) -> AbstractContextManager[Update]:
        """Show that something takes time, for as long as the block lasts; the block's value replaces the text."""

    def confirm(self, question: str) -> bool | None:
        """Return the answer to a yes/no question; None when there is nobody to ask."""


class LogConsole:
    """The console of a program that has none: sentences go to the `loadtest` logger, and questions get no answer."""

    def __init__(self) -> None:
        self._log = logging.getLogger("loadtest")

    def say(self, text: str) -> None:
        """Log it as information."""
        self._log.info("%s", text)

    def warn(self, text: str) -> None:
        """Log it as a warning."""
        self._log.warning("%s", text)

    @contextmanager
    def status(self, doing: str) -> Iterator[Update]:
        """Log what takes time, and each change of it, for debugging."""
        self._log.debug("%s", doing)
        yield lambda text: self._log.debug("%s", text)

    def confirm(self, question: str) -> bool | None:
        """Return None: nobody is there."""
        del question
        return None
