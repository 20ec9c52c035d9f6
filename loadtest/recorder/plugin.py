"""Record every request of a Locust fleet: the plugin that each of its processes loads as a second locustfile."""

from __future__ import annotations

import os

from locust import events
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtest.recorder.messages import FOLDER_VARIABLE, PARENT_VARIABLE


@events.init.add_listener
def _take_side(environment: Environment, **_: object) -> None:
    parent = int(os.environ[PARENT_VARIABLE]) if PARENT_VARIABLE in os.environ else None
    if isinstance(environment.runner, WorkerRunner):
        from loadtest.recorder.tokens import authorize
        from loadtest.recorder.worker import Sender

        # The master may order users from now on, and whatever waits lets that order through: listen first.
        Sender(environment, environment.runner, parent_pid=parent).startup()
        authorize(environment)
    elif isinstance(environment.runner, MasterRunner) and FOLDER_VARIABLE in os.environ:
        from pathlib import Path

        from loadtest.recorder.master import Collector
        from loadtest.recording.folder import RunFolder

        Collector(
            environment, environment.runner, RunFolder(Path(os.environ[FOLDER_VARIABLE])), parent_pid=parent
        ).startup()
