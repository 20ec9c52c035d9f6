"""Turn a worker's requests into rows and send them to the master, with the worker's health and clock."""

from __future__ import annotations

import functools
import logging
import math
import os
import platform
import socket
import time
from typing import Any

import gevent
import locust
from locust import argument_parser, runners
from locust.env import Environment
from locust.rpc import Message
from locust.runners import Runner, WorkerRunner
from locust.user.task import LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from ..recording import buffer as row_buffers
from ..recording.buffer import RowBuffer
from ..recording.outcomes import error_text, outcome_of
from ..users.open_loop import take_lateness_us
from .health import HealthProbe
from .machine import MachineProbe
from .messages import CLOCK, DRAIN, DRAINED, HELLO, REPORT_INTERVAL_S, REPORT_KEY, SILENCE_S

log = logging.getLogger(__name__)


class Sender:
    """The recording half of a worker."""

    def __init__(self, environment: Environment, runner: WorkerRunner, *, parent_pid: int | None) -> None:
        self.environment = environment
        self.runner = runner
        self.parent_pid = parent_pid
        self.buffer = RowBuffer(f"{socket.gethostname()}-{runner.worker_index}")
        self.health = HealthProbe()
        self.machine = MachineProbe()
        self.heard_s = time.monotonic()
        self.silenced = False

    def startup(self) -> None:
        """Attach the buffer and every listener, and start the greenlets; returns at once."""
        runners.WORKER_REPORT_INTERVAL = REPORT_INTERVAL_S
        # For every order to start users, once a second of a ramp, Locust builds its whole argument parser again to
        # learn its options' defaults: 90 ms in which this process measures nothing but itself. They are constant, so
        # they are found out once, now, and remembered.
        argument_parser.default_args_dict = functools.cache(argument_parser.default_args_dict)
        argument_parser.default_args_dict()
        row_buffers.attach(self.environment, self.buffer)
        events = self.environment.events
        events.request.add_listener(self._record)
        events.report_to_master.add_listener(self._report)
        events.heartbeat_received.add_listener(self._heard)
        self.runner.register_message(CLOCK, self._answer_clock)
        self.runner.register_message(DRAIN, self._drain, concurrent=True)
        self.health.startup()
        gevent.spawn(self.main_loop)
        self.runner.send_message(
            HELLO,
            {
                "worker": self.buffer.worker,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "versions": {"python": platform.python_version(), "locust": locust.__version__},
            },
        )

    def main_loop(self) -> None:
        """Watch the parent and the master: without the one end, without the other stop the users."""
        turned_s = time.monotonic()
        while True:
            gevent.sleep(0.5)
            if time.monotonic() - turned_s > 1:  # this process was busy: what the master said meanwhile comes now
                self.heard_s = time.monotonic()
            turned_s = time.monotonic()
            if self.parent_pid is not None and os.getppid() != self.parent_pid:
                log.error("The process that started this worker is gone: stopping.")
                self.runner.quit()
                return
            silent = time.monotonic() - self.heard_s > SILENCE_S
            if silent and not self.silenced and self.runner.user_count:
                log.error("The master has been silent for %g s: stopping this worker's users.", SILENCE_S)
                self.runner.stop()
            self.silenced = silent

    def _heard(self, **_: object) -> None:
        self.heard_s = time.monotonic()

    def _record(  # Locust's event has these names
        self,
        request_type: str,
        name: str,
        response_time: float | None,
        response_length: int | None,
        exception: BaseException | None = None,
        context: dict[str, object] | None = None,
        response: Any = None,
        start_time: float | None = None,
        **_: object,
    ) -> None:
        """Append the row of a request that a stock client or the scenario itself reported."""
        if context and row_buffers.RECORDED_KEY in context:
            return
        rows = self.buffer
        latency_us = round((response_time or 0.0) * 1000)
        start_ns = round(start_time * 1e9) if start_time else time.time_ns() - latency_us * 1000
        status = getattr(response, "status_code", None) or 0
        headers = getattr(response, "headers", None) or {}
        rows.add(
            start_ns,
            latency_us,
            take_lateness_us(time.perf_counter() - latency_us / 1e6),
            rows.text_id(str(name)),
            rows.text_id(str(request_type)),
            status,
            outcome_of(status, exception),
            rows.text_id(error_text(exception)) if exception is not None else 0,
            response_length or 0,
            rows.text_id(headers.get("x-instance-id") or ""),
            _number(headers.get("x-instance-age-ms")),
            _predict_us(headers.get("server-timing")),
        )

    def _report(self, client_id: str, data: dict[str, Any]) -> None:
        del client_id
        data[REPORT_KEY] = self._parcel()

    def _parcel(self) -> dict[str, Any]:
        sample, machine = self.health.take(), self.machine.take()
        refused, self.buffer.refused = self.buffer.refused, 0
        return {
            "worker": self.buffer.worker,
            "frame": self.buffer.take() or b"",
            "rows_sent": self.buffer.rows_sent,
            "time_s": int(time.time()),
            "users": self.runner.user_count,
            "in_flight": self.buffer.in_flight,
            "cpu_ratio": sample.cpu_ratio,
            "loop_lag_ms": sample.loop_lag_ms,
            "machine_cpu_ratio": machine.cpu_ratio,
            "machine_steal_ratio": machine.steal_ratio,
            "memory_pressure_ratio": machine.memory_pressure_ratio,
            "refused": refused,
        }

    def _answer_clock(self, environment: Environment, msg: Message, **_: object) -> None:
        del environment
        self.runner.send_message(CLOCK, {**msg.data, "worker_ns": time.time_ns(), "worker": self.buffer.worker})

    def _drain(self, environment: Environment, msg: Message, **_: object) -> None:
        """Stop the users (they finish what they began, up to the stop time-out), then send the rest and the count.

        The master may still be starting users while it drains, in a ramp that is cut short: its orders are as if they
        came too late, or the users that have just been stopped would be replaced, all at once.
        """
        del environment, msg
        self.runner.last_received_spawn_timestamp = math.inf  # type: ignore[assignment]  # Locust compares with it
        if self.runner.spawning_greenlet is not None:
            self.runner.spawning_greenlet.kill()
        stop_users(self.runner)
        self.runner.stop()
        parcel = self._parcel()
        self.runner.send_message(DRAINED, parcel)


def stop_users(runner: Runner) -> None:
    """Stop all users at once: who waits ends now, who does something finishes it, up to the stop time-out.

    Locust stops them one by one, and kills a user that has begun to wait by then; one whose wait ends between the order
    and the kill sends a request and is killed in the middle of it, unrecorded. Marked as stopping, all of them in one
    turn of the event loop, a user ends by itself when its wait or its task does.
    """
    ending = []
    for greenlet in list(runner.user_greenlets):
        user = greenlet.args[0] if greenlet.args else None
        if user is None:  # it has ended: gevent takes a dead greenlet's arguments away
            continue
        idle = user._state in (None, LOCUST_STATE_WAITING)
        user._state = LOCUST_STATE_STOPPING
        ending.append(greenlet)
        if idle:
            greenlet.kill(block=False)
    # Waited for here, and not by Locust, which would lose sight of those killed that have more to do in `on_stop`, such
    # as arrivals under way.
    gevent.joinall(ending, timeout=runner.environment.stop_timeout)
    gevent.killall(ending)


def _number(text: str | None) -> int:
    """Return a header's whole number, −1 when it is absent or none."""
    try:
        return int(float(text)) if text else -1
    except ValueError:
        return -1


def _predict_us(text: str | None) -> int:
    """Return `predict;dur=` of a Server-Timing header in µs, −1 when there is none."""
    for entry in (text or "").split(","):
        name, _, rest = entry.strip().partition(";")
        if name == "predict" and rest.startswith("dur="):
            try:
                return round(float(rest[4:].split(";")[0]) * 1000)
            except ValueError:
                return -1
    return -1
