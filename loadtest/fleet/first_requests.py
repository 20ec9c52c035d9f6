"""Send a scenario's own first requests to an instance whose CPU time is measured.

This module runs in a separate process. The process exchanges lines with the measuring process: it writes `warm` after
sending the first requests, waits for a line, sends the measured requests, and writes a JSON record of them.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..core.templates import path_template
from ..recorder.failed_bodies import body_read, text_of_body
from ..recorder.load_error import format_load_error
from .alone import prepare, run_one
from .describe import RefusedError, speaks_http

WARM, MEASURED = 40, 200
"""Number of requests before the measurement, and number of measured requests."""

PAUSE_S = 0.01
"""Pause between two tasks. A service that sleeps between two requests uses more CPU for each of them, and under load it
sleeps between requests too."""

MOST_S = 15.0
"""Time limit of the requests before the measurement, and of the measured requests. A scenario with long waits inside
its tasks sends fewer requests in this time."""

SHOWN_CHARS = 300
"""At most this many characters of a failed answer are shown."""


@dataclass(slots=True)
class Sent:
    """The record of the sent requests.

    Attributes:
        names: methods and paths, the most frequent first.
        why: the first failed answer; "" if none failed.
        per_user_s: how many requests per second a user sends if it never waits for a slow answer; None if the user
            class does not state it.
    """

    requests: int = 0
    failed: int = 0
    tasks: int = 0
    names: Counter[str] = field(default_factory=Counter)
    why: str = ""
    per_user_s: float | None = None

    def hear(self, *, request_type: str, name: str, exception: object, response: object = None, **_: object) -> None:
        """Count a request."""
        endpoint = f"{request_type} {path_template(str(name))}"
        self.requests += 1
        self.names[endpoint] += 1
        if exception is not None:
            self.failed += 1
            if not self.why:
                body = text_of_body(body_read(response))[:SHOWN_CHARS]
                self.why = f"{endpoint}: {exception}{f': {body}' if body else ''}"

    def wait(self) -> float:
        """Count the end of a task, and return how long its user waits afterwards."""
        self.tasks += 1
        return PAUSE_S


def send(environment: Any, *, many: int) -> Sent:
    """Send requests as one user of each class. The classes take turns, in proportion to their weights."""
    sent = Sent()
    environment.events.request.add_listener(sent.hear)
    classes = [user for user in environment.user_classes if speaks_http(user)]
    total, until = sum(user.weight for user in classes), 0.0
    for user_class in classes:
        until += many * user_class.weight / total
        most_s = MOST_S * user_class.weight / total
        run_one(environment, user_class, wait=sent.wait, enough=lambda: sent.requests >= until, most_s=most_s)  # noqa: B023 - called at once
    environment.events.request.remove_listener(sent.hear)
    return sent


def tasks_per_s(user_class: Any) -> float | None:
    """Return how many tasks per second a user of the class would begin if its tasks took no time.

    The number comes from the class's `requests_per_s`, or else from the mean of 20 waits of its `wait_time`. None if
    neither source states the rate.
    """
    if stated := getattr(user_class, "requests_per_s", 0):
        return float(stated)
    with suppress(Exception):  # a wait function of the scenario may need a complete user
        wait_s = statistics.fmean(user_class.wait_time(SimpleNamespace()) for _ in range(20))
        return 1 / wait_s if wait_s > 0 else None
    return None


def close_connections(user_class: Any) -> None:
    """Make users of the class open a connection for each request, as the local Cloud Run's data plane does."""
    if isinstance(getattr(user_class, "default_headers", None), (dict, type(None))):
        user_class.default_headers = {**(getattr(user_class, "default_headers", None) or {}), "Connection": "close"}
    begin = user_class.__init__

    def begin_closing(self: Any, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options)
        if hasattr(self.client, "headers"):
            self.client.headers["Connection"] = "close"

    user_class.__init__ = begin_closing


def main(arguments: list[str]) -> None:
    """Send the requests, as the module's docstring describes.

    Args:
        arguments: `-f FILE ASKED URL`, where ASKED is JSON: request, seed.
    """
    path, asked, url = Path(arguments[1]), json.loads(arguments[2]), arguments[3]
    os.environ["LT_SEED"] = str(asked["seed"])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # the output of the scenario must not be mistaken for an answer
    try:
        environment = prepare(path, asked["request"], host=url)
        rates = [(user.weight, tasks_per_s(user)) for user in environment.user_classes]
        for user_class in environment.user_classes:
            if speaks_http(user_class):
                close_connections(user_class)
        send(environment, many=WARM)
        print("warm", file=answers)
        sys.stdin.readline()
        sent = send(environment, many=MEASURED)
        if sent.tasks and all(rate is not None for _, rate in rates):
            mean = sum(weight * rate for weight, rate in rates if rate) / sum(weight for weight, _ in rates)
            sent.per_user_s = mean * sent.requests / sent.tasks
        names = [name for name, _ in sent.names.most_common(3)]
        print(json.dumps({**asdict(sent), "names": names}), file=answers)
    except RefusedError as error:
        print(json.dumps({"why": str(error)}), file=answers)
    except Exception as error:  # the code of the locustfile may raise any exception
        print(json.dumps({"why": format_load_error(error, path)}), file=answers)
    answers.flush()
    os._exit(0)  # without waiting for threads and greenlets of the scenario
