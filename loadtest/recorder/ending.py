"""Detect that the scenario itself ends the run, and find the place in its code."""

from __future__ import annotations

import logging
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import gevent
import locust
from locust.env import Environment
from locust.exception import StopTest
from locust.rpc import Message
from locust.runners import MasterRunner, WorkerRunner

from .messages import ENDING

log = logging.getLogger(__name__)

ANSWER_S = 20.0
"""How long a worker waits for the master to end the run. After this time the worker ends by itself, as it would with a
plain Locust master. """

TOTALS_S = 0.5
"""How long Locust waits for the totals of workers that are about to quit."""

_STDLIB = sysconfig.get_paths()["stdlib"]
_LOCUST = str(Path(locust.__file__).parent)
_GEVENT = str(Path(gevent.__file__).parent)
_OURS = str(Path(__file__).parents[1])


class MasterEnding:
    """Wrap a master's `quit` and `stop`, and remember the first caller.

    Attributes:
        at_s: when the scenario ended the run, in seconds since the load began; None if the scenario did not end it.
        where: the place in the scenario's code, or the scenario's message.
    """

    def __init__(self, environment: Environment, runner: MasterRunner, degrade: Callable[[str], None]) -> None:
        self.runner = runner
        self.at_s: float | None = None
        self.where = ""
        self._degrade = degrade  # Locust fires no event if it gives up before the load
        self._options = environment.parsed_options
        self._start_s: float | None = None
        self._ending = False
        self._stop = runner.stop
        environment.events.test_start.add_listener(self._started)
        environment.events.test_stopping.add_listener(self._stopping)
        runner.quit = self.quit  # type: ignore[method-assign]
        runner.stop = self.stop  # type: ignore[method-assign]
        runner.register_message(ENDING, self._told)

    def quit(self) -> None:
        """End the run. A call from the scenario is remembered, and carried out in a separate greenlet.

        The call may come from a listener in the greenlet that has to receive the workers' last rows.
        """
        where = self._scenarios_place()
        if where is None:
            if self._start_s is None and self._options is not None:
                why = missing_workers(
                    len(self.runner.clients.ready),
                    self._options.expect_workers,
                    self._options.expect_workers_max_wait,
                )
                if why:
                    self._degrade(why)
            self._quit()
        else:
            self._end(where)

    def _quit(self) -> None:
        """End the run like Locust's `quit`, but wait for the workers' totals only while a worker is connected.

        Locust's `quit` waits 0.5 s at each call. A worker sends its totals before it reports that it has quit, so there
        is nothing to wait for from workers that have quit.
        """
        self.runner.stop(send_stop_to_client=False)
        for client in self.runner.clients.all:
            self.runner.server.send_to_client(Message("quit", None, client.id))
        give_up_s = time.monotonic() + TOTALS_S
        while self.runner.worker_count > 0 and time.monotonic() < give_up_s:
            gevent.sleep(0.01)
        self.runner.greenlet.kill(block=True)

    def stop(self, *arguments: Any, **options: Any) -> None:
        """Stop the users.

        If the scenario does this, the run ends; plain Locust would wait for the planned end.
        """
        where = self._scenarios_place()
        if where is None:
            self._stop(*arguments, **options)
        else:
            self._end(where)

    def _scenarios_place(self) -> str | None:
        return None if self._ending or self._start_s is None else calling_place()

    def _end(self, where: str) -> None:
        assert self._start_s is not None
        self._ending = True
        self.at_s, self.where = time.monotonic() - self._start_s, where
        log.warning("The scenario ends the run at %.1f s (%s).", self.at_s, where)
        gevent.spawn(self._quit)

    def _started(self, **_: object) -> None:
        self._start_s = time.monotonic()

    def _stopping(self, **_: object) -> None:
        self._ending = True  # from here on, calls do not end the run, because it is already ending

    def _told(self, environment: Environment, msg: Message, **_: object) -> None:
        del environment
        if not self._ending and self._start_s is not None:
            self._end(str(msg.data["where"])[:500])


def missing_workers(joined: int, expected: int, within_s: float) -> str:
    """Return a sentence that says that too few workers joined in time, and what to do; "" if all workers joined."""
    if joined >= expected:
        return ""
    return (
        f"{joined} of {expected} workers joined within {within_s:.0f} s: check that the other workers are running and "
        "can reach this master, or wait longer with --join-timeout"
    )


def forward_ending(runner: WorkerRunner) -> None:
    """If the scenario calls a worker's `quit` or `stop`, end the whole run properly.

    In plain Locust with a single process, these calls end the run. In a worker, Locust would end only that worker,
    without sending its last rows.
    """

    def forwarding(original: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any, **options: Any) -> None:
            where = calling_place()
            if where is None:
                original(*arguments, **options)
                return
            log.warning("The scenario ends the run (%s).", where)
            runner.send_message(ENDING, {"where": where})
            gevent.spawn_later(ANSWER_S, original)

        return call

    runner.quit = forwarding(runner.quit)  # type: ignore[method-assign]
    runner.stop = forwarding(runner.stop)  # type: ignore[method-assign]


def calling_place() -> str | None:
    """Return the place in the scenario that calls the current function; None if the caller is not the scenario.

    The caller is the scenario in three cases: a stack frame belongs to code that is not part of Python, Locust, gevent
    or this project; the scenario raised a StopTest; or the greenlet does nothing but this call (`gevent.spawn_later(3,
    runner.quit)`).
    """
    frames = list(_frames())
    if any(frame.f_code.co_filename == f"{_LOCUST}/web.py" for frame in frames):
        return None
    for frame in frames:
        if frame.f_code.co_name == "handler" and frame.f_code.co_filename == f"{_LOCUST}/runners.py":
            greenlet = frame.f_locals.get("greenlet")
            if greenlet is not None and greenlet.exc_info[0] is StopTest:
                return f"StopTest: {greenlet.exc_info[1]}"
    for frame in frames:
        if not _is_known(frame.f_code.co_filename):
            return f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}"
    return None if frames else "in a greenlet that it started"


def was_sent_sigterm() -> bool:
    """Whether the caller is Locust's handler of SIGTERM."""
    return any(
        frame.f_code.co_name == "sig_term_handler" and frame.f_code.co_filename == f"{_LOCUST}/main.py"
        for frame in _frames()
    )


def _frames() -> Iterator[FrameType]:
    """Yield the frames of the current call, innermost first, without the frames of gevent."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename != __file__ and not frame.f_code.co_filename.startswith(_GEVENT):
            yield frame
        frame = frame.f_back


def _is_known(filename: str) -> bool:
    if filename.startswith((_LOCUST, _GEVENT, _OURS, "<")):
        return True
    return filename.startswith(_STDLIB) and "-packages" not in filename
