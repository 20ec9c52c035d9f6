"""Distinguish a busy worker from a lost worker: on this machine by its process, on another machine by its silence."""

from __future__ import annotations

import logging
import os
import socket
import time
from dataclasses import dataclass
from enum import Enum, auto

import gevent
import psutil
from locust import runners
from locust.env import Environment
from locust.rpc import Message
from locust.runners import STATE_MISSING, MasterRunner, WorkerRunner

from .messages import PARENT_VARIABLE, PROCESS

log = logging.getLogger(__name__)

SILENT_S = 12.0
"""A worker that is not a child process of the same `lt` counts as lost after this time, because we cannot see its
process."""

STOPPED_S = 3.0
"""A stopped process (SIGSTOP) counts as lost after this time."""

HUNG_S = 60.0
"""A live process that does not respond counts as lost after this time. The time is long, because a worker may be
generating payloads when the load starts."""

BUSY_S = 5.0
"""After this time, a log line says that the run waits for the worker."""


class Process(Enum):
    """The state of a worker's process, as far as it is known."""

    RUNNING = auto()
    STOPPED = auto()
    GONE = auto()
    ELSEWHERE = auto()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a worker is lost, and why. `busy` means that the run waits for the worker longer than usual."""

    lost: bool
    busy: bool = False
    why: str = ""


def judge(silent_s: float, process: Process) -> Verdict:
    """Return the verdict on a worker that has been silent for this time."""
    if process is Process.GONE:
        return Verdict(lost=True, why="its process has ended")
    if process is Process.STOPPED and silent_s > STOPPED_S:
        return Verdict(lost=True, why=f"its process is stopped and has not responded for {silent_s:.0f} s")
    if process is Process.RUNNING and silent_s > HUNG_S:
        return Verdict(lost=True, why=f"its process is alive and has not responded for {silent_s:.0f} s")
    if process is Process.ELSEWHERE and silent_s > SILENT_S:
        return Verdict(lost=True, why=f"no sign of life for {silent_s:.0f} s")
    return Verdict(lost=False, busy=silent_s > BUSY_S)


class WorkerWatch:
    """Watch the master's workers, and give up those that are lost.

    Locust itself removes a worker when its countdown of missed heartbeats has ended. For a lost worker, this class ends
    the countdown at once.
    """

    def __init__(self, environment: Environment, runner: MasterRunner) -> None:
        self.runner = runner
        self.why: dict[str, str] = {}
        self._heard_s: dict[str, float] = {}
        self._pids: dict[str, int] = {}
        self._busy: set[str] = set()
        runners.HEARTBEAT_LIVENESS = round(2 * HUNG_S)  # the decision is made here, and Locust only carries it out
        environment.events.heartbeat_sent.add_listener(self._heard)
        environment.events.worker_report.add_listener(self._heard)
        runner.register_message(PROCESS, self._introduced)
        gevent.spawn(self.main_loop)

    def main_loop(self) -> None:
        """Check twice a second."""
        while True:
            gevent.sleep(0.5)
            self.look(time.monotonic())

    def look(self, now_s: float) -> None:
        """Give up lost workers, and log which busy workers the run waits for."""
        for client in self.runner.clients.all:
            if client.state == STATE_MISSING:
                continue
            silent_s = now_s - self._heard_s.setdefault(client.id, now_s)
            verdict = judge(silent_s, self._process_of(client.id))
            if verdict.lost:
                self.why[client.id] = verdict.why
                log.error("Worker %s is given up: %s.", client.id, verdict.why)
                # within a second, Locust then removes the worker and gives its users to other workers
                client.heartbeat = -1
            elif verdict.busy and client.id not in self._busy:
                self._busy.add(client.id)
                log.warning("Worker %s is busy and has not responded for %.0f s: waiting.", client.id, silent_s)

    def _heard(self, client_id: str, **_: object) -> None:
        self._heard_s[client_id] = time.monotonic()
        self._busy.discard(client_id)

    def _introduced(self, environment: Environment, msg: Message, **_: object) -> None:
        del environment
        data = msg.data
        if data["host"] == socket.gethostname() and data["parent"] == os.environ.get(PARENT_VARIABLE, ""):
            self._pids[msg.node_id] = int(data["pid"])

    def _process_of(self, client_id: str) -> Process:
        pid = self._pids.get(client_id)
        if pid is None:
            return Process.ELSEWHERE
        try:
            process = psutil.Process(pid)
            if str(process.ppid()) != os.environ.get(PARENT_VARIABLE) or process.status() == psutil.STATUS_ZOMBIE:
                return Process.GONE
            return Process.STOPPED if process.status() == psutil.STATUS_STOPPED else Process.RUNNING
        except psutil.Error:
            return Process.GONE


def introduce(runner: WorkerRunner) -> None:
    """Tell the master which process this worker is."""
    runner.send_message(
        PROCESS,
        {"host": socket.gethostname(), "pid": os.getpid(), "parent": os.environ.get(PARENT_VARIABLE, "")},
    )
