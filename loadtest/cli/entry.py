"""Start the command line. While its modules are imported, a signal ends the process at once, without a traceback."""

from __future__ import annotations

from .interrupts import end_at_once, survive_the_end


def main() -> None:
    """Run the command line and end the process."""
    survive_the_end()
    end_at_once()
    from .app import main as run

    run()
