"""Run the command line from a checkout: `python lt.py VERB`; an installed `lt` is the same."""

from __future__ import annotations

import os
import signal

_interruptible = __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _interruptible:  # while the verbs are imported there is nothing to keep: end at once, and without a traceback
    signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(130))

from loadtest.cli.app import main  # noqa: E402 - see above

__all__ = ["main"]

if __name__ == "__main__":
    if _interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
