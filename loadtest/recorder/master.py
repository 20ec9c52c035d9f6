"""Receive the workers' frames in the master, write them to the run folder, and count what is missing."""

from __future__ import annotations

import errno
import logging
import os
import platform
import signal
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import IO

import gevent
import locust
from gevent.event import Event
from locust.env import Environment
from locust.rpc import Message
from locust.runners import STATE_MISSING, MasterRunner

from ..core.clock import process_clock
from ..core.errors import RunFolderError
from ..core.plan import users_at
from ..recording.folder import RunFolder
from ..recording.run import ClockJumpRecord, PauseRecord, UnrecordedWorkerRecord
from ..users.row_blocks import HUB
from .admission import AdmissionError, Greeting, WorkerReport, check_report
from .diagnostics import Diagnostics
from .gate import Gate
from .ledger import Ledger
from .messages import ANSWERS, ANSWERS_VARIABLE, CLOCK, DRAIN, DRAINED, PAUSE_S, REPORT, SECRET_VARIABLE
from .task_errors import TaskErrors
from .worker import keep_time

log = logging.getLogger(__name__)

CLOCK_PROBES = 8
"""Number of round trips when a worker starts. The shortest round trip is used, because the others were delayed."""

CLOCK_EVERY_S = 10.0
"""Interval between later round trips. A later round trip may be shorter, and so more exact, than the first round
trips."""

DRAIN_S = 10.0
"""How long after the stop timeout the master waits for the last frames. This leaves time for killing processes that do
not end by themselves."""

WATCH_S = 0.5

MUTE_S = 10.0
"""If a worker that runs users has reported nothing for this long, it is recorded as silent."""

MAX_JUMPS = 100


class Collector:
    """The recorder in the master; no other code writes the spool, `load.csv` and the workers' accounts."""

    def __init__(
        self,
        environment: Environment,
        runner: MasterRunner,
        folder: RunFolder,
        errors: TaskErrors,
        *,
        parent_pid: int | None,
        why_lost: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.why_lost = why_lost  # Locust's client id → why `liveness` has given it up
        self.environment = environment
        self.runner = runner
        self.folder = folder
        self.parent_pid = parent_pid
        self.clock = process_clock()
        self.plan = [(point.at_s, point.users) for point in folder.read_run().scenario.plan]
        self.ledger = Ledger()
        self.names: dict[str, str] = {}  # Locust's client id → our worker name
        self.reported_s: dict[str, float] = {}  # worker → time of its last report
        self.drained: set[str] = set()
        self.reasons: list[str] = []
        self.diagnostics = Diagnostics(errors)
        answers = os.environ.get(ANSWERS_VARIABLE)
        self.answers = Path(answers).read_bytes() if answers else None
        self.record_is_old = False
        self.load_start: datetime | None = None
        self.start_s: float | None = None
        self.draining = False
        self.full = False
        self.all_drained = Event()
        self.gate = Gate(
            runner,
            secret=os.environ.get(SECRET_VARIABLE, ""),
            on_greeting=self._greeted,
            on_refusal=self._refused,
        )
        self.spool: IO[bytes] = folder.spool.open("ab", buffering=0)  # stays open as long as the process runs
        self.sound_bytes = self.spool.tell()

    def startup(self) -> None:
        """Register every listener and start the greenlets. Return at once."""
        keep_time(self.clock)
        self.gate.startup()
        events = self.environment.events
        events.test_start.add_listener(self._started)
        events.test_stopping.add_listener(self._stopping)
        events.quitting.add_listener(lambda **_: self._write_run())
        self.runner.register_message(CLOCK, self._clocked)
        self.runner.register_message(REPORT, self._reported)
        self.runner.register_message(DRAINED, self._drained)
        # Locust handles SIGTERM only after a shape has ended. Until then, the signal would kill the process and lose
        # its rows.
        gevent.signal_handler(signal.SIGTERM, gevent.spawn, self.runner.quit)
        gevent.spawn(self.main_loop)

    def main_loop(self) -> None:
        """Watch the parent, the workers and delays of this process, and regularly measure the workers' clocks."""
        clocks_s = before_s = time.monotonic()
        while True:
            gevent.sleep(WATCH_S)
            now_s = time.monotonic()
            self._look_at_time(now_s - before_s - WATCH_S, now_s)
            before_s = now_s
            if self.parent_pid is not None and os.getppid() != self.parent_pid:
                self._give_up(
                    "the process that started the run ended before the run did; the rows received until then are kept"
                )
                return
            self.gate.look()
            if self.start_s is not None and not self.draining:
                self._look_for_lost_workers()
                self._look_for_mute_workers(now_s)
            if self.record_is_old:
                self._write_run()
            if now_s - clocks_s > CLOCK_EVERY_S:
                clocks_s = now_s
                for client_id in list(self.names):
                    self._ask_clock(client_id)

    def _look_at_time(self, late_s: float, now_s: float) -> None:
        """Record whether this process was paused, and whether its wall clock was set."""
        if late_s > PAUSE_S:
            self.diagnostics.pauses.append(
                PauseRecord(process="master", at=self._moment(-late_s), for_s=round(late_s, 1))
            )
            # during the pause, no message from a worker could be received
            self.reported_s = dict.fromkeys(self.reported_s, now_s)
            at = "" if self.load_start is None else f" at {self._elapsed_s() - late_s:.0f} s"
            if self.start_s is not None and not self.draining:
                self.degrade(
                    f"the master was paused for {late_s:.0f} s{at}: during this time, the load was not controlled"
                )
            else:
                self._write_run()
        step = self.clock.take_step()
        if step is not None:
            self._jumped("master", step.by_s)

    def _jumped(self, process: str, by_s: float) -> None:
        if len(self.diagnostics.jumps) < MAX_JUMPS:
            self.diagnostics.jumps.append(ClockJumpRecord(process=process, at=self._moment(), by_s=round(by_s, 3)))
            log.warning(
                "The wall clock of %s jumped by %+.1f s. The times of the rows are not affected.", process, by_s
            )
            self._write_run()

    def _moment(self, ahead_s: float = 0.0) -> datetime:
        return datetime.fromtimestamp(self.clock.now_s(), UTC) + timedelta(seconds=ahead_s)

    def _elapsed_s(self) -> float:
        return 0.0 if self.start_s is None else time.perf_counter() - self.start_s

    def _started(self, **_: object) -> None:
        self.load_start, self.start_s = self._moment(), time.perf_counter()
        self.reported_s = dict.fromkeys(self.names.values(), time.monotonic())
        self._write_run()

    def _greeted(self, client_id: str, greeting: Greeting) -> None:
        self.names[client_id] = greeting.worker
        self.reported_s[greeting.worker] = time.monotonic()
        self.ledger.joined(greeting.worker, host=greeting.host, pid=greeting.pid)
        ours = {"python": platform.python_version(), "locust": locust.__version__}
        for name, version in greeting.versions.items():
            if version != ours.get(name):
                log.warning("Worker %s runs %s %s, the master %s.", greeting.worker, name, version, ours.get(name))
        # before Locust knows the worker, and so before Locust can tell the worker to start users
        if self.answers is not None:
            self.runner.send_message(ANSWERS, {"reference": self.answers}, client_id)
        for _n in range(CLOCK_PROBES):
            self._ask_clock(client_id)
        self._write_run()

    def _refused(self, client_id: str, name: str, value: object) -> None:
        """Count a message that the master refused. The run is degraded if the message may have contained rows."""
        worker = self.names.get(client_id)
        self.diagnostics.refusals.add(name, value, lost=False, worker=worker or client_id[:200])
        if worker is not None:
            self.degrade(f"worker {worker} sent something invalid: {name}")
        elif client_id in self.gate.refused:
            self._unrecorded(client_id, f"refused: {name}")

    def _unrecorded(self, client_id: str, why: str) -> None:
        if client_id not in self.diagnostics.unrecorded and len(self.diagnostics.unrecorded) < MAX_JUMPS:
            self.diagnostics.unrecorded[client_id] = UnrecordedWorkerRecord(name=client_id[:200], why=why)
            self._write_run()

    def _ask_clock(self, client_id: str) -> None:
        self.runner.send_message(CLOCK, {"sent_ns": self.clock.now_ns()}, client_id)

    def _clocked(self, environment: Environment, msg: Message, **_: object) -> None:
        """Assume that the worker read its clock in the middle of the round trip.

        The error is at most half of the round trip.
        """
        del environment
        received_ns = self.clock.now_ns()
        worker = self.names[msg.node_id]
        sent_ns, worker_ns = msg.data["sent_ns"], msg.data["worker_ns"]
        if not (isinstance(sent_ns, int) and isinstance(worker_ns, int) and 0 <= received_ns - sent_ns < 60e9):
            raise AdmissionError("clock measurement is not a time", msg.data, lost=False)
        self.ledger.clock(
            worker,
            offset_us=((sent_ns + received_ns) / 2 - worker_ns) / 1000,
            uncertainty_us=(received_ns - sent_ns) / 2000,
        )

    def _reported(self, environment: Environment, msg: Message, **_: object) -> None:
        del environment
        report = self._checked(msg.node_id, msg.data)
        if report is None:
            return
        self._take(report)
        # the worker had announced that it would send nothing more
        if report.worker in self.drained and report.frame is not None:
            self._finish(report)

    def _checked(self, client_id: str, diagnostics: object) -> WorkerReport | None:
        worker = self.names[client_id]
        offset_us = self.ledger.accounts[worker].offset_us
        now_ns = None if offset_us is None else self.clock.now_ns() - round(offset_us * 1000)
        try:
            return check_report(diagnostics, worker=worker, now_ns=now_ns)
        except AdmissionError as refused:
            self._refused(client_id, refused.name, refused.value)
            return None

    def _take(self, report: WorkerReport) -> None:
        """Write a worker's frame and its line of `load.csv`, and store the rest of the report."""
        self.reported_s[report.worker] = time.monotonic()
        self.ledger.reported(report.worker, users=report.users, in_flight=report.in_flight, resent=report.resent)
        self._add_diagnostics(report)
        try:
            if report.frame is not None:
                self._keep(report)
            if self.start_s is not None and not self.draining and not self.full:
                self.folder.append_load([self._load_line(report)])
        except (RunFolderError, ValueError) as error:
            self.degrade(f"a frame of worker {report.worker} was refused: {error}")
        except OSError as error:
            self._fill_up(error)

    def _add_diagnostics(self, report: WorkerReport) -> None:
        """Store everything that a worker reports besides rows: errors, refusals, steps of its clock, pauses."""
        if self.diagnostics.add(report):
            self.record_is_old = True
        if report.clock_step_s:
            self._jumped(report.worker, report.clock_step_s)
        if report.pause_s:
            at = self._moment(-report.pause_s)
            pause = PauseRecord(process=report.worker, at=at, for_s=round(report.pause_s, 1), held_by=report.held_by)
            self.diagnostics.pauses.append(pause)
        if report.silenced_for_s and not self.draining:
            self.degrade(
                f"worker {report.worker} stopped its users, because the master had been silent for "
                f"{report.silenced_for_s:.0f} s"
            )

    def _keep(self, report: WorkerReport) -> None:
        """Append a frame to the spool, completely or not at all, unless the spool already contains it.

        A reader could not find the frames after an incomplete frame.
        """
        frame, data = report.frame, report.data
        assert frame is not None
        if not self.ledger.received(frame):
            return
        try:
            if self.full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written = self.spool.write(data)
            if written != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self.ledger.unwritten(frame)
            self.spool.truncate(self.sound_bytes)
            raise
        self.sound_bytes += len(data)

    def _fill_up(self, error: OSError) -> None:
        """Stop the run when the disk is full. The reserved file leaves space to record the reason."""
        if not self.full:
            self.full = True
            self.folder.release()
            self._give_up(f"{self.folder.path} can no longer be written ({error.strerror}): the run was stopped")

    def _load_line(self, report: WorkerReport) -> dict[str, object]:
        assert self.start_s is not None
        planned = users_at(self.plan, self._elapsed_s()) if self.plan else None
        line: dict[str, object] = {
            "time_s": report.time_s,
            "worker": report.worker,
            "planned_users": "" if planned is None else f"{planned:.1f}",
            "users": report.users,
            "in_flight": report.in_flight,
            "oldest_s": f"{report.oldest_s:.1f}",
            "cpu_ratio": f"{report.cpu_ratio:.3f}",
            "loop_lag_ms": f"{report.loop_lag_ms:.1f}",
            "connects_repeated": "" if report.connects_repeated is None else report.connects_repeated,
            "refused": report.refused,
            "own_code_ms": f"{report.own_code_ms:.1f}",
        }
        for name, value in report.machine.items():
            line[name] = "" if value is None else f"{value:.3f}"
        return line

    def _look_for_lost_workers(self) -> None:
        """Compare the workers that have joined with those that Locust still counts."""
        for client_id, worker in list(self.names.items()):
            account = self.ledger.accounts[worker]
            node = self.runner.clients.get(client_id)
            gone = node is None or node.state == STATE_MISSING
            if gone and not self.ledger.is_gone(worker):
                why = self.why_lost.get(client_id, "it ended" if node is None else "no sign of life")
                self.ledger.lost(worker, at=self._moment(), why=why)
                log.error("Worker %s was lost (%s); its users are moved to the other workers.", worker, why)
                self._write_run()
            elif not gone and account.lost_at is not None:
                self.ledger.found(worker)
                self.degrade(f"worker {worker} was unreachable for a while; its users were stopped during that time")

    def _look_for_mute_workers(self, now_s: float) -> None:
        """Record if a worker runs users but reports nothing."""
        for client_id, worker in self.names.items():
            node = self.runner.clients.get(client_id)
            silent_s = now_s - self.reported_s.get(worker, now_s)
            if node is not None and node.user_count and silent_s > MUTE_S and not self.ledger.is_gone(worker):
                self.degrade(f"worker {worker} runs users and sent nothing for more than {MUTE_S:.0f} s")

    def _stopping(self, **_: object) -> None:
        """Ask every worker for its last frame, and wait for the answers instead of a fixed time."""
        if self.start_s is None:
            return
        if self.draining:  # called a second time; without this wait, Locust would end the workers too early
            self.all_drained.wait()
            return
        self._look_for_lost_workers()
        self.gate.look(patience_s=0)
        self.draining = True
        living = {client_id: worker for client_id, worker in self.names.items() if not self.ledger.is_gone(worker)}
        for client_id in living:
            self.runner.send_message(DRAIN, None, client_id)
        give_up_s = time.monotonic() + (self.environment.stop_timeout or 0) + DRAIN_S
        while set(living.values()) - self.drained and time.monotonic() < give_up_s:
            gevent.sleep(0.02)
        for worker in sorted(set(living.values()) - self.drained):
            self.ledger.lost(worker, at=self._moment(), why="it did not send its last rows when it was asked")
        self._write_run()
        self.all_drained.set()

    def _drained(self, environment: Environment, msg: Message, **_: object) -> None:
        del environment
        report = self._checked(msg.node_id, msg.data)
        if report is None:
            return
        self._take(report)
        if report.ended_why and not self.draining:
            self.ledger.ended(report.worker, at=self._moment(), why=report.ended_why)
            log.error("Worker %s ends: %s.", report.worker, report.ended_why)
        self._finish(report)
        self.drained.add(report.worker)

    def _finish(self, report: WorkerReport) -> None:
        lost = sum(record.count for record in report.refusals if record.lost)
        self.ledger.finished(report.worker, rows_sent=report.rows_sent, begun=report.begun, refused_rows=lost)
        self._write_run()

    def degrade(self, reason: str) -> None:
        """Record why the run is not complete; do nothing if the record already contains this reason."""
        if reason not in self.reasons and len(self.reasons) < MAX_JUMPS:
            self.reasons.append(reason)
            log.error("%s", reason)
            self._write_run()

    def _give_up(self, reason: str) -> None:
        self.degrade(reason)
        gevent.spawn(self._end_run)

    def _end_run(self) -> None:
        """End the run.

        The call is made from this package, so that `ending` does not think that the scenario made it.
        """
        self.runner.quit()

    def _write_run(self) -> None:
        """Update `run.json`. While the fleet is running, only the master writes this file."""
        self.record_is_old = False
        try:
            run = self.folder.read_run()
            run.load_start = self.load_start
            run.workers = self.ledger.records()
            run.data_files = HUB.records()
            found = self.diagnostics.fill(run)
            begin = self.load_start or run.start
            run.reasons = list(dict.fromkeys([*self.reasons, *self.ledger.reasons(start=begin), *found]))
            self.folder.write_run(run)
        except RunFolderError as error:
            log.error("%s", error)
