"""Receive the workers' frames in the master and write them to the run folder, with account of what is missing."""

from __future__ import annotations

import errno
import logging
import os
import signal
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import IO, Any

import gevent
from gevent.event import Event
from locust.env import Environment
from locust.rpc import Message
from locust.runners import STATE_MISSING, MasterRunner

from ..core.errors import RunFolderError
from ..core.plan import users_at
from ..recording.folder import RunFolder
from ..recording.frames import decode_frame
from .ledger import Ledger
from .messages import CLOCK, DRAIN, DRAINED, HELLO, REPORT_KEY

log = logging.getLogger(__name__)

CLOCK_PROBES = 8
"""Round trips at a worker's start; the shortest counts, as the others waited somewhere."""

CLOCK_EVERY_S = 10.0
"""And one now and then, for a shorter one."""

DRAIN_S = 5.0
"""How long after the stop time-out the master waits for the last frames."""


MACHINE_COLUMNS = ("machine_cpu_ratio", "machine_steal_ratio", "memory_pressure_ratio")


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


class Collector:
    """The recording half of the master: one writer of the spool, of `load.csv` and of the workers' accounts."""

    def __init__(
        self,
        environment: Environment,
        runner: MasterRunner,
        folder: RunFolder,
        *,
        parent_pid: int | None,
        why_lost: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.why_lost = why_lost  # Locust's client id → why `liveness` has given it up
        self.environment = environment
        self.runner = runner
        self.folder = folder
        self.parent_pid = parent_pid
        self.plan = [(point.at_s, point.users) for point in folder.read_run().scenario.plan]
        self.ledger = Ledger()
        self.names: dict[str, str] = {}  # Locust's client id → our worker name
        self.drained: set[str] = set()
        self.reasons: list[str] = []
        self.load_start: datetime | None = None
        self.start_s: float | None = None
        self.draining = False
        self.full = False
        self.all_drained = Event()
        self.spool: IO[bytes] = folder.spool.open("ab", buffering=0)  # open for as long as the process
        self.sound_bytes = self.spool.tell()
        folder.reserve()

    def startup(self) -> None:
        """Register every listener and start the greenlets; returns at once."""
        events = self.environment.events
        events.worker_report.add_listener(self._reported)
        events.test_start.add_listener(self._started)
        events.test_stopping.add_listener(self._stopping)
        self.runner.register_message(HELLO, self._greeted)
        self.runner.register_message(CLOCK, self._clocked)
        self.runner.register_message(DRAINED, self._drained)
        # Locust handles SIGTERM only after a shape has ended: until then it would die of it, rows and all.
        gevent.signal_handler(signal.SIGTERM, gevent.spawn, self.runner.quit)
        gevent.spawn(self.main_loop)

    def main_loop(self) -> None:
        """Watch the parent and the workers, and look at the clocks now and then."""
        clocks_s = time.monotonic()
        while True:
            gevent.sleep(0.5)
            if self.parent_pid is not None and os.getppid() != self.parent_pid:
                self._give_up("the process that started the run ended before it; what came in until then is here")
                return
            if self.start_s is not None and not self.draining:
                self._look_for_lost_workers()
            if time.monotonic() - clocks_s > CLOCK_EVERY_S:
                clocks_s = time.monotonic()
                for client_id in list(self.names):
                    self._ask_clock(client_id)

    def _started(self, **_: object) -> None:
        self.load_start, self.start_s = datetime.now(UTC), time.perf_counter()
        self._write_run()

    def _greeted(self, environment: Environment, msg: Message, **_: object) -> None:
        del environment
        worker = msg.data["worker"]
        self.names[msg.node_id] = worker
        self.ledger.joined(worker, host=msg.data["host"], pid=msg.data["pid"])
        theirs, ours = msg.data["versions"], self._versions()
        for name, version in theirs.items():
            if version != ours.get(name):
                log.warning("Worker %s runs %s %s, the master %s.", worker, name, version, ours.get(name))
        for _n in range(CLOCK_PROBES):
            self._ask_clock(msg.node_id)
        self._write_run()

    @staticmethod
    def _versions() -> dict[str, str]:
        import platform

        import locust

        return {"python": platform.python_version(), "locust": locust.__version__}

    def _ask_clock(self, client_id: str) -> None:
        self.runner.send_message(CLOCK, {"sent_ns": time.time_ns()}, client_id)

    def _clocked(self, environment: Environment, msg: Message, **_: object) -> None:
        """Take the middle of the round trip for the worker's moment: off by at most half of it."""
        del environment
        received_ns = time.time_ns()
        sent_ns, worker_ns = msg.data["sent_ns"], msg.data["worker_ns"]
        self.ledger.clock(
            msg.data["worker"],
            offset_us=((sent_ns + received_ns) / 2 - worker_ns) / 1000,
            uncertainty_us=(received_ns - sent_ns) / 2000,
        )

    def _reported(self, client_id: str, data: dict[str, Any]) -> None:
        parcel = data.pop(REPORT_KEY, None)
        if parcel is None:
            return  # a worker without the recorder: its rows cannot be known
        self.names.setdefault(client_id, parcel["worker"])
        self._take(parcel)
        if parcel["worker"] in self.drained and parcel["frame"]:  # it had said that nothing more would come
            self.ledger.finished(parcel["worker"], rows_sent=parcel["rows_sent"])
            self._write_run()

    def _take(self, parcel: dict[str, Any]) -> None:
        """Write a worker's frame and its line of `load.csv`."""
        worker = parcel["worker"]
        self.ledger.reported(worker, users=parcel["users"], in_flight=parcel["in_flight"])
        try:
            if parcel["frame"]:
                self._keep(parcel["frame"])
            if self.start_s is not None and not self.draining and not self.full:
                self.folder.append_load([self._load_line(parcel)])
        except RunFolderError as error:
            self._degrade(f"a frame of worker {worker} was refused: {error}")
        except OSError as error:
            self._fill_up(error)

    def _keep(self, data: bytes) -> None:
        """Append a frame to the spool unless it is there already, whole or not at all.

        Half of one would hide every frame after it.
        """
        frame = decode_frame(data)
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
        """Stop the run on a disk that takes no more; what was kept aside for this makes room for the reason."""
        if not self.full:
            self.full = True
            self.folder.release()
            self._give_up(f"{self.folder.path} cannot be written any more ({error.strerror}): the run was stopped")

    def _load_line(self, parcel: dict[str, Any]) -> dict[str, object]:
        assert self.start_s is not None
        planned = users_at(self.plan, time.perf_counter() - self.start_s)
        return {
            "time_s": parcel["time_s"],
            "worker": parcel["worker"],
            "planned_users": "" if planned is None else f"{planned:.1f}",
            "users": parcel["users"],
            "in_flight": "" if parcel["in_flight"] is None else parcel["in_flight"],
            "cpu_ratio": f"{parcel['cpu_ratio']:.3f}",
            "loop_lag_ms": f"{parcel['loop_lag_ms']:.1f}",
            "refused": parcel["refused"],
        } | {name: _ratio(parcel.get(name)) for name in MACHINE_COLUMNS}

    def _look_for_lost_workers(self) -> None:
        """Compare the workers that greeted with those that Locust still hears."""
        for client_id, worker in list(self.names.items()):
            account = self.ledger.accounts[worker]
            node = self.runner.clients.get(client_id)
            gone = node is None or node.state == STATE_MISSING
            if gone and account.lost_at is None:
                why = self.why_lost.get(client_id, "it ended" if node is None else "no sign of life")
                self.ledger.lost(worker, at=datetime.now(UTC), why=why)
                log.error("Worker %s was lost (%s); its users go to the others.", worker, why)
                self._write_run()
            elif not gone and account.lost_at is not None:
                self.ledger.found(worker)
                self._degrade(f"worker {worker} was out of reach for a while; its users stood still meanwhile")

    def _stopping(self, **_: object) -> None:
        """Ask every worker for its last frame and wait for the answers, not for a fixed time."""
        if self.start_s is None:
            return
        if self.draining:  # a second stop while the first is under way: Locust would cut the workers off meanwhile
            self.all_drained.wait()
            return
        self._look_for_lost_workers()
        self.draining = True
        living = {
            client_id: worker
            for client_id, worker in self.names.items()
            if self.ledger.accounts[worker].lost_at is None
        }
        for client_id in living:
            self.runner.send_message(DRAIN, None, client_id)
        give_up_s = time.monotonic() + (self.environment.stop_timeout or 0) + DRAIN_S
        while set(living.values()) - self.drained and time.monotonic() < give_up_s:
            gevent.sleep(0.02)
        for worker in sorted(set(living.values()) - self.drained):
            self.ledger.lost(worker, at=datetime.now(UTC), why="it did not send its last rows when asked")
        self._write_run()
        self.all_drained.set()

    def _drained(self, environment: Environment, msg: Message, **_: object) -> None:
        del environment
        self._take(msg.data)
        self.ledger.finished(msg.data["worker"], rows_sent=msg.data["rows_sent"])
        self.drained.add(msg.data["worker"])

    def _degrade(self, reason: str) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)
            log.error("%s", reason)
            self._write_run()

    def _give_up(self, reason: str) -> None:
        self._degrade(reason)
        gevent.spawn(self._end_run)

    def _end_run(self) -> None:
        """End the run; a function of ours, so that `ending` does not take the call for the scenario's."""
        self.runner.quit()

    def _write_run(self) -> None:
        """Bring `run.json` up to date; while the fleet lives, the master is its only writer."""
        try:
            run = self.folder.read_run()
            run.load_start = self.load_start
            run.workers = self.ledger.records()
            begin = self.load_start or run.start
            run.reasons = list(dict.fromkeys([*self.reasons, *self.ledger.reasons(start=begin)]))
            self.folder.write_run(run)
        except RunFolderError as error:
            log.error("%s", error)
