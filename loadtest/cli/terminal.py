"""Print: data to stdout, talk to stderr."""

from __future__ import annotations

from rich.console import Console

out = Console(highlight=False, soft_wrap=True)
"""For what a program may read: tables, paths, JSON."""

talk = Console(stderr=True, highlight=False, soft_wrap=True)
"""For what only a person reads: progress, warnings, errors."""
