"""Run the users of a scenario one by one in this process before the load, without a master, a recorder or waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .describe import load


def prepare(path: Path, request: dict[str, Any], *, host: str | None) -> Any:
    """Return the environment of a scenario that is ready to spawn users.

    The scenario's `test_start` listeners have been called.

    Args:
        path: the path of the locustfile.
        request: the fields of `loadtest.fleet.scenario.Request`.
        host: the target's base URL. If `host` is None, every user class keeps its own host.

    Raises:
        RefusedError: the scenario cannot be run with these options.
    """
    from ..recorder.tokens import authorize

    environment = load(path, request).environment
    environment.host = host
    environment.stop_timeout = 5
    for user_class in environment.user_classes if host else ():
        user_class.host = host  # Locust's runner does the same when it starts
    runner = environment.create_local_runner()
    environment.events.init.fire(environment=environment, runner=runner, web_ui=None)
    authorize(environment)
    environment.events.test_start.fire(environment=environment)
    return environment


def run_one(
    environment: Any, user_class: Any, *, wait: Callable[[], float], enough: Callable[[], bool], most_s: float
) -> None:
    """Let one user of a class send its requests until enough requests have been sent.

    `wait` is called between the user's tasks.
    """
    import gevent
    from locust.runners import STATE_RUNNING

    runner = environment.runner
    open_loop = bool(getattr(user_class, "open_loop", False))
    user_class.wait_time = lambda _: max(0.0005, wait()) if open_loop else wait()
    if open_loop:
        user_class.max_in_flight = 1
    runner.spawn_users({user_class.__name__: 1})
    runner.state = STATE_RUNNING
    end_s = time.monotonic() + most_s
    while time.monotonic() < end_s and not enough() and runner.user_count:
        gevent.sleep(0.02)
    runner.stop_users({user_class.__name__: 1})
