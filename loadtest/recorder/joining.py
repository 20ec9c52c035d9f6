"""Wait in the master's `init` until the last worker is ready, because Locust checks only once a second."""

from __future__ import annotations

import os
import time
from typing import Any

import gevent

from .messages import FOLDER_VARIABLE

LOOK_EVERY_S = 0.02

PATIENCE_S = 5.0
"""The maximum wait in this module. After this time, Locust itself waits, applies the timeout and logs which workers
are missing."""


def wait_for_workers(environment: Any, **_: object) -> None:
    """Wait until the expected workers of a recorded run are ready, for at most PATIENCE_S.

    This function is the last listener of `init`, so the scenario's own initialisation comes before the wait.
    """
    from locust.runners import MasterRunner

    runner, options = environment.runner, environment.parsed_options
    if not isinstance(runner, MasterRunner) or FOLDER_VARIABLE not in os.environ or options is None:
        return
    give_up_s = time.monotonic() + min(PATIENCE_S, options.expect_workers_max_wait or PATIENCE_S)
    while len(runner.clients.ready) < options.expect_workers and time.monotonic() < give_up_s:
        gevent.sleep(LOOK_EVERY_S)
