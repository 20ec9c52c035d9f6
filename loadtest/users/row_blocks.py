"""Give each row of a file to one worker. The master gives out blocks of rows, and never gives out a row twice.

If a worker is killed, the rows of its last block are lost. So each row reaches at most one user, and at most BLOCK_ROWS
rows per worker reach no user.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from locust import events
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from ..core.data_files import DataFileError, count_rows, digest_of
from ..recording.run import DataFileRecord

BLOCK_ROWS = 100
"""Rows per block. A worker asks the master once per hundred rows, and at most this many rows are lost with a worker."""

WAIT_S = 10.0
"""How long a worker waits for the master to give out rows."""

WANT, GIVE, USED = "lt_rows_want", "lt_rows_give", "lt_rows_used"
"""Messages: worker → master {file, digest, used}; master → worker {file, begin, end} or {file, error}; worker → master
{file, used} when its users have stopped."""


@dataclass(slots=True)
class Allocation:
    """The rows of a file that have been given out. The class only does bookkeeping.

    Attributes:
        total: number of rows in the file.
        given: number of rows given out so far, from the file's beginning.
        by_worker: number of rows given to each worker, and how many of them it has given to users so far.
        done: the workers that have been informed that there are no more rows.
    """

    path: Path
    digest: str
    total: int
    given: int = 0
    by_worker: dict[str, tuple[int, int]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    def take(self, worker: str) -> tuple[int, int]:
        """Give a worker the next rows, as (first, end). The range is empty if there are no rows left."""
        begin, self.given = self.given, min(self.given + BLOCK_ROWS, self.total)
        if begin == self.given:
            self.done.add(worker)
        given, used = self.by_worker.get(worker, (0, 0))
        self.by_worker[worker] = given + self.given - begin, used
        return begin, self.given

    def use(self, worker: str, used: int) -> None:
        """Record how many rows a worker has given to users, limited to the possible range."""
        given, before = self.by_worker.get(worker, (0, 0))
        self.by_worker[worker] = given, min(max(used, before), given)

    def record(self) -> DataFileRecord:
        """Return the record for `run.json`."""
        used = sum(used for _, used in self.by_worker.values())
        return DataFileRecord(
            file=str(self.path),
            sha256=self.digest,
            rows=self.total,
            rows_given=self.given,
            rows_not_sent_at_most=self.total - used,
        )


class Hub:
    """All `once` files of this process. A worker requests blocks, and the master gives them out."""

    def __init__(self) -> None:
        self._allocations: dict[str, Allocation] = {}
        self._paths: dict[str, Path] = {}
        self._used: dict[str, int] = {}
        self._answers: dict[str, dict[str, Any]] = {}
        self._arrived: dict[str, Event] = {}
        self._runner: Any = None
        self._ending = False

    @property
    def worker_index(self) -> int:
        """The index of this process among the workers, from 0."""
        return max(0, getattr(self._runner, "worker_index", 0))

    def share(self, path: Path) -> None:
        """Register a file whose rows are given out.

        Files are identified by name, because their folders differ between machines.

        Raises:
            DataFileError: another file with the same name is already registered.
        """
        if self._paths.setdefault(path.name, path) != path:
            raise DataFileError(
                f'rows("{path}", order="once"): {self._paths[path.name]} has the same name; rename one of the files.'
            )

    def startup(self, environment: Environment) -> None:
        """Listen for the messages that this process receives, as the master or as a worker."""
        self._runner = environment.runner
        if isinstance(self._runner, WorkerRunner):
            self._runner.register_message(GIVE, self._arrive)
            environment.events.test_stop.add_listener(self._tell_used)
        elif isinstance(self._runner, MasterRunner):
            self._runner.register_message(WANT, self._give)
            self._runner.register_message(USED, self._note)
            environment.events.worker_report.add_listener(self._end_when_exhausted)

    def block(self, path: Path) -> tuple[int, int]:
        """Return the rows of this process's next block, as (first, end). Wait for the master's answer.

        Raises:
            DataFileError: the master did not answer, or has a different file with this name.
        """
        if not isinstance(self._runner, WorkerRunner):
            return self.allocation(path.name).take("local")
        first = path.name not in self._used
        used = self._used.setdefault(path.name, 0)
        event = self._arrived.setdefault(path.name, Event())
        event.clear()
        digest = digest_of(path) if first else ""
        self._runner.send_message(WANT, {"file": path.name, "digest": digest, "used": used})
        if not event.wait(WAIT_S):
            raise DataFileError(f'rows("{path}", order="once"): the master gave out no rows within {WAIT_S:.0f} s.')
        answer = self._answers.pop(path.name)
        if "error" in answer:
            raise DataFileError(answer["error"])
        return int(answer["begin"]), int(answer["end"])

    def used(self, path: Path) -> None:
        """Count one row as given to a user."""
        self._used[path.name] = self._used.get(path.name, 0) + 1
        if not isinstance(self._runner, WorkerRunner):
            self.allocation(path.name).use("local", self._used[path.name])

    def allocation(self, name: str) -> Allocation:
        """Return the allocation of a file. The first call counts the file's rows."""
        if name not in self._allocations:
            path = self._paths[name]
            self._allocations[name] = Allocation(path, digest_of(path), count_rows(path))
        return self._allocations[name]

    def records(self) -> list[DataFileRecord]:
        """Return the record of every file from which rows were given out."""
        return [each.record() for each in self._allocations.values()]

    def _give(self, msg: Any, **_: object) -> None:
        """As the master, answer a worker that requests rows."""
        name, worker = str(msg.data.get("file", "")), str(msg.node_id)
        answer: dict[str, Any] = {"file": name}
        if name not in self._paths:
            answer["error"] = f'rows("{name}", order="once"): the master has no such file.'
        elif (digest := msg.data.get("digest")) and digest != self.allocation(name).digest:
            answer["error"] = (
                f'rows("{name}", order="once"): the file of worker {worker} differs from the master\'s file: copy '
                "the master's file to that machine."
            )
        else:
            allocation = self.allocation(name)
            allocation.use(worker, int(msg.data.get("used") or 0))
            answer["begin"], answer["end"] = allocation.take(worker)
        self._runner.send_message(GIVE, answer, client_id=worker)

    def _end_when_exhausted(self, **_: object) -> None:
        """As the master, end the run when all rows have been given out and no user has a row left."""
        workers = {worker for worker, client in self._runner.clients.items() if client.state != "missing"}
        allocations = self._allocations.values()
        if (
            not self._ending
            and allocations
            and all(workers <= each.done for each in allocations)
            and self._runner.user_count == 0
        ):
            self._ending = True
            gevent.spawn(self._quit)  # in another greenlet, because this greenlet receives the workers' last rows

    def _quit(self) -> None:
        """End the run as planned. The call is made from this package, so it does not count as ended by the scenario."""
        self._runner.quit()

    def _arrive(self, msg: Any, **_: object) -> None:
        """As a worker, receive the master's answer."""
        name = str(msg.data.get("file", ""))
        if name in self._arrived:
            self._answers[name] = dict(msg.data)
            self._arrived[name].set()

    def _tell_used(self, **_: object) -> None:
        for name, used in self._used.items():
            self._runner.send_message(USED, {"file": name, "used": used})

    def _note(self, msg: Any, **_: object) -> None:
        if (allocation := self._allocations.get(str(msg.data.get("file")))) is not None:
            allocation.use(str(msg.node_id), int(msg.data.get("used") or 0))


HUB = Hub()
"""This process's hub. All parts of the scenario share this object, so that each row of a file is given out only
once."""


@events.init.add_listener
def _start(environment: Environment, **_: object) -> None:
    HUB.startup(environment)
