"""Collect everything that workers report besides rows (task errors, refusals, differences) for the run's record."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..recording.run import (
    AnswerCheckRecord,
    ClockJumpRecord,
    FailedBodyRecord,
    PauseRecord,
    RefusalRecord,
    Run,
    TaskErrorRecord,
    TotalsDifferenceRecord,
    UnrecordedWorkerRecord,
    WrongAnswerRecord,
)
from . import refusals, task_errors, totals
from .admission import WorkerReport
from .ledger import reasons_for_differences, reasons_for_refusals
from .refusals import Refusals
from .task_errors import TaskErrors

MAX_KEPT = 100
MAX_TASK_ERRORS = 1_000
MAX_CUSTOM_METHODS = 50
MAX_BODIES = 200
MAX_WRONG_ANSWERS = 10


@dataclass(slots=True)
class Diagnostics:
    """Collected reports. The size of every part is bounded, whatever the workers send.

    Attributes:
        errors, refusals: the errors and refusals in the master's own process.
    """

    errors: TaskErrors
    refusals: Refusals = field(default_factory=Refusals)
    jumps: list[ClockJumpRecord] = field(default_factory=list)
    pauses: list[PauseRecord] = field(default_factory=list)
    unrecorded: dict[str, UnrecordedWorkerRecord] = field(default_factory=dict)
    custom_methods: set[str] = field(default_factory=set)
    _task_errors: dict[tuple[str, ...], TaskErrorRecord] = field(default_factory=dict)
    _bodies: dict[tuple[str, str, int], FailedBodyRecord] = field(default_factory=dict)
    _checked: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _wrong: dict[str, tuple[WrongAnswerRecord, ...]] = field(default_factory=dict)
    _refusals: dict[str, tuple[RefusalRecord, ...]] = field(default_factory=dict)
    _differences: dict[str, tuple[TotalsDifferenceRecord, ...]] = field(default_factory=dict)

    def add(self, report: WorkerReport) -> bool:
        """Add a worker's report. Return True if the report contains something new.

        The counts in a report are totals since the worker's start.
        """
        new = bool(report.task_errors or report.failed_bodies) or report.refusals != self._refusals.get(
            report.worker, ()
        )
        for record in report.task_errors:
            key = (report.worker, record.where, record.exception, record.message, record.user_class, record.task)
            before = self._task_errors.get(key)
            if before is None and len(self._task_errors) >= MAX_TASK_ERRORS:
                continue
            if before is not None:
                record.traceback = record.traceback or before.traceback
            record.worker = report.worker
            self._task_errors[key] = record
        for body in report.failed_bodies:
            if len(self._bodies) < MAX_BODIES:
                self._bodies.setdefault((body.method, body.name, body.status), body)
        for refusal in report.refusals:
            refusal.worker = report.worker
        self._refusals[report.worker] = report.refusals
        self._checked[report.worker] = report.answers_checked
        for example in report.wrong_answers:
            example.worker = report.worker
        self._wrong[report.worker] = report.wrong_answers
        if report.differences:
            self._differences[report.worker] = report.differences
        room = MAX_CUSTOM_METHODS - len(self.custom_methods)
        self.custom_methods.update(report.custom_methods[: max(0, room)])
        return new

    def fill(self, run: Run) -> list[str]:
        """Write the collected reports into the record. Return the reasons that make the run degraded."""
        run.task_errors = task_errors.merged([*self.errors.records(), *self._task_errors.values()])
        run.failed_bodies = list(self._bodies.values())
        heard = [record for records in self._refusals.values() for record in records]
        run.refusals = refusals.merged([*self.refusals.records(), *heard])
        run.totals_differences = totals.merged([record for some in self._differences.values() for record in some])
        if run.answer_check is not None:
            self._fill_answers(run.answer_check)
        run.clock_jumps = self.jumps[:MAX_KEPT]
        run.pauses = self.pauses[:MAX_KEPT]
        run.unrecorded_workers = list(self.unrecorded.values())[:MAX_KEPT]
        run.starts_not_known = sorted(self.custom_methods)
        return reasons_for_refusals(run.refusals) + reasons_for_differences(run.totals_differences)

    def _fill_answers(self, record: AnswerCheckRecord) -> None:
        """Write how many answers were compared, and the first wrong answers."""
        for at, endpoint in enumerate(record.endpoints):
            endpoint.checked = sum(counts[at] for counts in self._checked.values() if at < len(counts))
        heard = [record for some in self._wrong.values() for record in some]
        record.wrong = sorted(heard, key=lambda item: item.at_s)[:MAX_WRONG_ANSWERS]
