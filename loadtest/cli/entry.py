"""Start the command line so that a signal ends it at once, without a traceback, while its modules are imported."""

from __future__ import annotations

from .interrupts import end_at_once, survive_the_end


def main() -> None:
    """Run the command line and end the process."""
    survive_the_end()
    end_at_once()
    from .app import main as run

    run()
