"""Send a worker's rows, health and counts to the master, and end its users properly."""

from __future__ import annotations

import functools
import gc
import logging
import math
import os
import platform
import socket
import time
from dataclasses import asdict
from typing import Any

import gevent
import locust
from locust import argument_parser, runners
from locust.env import Environment
from locust.exception import RPCError
from locust.rpc import Message
from locust.runners import Runner, WorkerRunner
from locust.user.task import LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from ..core.clock import AnchoredClock, process_clock
from ..recording import buffer as row_buffers
from ..recording.buffer import RowBuffer
from ..recording.run import TaskErrorRecord
from ..users import answers
from ..users.answers import AnswerChecker, Reference
from ..users.open_loop import take_lateness_us
from .cut_off import KNOWN, UNFINISHED, watch_tasks
from .ending import was_sent_sigterm
from .health import COMPUTING, HealthProbe, SlowListener, held_by
from .hooks import listen_first
from .machine import MachineProbe
from .messages import (
    ANSWERS,
    CLOCK,
    DRAIN,
    DRAINED,
    HELLO,
    PAUSE_S,
    REFUSED,
    REPORT,
    REPORT_INTERVAL_S,
    SILENCE_S,
    own_proof,
)
from .request_recorder import RequestRecorder
from .task_errors import TaskErrors, watch_users
from .totals import LocustTotals

log = logging.getLogger(__name__)

KILL_S = 2.0
"""How long a user may take to end after it was killed. The code of the user may catch the exception and continue."""


class Sender:
    """The recorder in a worker."""

    def __init__(
        self, environment: Environment, runner: WorkerRunner, errors: TaskErrors, *, parent_pid: int | None
    ) -> None:
        self.environment = environment
        self.runner = runner
        self.parent_pid = parent_pid
        self.clock = process_clock()
        self.buffer = RowBuffer(f"{socket.gethostname()}-{runner.worker_index}")
        self.recorder = RequestRecorder(self.buffer, self.clock, take_lateness_us)
        self.errors = errors
        errors.worker = self.buffer.worker
        self.totals = LocustTotals()
        self.checker: AnswerChecker | None = None
        self.health = HealthProbe()
        self.slowest_listener = SlowListener()
        self.machine = MachineProbe()
        self.heard_s = time.monotonic()
        self.silenced_for_s = 0.0
        self.silenced = False
        self.ended = False

    def startup(self) -> None:
        """Attach the buffer and every listener, and start the greenlets. Return at once."""
        runners.WORKER_REPORT_INTERVAL = REPORT_INTERVAL_S
        keep_time(self.clock)
        # For every message to start users (once a second in a ramp), Locust builds its whole argument parser again,
        # only to get the defaults of the options. Building the parser blocks the process for 90 ms, and this delay
        # would be measured as latency. The defaults are constant, so they are computed once and kept.
        argument_parser.default_args_dict = functools.cache(argument_parser.default_args_dict)
        argument_parser.default_args_dict()
        row_buffers.attach(self.environment, self.buffer)
        events = self.environment.events
        listen_first(events.request, self.recorder.heard, self.recorder.in_flight.measure)
        listen_first(events.user_error, self._user_failed)
        watch_users(self.errors, self._exits)
        watch_tasks(self._cut_off)
        self.recorder.in_flight.startup()
        events.report_to_master.add_listener(self._locust_reports)
        events.heartbeat_received.add_listener(self._heard)
        events.quitting.add_listener(self._quitting)
        self.runner.register_message(CLOCK, self._answer_clock)
        self.runner.register_message(ANSWERS, self._check_answers)
        self.runner.register_message(DRAIN, self._drain, concurrent=True)
        self.runner.register_message(REFUSED, self._refused)
        self.health.startup()
        gevent.spawn(self.main_loop)
        gevent.spawn(self.report_loop)
        self.runner.send_message(HELLO, self._greeting())

    def _greeting(self) -> dict[str, Any]:
        return {
            "worker": self.buffer.worker,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "versions": {"python": platform.python_version(), "locust": locust.__version__},
            "proof": own_proof(self.runner.client_id),
        }

    def main_loop(self) -> None:
        """Watch the parent and the master.

        If the parent has ended, end the process; if the master has ended, stop the users.
        """
        turned_s = time.monotonic()
        while True:
            gevent.sleep(0.5)
            # this process was busy; the messages that the master sent during that time arrive now
            if time.monotonic() - turned_s > 1:
                self.heard_s = time.monotonic()
            turned_s = time.monotonic()
            if self.parent_pid is not None and os.getppid() != self.parent_pid:
                log.error("The process that started this worker has ended: stopping.")
                self.runner.quit()
                return
            silent_s = time.monotonic() - self.heard_s
            if silent_s > SILENCE_S and not self.silenced and self.runner.user_count:
                log.error("The master has been silent for %g s: stopping this worker's users.", SILENCE_S)
                self.silenced_for_s = silent_s
                stop_users(self.runner)  # users finish the tasks that they have begun
                self.runner.stop()
            self.silenced = silent_s > SILENCE_S

    def report_loop(self) -> None:
        """Report once a second. Locust's own report is not used, because it may contain values that cannot be sent."""
        while True:
            gevent.sleep(REPORT_INTERVAL_S)
            if not self.ended or len(self.buffer):  # rows that were added after the last report are still sent
                self._send(REPORT, self._report())

    def _send(self, kind: str, report: dict[str, Any]) -> None:
        try:
            self.runner.send_message(kind, report)
        except RPCError as error:
            log.error("A report could not be sent (%s); the rows in it are missing.", error)

    def _heard(self, **_: object) -> None:
        self.heard_s = time.monotonic()

    def _refused(self, environment: Environment, msg: Message, **_: object) -> None:
        """End this worker, because the master has rejected it, and load that is not recorded is useless."""
        log.error("The master refused this worker: %s", msg.data)
        environment.process_exit_code = 4
        self.ended = True
        gevent.spawn(self.runner.quit)

    def _check_answers(self, environment: Environment, msg: Message, **_: object) -> None:
        """Compare answers from now on.

        The master sends the reference answers before its first message to start users.
        """
        self.checker = AnswerChecker(Reference.decode(msg.data["reference"]), environment)
        answers.attach(environment, self.checker)
        self.recorder.answers = self.checker

    def _user_failed(self, event: dict[str, Any]) -> dict[str, Any]:
        error = event.get("exception")
        if isinstance(error, BaseException):
            self.errors.add(error, user=event.get("user_instance"))
        return event

    def _cut_off(self, user: object) -> None:
        """Count the request in flight as lost if the user's client reports a request only when it ends."""
        if not isinstance(user, KNOWN) or self.recorder.custom_methods:
            self.buffer.begun += 1
            self.recorder.refusals.add(UNFINISHED, type(user).__name__, lost=True)

    def _exits(self, record: TaskErrorRecord) -> None:
        """Send everything now, because a task has called `sys.exit` and this process is about to end."""
        place = f"{record.user_class}.{record.task}" if record.user_class else record.task or "a greenlet"
        self._end_recording(f"the scenario called sys.exit({record.message}) in {place}")

    def failed_in_init(self, record: TaskErrorRecord) -> None:
        """Report that a listener of `init` has failed. Because of this error, Locust is about to end the process."""
        what = f"sys.exit({record.message})" if record.where == "exit" else f"{record.exception}: {record.message}"
        self._end_recording(f"the scenario's init failed with {what}")

    def listener_was_slow(self, event: str, name: str, took_s: float) -> None:
        """Remember the slowest listener until the next report.

        The listener may be the reason why no other code could run.
        """
        if took_s > self.slowest_listener.took_s:
            self.slowest_listener = SlowListener(event, name[:100], took_s)

    def _quitting(self, **_: object) -> None:
        if not self.ended:
            stop_users(self.runner)
            signalled = was_sent_sigterm()
            why = "it was sent SIGTERM" if signalled else "a signal or the scenario ended it"
            self._end_recording(why)
        elif len(self.buffer):
            self._send(REPORT, self._report())

    def _locust_reports(self, client_id: str, data: dict[str, Any]) -> None:
        del client_id
        self.totals.add(data.get("stats") or ())

    def _report(self) -> dict[str, Any]:
        sample, machine = self.health.take(), self.machine.take()
        refused, self.buffer.refused = self.buffer.refused, 0
        silenced_for_s, self.silenced_for_s = self.silenced_for_s, 0.0
        now_ns = time.perf_counter_ns()
        step = self.clock.take_step()
        lag_s = sample.loop_lag_ms / 1000
        kept_by = held_by(lag_s, sample.lag_cpu_ratio, self.slowest_listener)
        self.slowest_listener = SlowListener()
        return {
            "worker": self.buffer.worker,
            "frame": self.buffer.take() or b"",
            "rows_sent": self.buffer.rows_sent,
            "begun": self.buffer.begun,
            "resent": self.buffer.resent,
            "time_s": int(self.clock.now_s()),
            "users": self.runner.user_count,
            "in_flight": self.buffer.in_flight,
            "oldest_s": self.buffer.oldest_s(now_ns),
            "cpu_ratio": sample.cpu_ratio,
            "loop_lag_ms": sample.loop_lag_ms,
            "machine_cpu_ratio": machine.cpu_ratio,
            "machine_steal_ratio": machine.steal_ratio,
            "memory_pressure_ratio": machine.memory_pressure_ratio,
            "connects_repeated": machine.connects_repeated,
            "refused": refused,
            "silenced_for_s": silenced_for_s,
            "pause_s": lag_s if lag_s > PAUSE_S else 0.0,
            "held_by": kept_by,
            "own_code_ms": sample.loop_lag_ms if kept_by not in ("", COMPUTING) else 0.0,
            "clock_step_s": 0.0 if step is None else step.by_s,
            "task_errors": self.errors.take(),
            "failed_bodies": self.recorder.bodies.take(),
            "refusals": [record.model_dump() for record in self._refusals()],
            "custom_methods": sorted(self.recorder.custom_methods),
            "answers_checked": [] if self.checker is None else self.checker.checked,
            "wrong_answers": [] if self.checker is None else [asdict(example) for example in self.checker.examples],
        }

    def _refusals(self) -> list[Any]:
        for kind, count in self.buffer.others.items():
            self.recorder.refusals.add(
                f"too many distinct {kind}: the rest is recorded as (other)", lost=False, count=count
            )
        self.buffer.others.clear()
        return self.recorder.refusals.records()

    def _last_report(self, ended_why: str = "") -> dict[str, Any]:
        """Return the last report. When the report is made, every request that this worker began has its row."""
        gc.collect()  # this closes a response that the scenario dropped
        self.buffer.close_open()
        report = self._report()
        stats = self.environment.stats
        comparable = not self.environment.reset_stats
        found = self.totals.differences(self.buffer.events, stats.entries.values()) if comparable else []
        report["differences"] = [difference.model_dump() for difference in found]
        report["ended_why"] = ended_why
        return report

    def _end_recording(self, why: str) -> None:
        if not self.ended:
            self.ended = True
            self._send(DRAINED, self._last_report(why))

    def _answer_clock(self, environment: Environment, msg: Message, **_: object) -> None:
        del environment
        self.runner.send_message(CLOCK, {**msg.data, "worker_ns": self.clock.now_ns(), "worker": self.buffer.worker})

    def _drain(self, environment: Environment, msg: Message, **_: object) -> None:
        """Stop the users, which finish their tasks up to the stop timeout, and then send the remaining rows and counts.

        If a ramp is ended early, the master may still send messages to start users. The worker ignores these messages,
        because otherwise all stopped users would be replaced at once.
        """
        del environment, msg
        self.runner.last_received_spawn_timestamp = math.inf  # type: ignore[assignment] # Locust compares with this value
        if self.runner.spawning_greenlet is not None:
            self.runner.spawning_greenlet.kill()
        stop_users(self.runner)
        self.runner.stop()
        self.ended = True
        self._send(DRAINED, self._last_report())


def stop_users(runner: Runner) -> None:
    """Stop all users at once. Waiting users end now, and the others finish their tasks up to the stop timeout.

    Locust stops users one by one and kills those that are waiting. If a user's wait ended between the message to stop
    and the kill, the user would send a request and be killed before the answer. Here all users are marked as stopping
    in one turn of the event loop, and each user ends by itself when its wait or its task ends.
    """
    ending = []
    for greenlet in list(runner.user_greenlets):
        user = greenlet.args[0] if greenlet.args else None
        if user is None:  # the user has ended: gevent removes the arguments of a dead greenlet
            continue
        idle = user._state in (None, LOCUST_STATE_WAITING)
        user._state = LOCUST_STATE_STOPPING
        ending.append(greenlet)
        if idle:
            greenlet.kill(block=False)
    # This function itself waits, because Locust forgets a killed user whose `on_stop` is still running (an open-loop
    # user waits there for its arrivals).
    gevent.joinall(ending, timeout=runner.environment.stop_timeout)
    gevent.killall(ending, timeout=KILL_S)


def keep_time(clock: AnchoredClock) -> None:
    """Make Locust's runner use this clock as its wall clock.

    The runner compares times. If its wall clock jumped back by an hour, the runner would ignore all messages to start
    users for an hour. If its wall clock jumped forward, a worker would assume that the master had ended.
    """
    setattr(runners, "time", _AnchoredTime(clock))  # noqa: B010 - the runner uses `time.time()`


class _AnchoredTime:
    """The module `time` with another wall clock."""

    def __init__(self, clock: AnchoredClock) -> None:
        self.time = clock.now_s

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)
