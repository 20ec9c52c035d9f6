"""Wait for the workers in the master's `init`, and go on when the last one is ready: Locust looks once a second."""

from __future__ import annotations

import os
import time
from typing import Any

import gevent

from .messages import FOLDER_VARIABLE

LOOK_EVERY_S = 0.02

PATIENCE_S = 5.0
"""Then Locust looks itself: it counts the timeout, and logs who is missing."""


def wait_for_workers(environment: Any, **_: object) -> None:
    """Return when the workers that a recorded run expects are ready, or PATIENCE_S are over.

    The last listener of `init`: what the scenario does there is done before the wait.
    """
    from locust.runners import MasterRunner

    runner, options = environment.runner, environment.parsed_options
    if not isinstance(runner, MasterRunner) or FOLDER_VARIABLE not in os.environ or options is None:
        return
    give_up_s = time.monotonic() + min(PATIENCE_S, options.expect_workers_max_wait or PATIENCE_S)
    while len(runner.clients.ready) < options.expect_workers and time.monotonic() < give_up_s:
        gevent.sleep(LOOK_EVERY_S)
