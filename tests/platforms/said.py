"""A console that stores its messages."""

from __future__ import annotations

from loadtest.core.console import LogConsole


class Said(LogConsole):
    def __init__(self) -> None:
        super().__init__()
        self.sentences: list[str] = []

    def say(self, text: str) -> None:
        self.sentences.append(text)

    def warn(self, text: str) -> None:
        self.sentences.append(text)
