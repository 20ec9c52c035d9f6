"""Watch a run to its end: show its progress, stop it if a condition holds, and pass on Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..core.console import Console, LogConsole
from ..core.errors import FleetError
from ..fleet.progress import Follower, Look, ProgressSnapshot, Recent

if TYPE_CHECKING:
    from types import TracebackType

    from ..fleet.fleet import Fleet
    from ..recording.folder import RunFolder
    from ..recording.run import Run

LOOK_EVERY_S = 0.25

EARLY_S = 1.0
"""If the scenario ends a run this close to the planned end, the run counts as complete."""

LISTENER_RAISED = 2
"""The exit status of Locust after a listener has raised an error."""

AbortCondition = Callable[[ProgressSnapshot, tuple[Recent, ...]], str | None]
"""A function that is called each time the run is evaluated, with its state and its new rows. If it returns a sentence,
the run ends for this reason."""


class ProgressView(Protocol):
    """The interface for showing the progress of a run."""

    def show(self, look: Look, *, ending: bool) -> None:
        """Show the state of the run. This method is called each time the run is evaluated."""

    @property
    def stop_asked(self) -> bool:
        """Whether the person at the display has asked to end the run."""


class RunConsole(Console, Protocol):
    """A console that can also show the progress of a run."""

    def progress(
        self, folder: RunFolder, planned_s: float | None, *, expect_workers: int
    ) -> AbstractContextManager[ProgressView]:
        """Show a run's progress while the block lasts; `planned_s` is its planned duration, if it is known."""


class _Unseen:
    """Shows nothing."""

    stop_asked = False

    def show(self, look: Look, *, ending: bool) -> None:
        """Do nothing."""

    def __enter__(self) -> _Unseen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


class LogRunConsole(LogConsole):
    """The console of a program without a terminal. This console shows no progress."""

    def progress(
        self, folder: RunFolder, planned_s: float | None, *, expect_workers: int
    ) -> AbstractContextManager[ProgressView]:
        """Show nothing."""
        del folder, planned_s, expect_workers
        return _Unseen()


@dataclass(frozen=True, slots=True)
class End:
    """How a fleet ended.

    Attributes:
        interrupted: whether the user ended the run.
        aborted: whether an abort condition ended the run.
        by_scenario: whether the scenario ended the run.
        reasons: the reasons why the run is not complete, as sentences.
    """

    interrupted: bool = False
    aborted: bool = False
    by_scenario: bool = False
    reasons: tuple[str, ...] = ()

    @property
    def cut_short(self) -> bool:
        """Whether the run was ended before its planned end."""
        return self.interrupted or self.aborted or self.by_scenario


FORCED = "a second Ctrl-C forced the end: the last rows may be missing"


def watch(
    fleet: Fleet,
    folder: RunFolder,
    planned_s: float | None,
    abort_conditions: tuple[AbortCondition, ...],
    console: RunConsole,
    *,
    goals: tuple[AbortCondition, ...] = (),
) -> End:
    """Watch the fleet to its end. Ctrl-C ends the run early, and a second Ctrl-C ends it at once.

    Args:
        fleet: the started fleet.
        folder: the run's folder.
        planned_s: the planned duration of the run; None if not known.
        abort_conditions: conditions that end the run early; the run is then not complete.
        console: shows the progress.
        goals: conditions that end the run as complete.

    Raises:
        FleetError: the fleet ended before the first request; the message has the last lines of its log.
    """
    follower = Follower(folder)
    interrupted, aborted, reached, elapsed_s = False, "", "", None
    with console.progress(folder, planned_s, expect_workers=fleet.plan.options.expect_workers) as view:
        while True:
            try:
                while fleet.running():
                    look = follower.look(time.monotonic())
                    elapsed_s = look.snapshot.elapsed_s
                    view.show(look, ending=interrupted or bool(aborted) or bool(reached))
                    if view.stop_asked and not interrupted:
                        interrupted = True
                        fleet.stop()
                    if not aborted and (why := _first_reason(abort_conditions, look.snapshot, look.new)):
                        aborted = why
                        console.say(why)
                        fleet.stop()
                    elif not (aborted or reached) and (why := _first_reason(goals, look.snapshot, look.new)):
                        reached = why
                        console.say(why)
                        fleet.stop()
                    time.sleep(LOOK_EVERY_S)
                code = fleet.finish()
                break
            except KeyboardInterrupt:
                if interrupted:
                    return End(interrupted=True, reasons=(FORCED,))
                interrupted = True
                fleet.stop()
    run, last = folder.read_run(), follower.look(time.monotonic())
    if code != 0 and not interrupted and last.snapshot.requests == 0:
        raise _no_load(fleet, run, code)
    early = None if interrupted or aborted or reached else _ended_by_scenario(run, planned_s)
    reasons = [*filter(None, (aborted, early)), *fleet.reasons]
    if not (interrupted or reasons or code or reached or _rows_ran_out(run)):
        reasons += filter(None, [_ended_early(_recorded_until_s(elapsed_s, last), planned_s, run)])
    if code and not fleet.reasons and not _is_known(code, run):
        reasons.append(_ended_with(code))
    return End(interrupted=interrupted, aborted=bool(aborted), by_scenario=early is not None, reasons=tuple(reasons))


def _recorded_until_s(elapsed_s: float | None, last: Look) -> float | None:
    """Return how long the load lasted: until the last evaluation, or until the last row or line recorded after it.

    On a busy machine, seconds may pass between two evaluations. Then only the workers' reports show that the load
    continued.
    """
    begin_ns = last.snapshot.load_start_ns
    if begin_ns is None:
        return elapsed_s
    ends_s = [(int(rows.end_ns.max()) - begin_ns) / 1e9 for rows in last.new if rows.end_ns.size]
    lines_s = [float(line["time_s"]) + 1 - begin_ns / 1e9 for line in last.lines]  # whole seconds, rounded down
    return max([elapsed_s or 0.0, *ends_s, *lines_s])


def _no_load(fleet: Fleet, run: Run, code: int) -> FleetError:
    if known := [*fleet.reasons, *run.reasons]:
        return FleetError(f"There was no load: {'; '.join(known)}.")
    return FleetError(f"Locust ended with status {code}, before the first request:\n{fleet.last_log_lines()}")


def _ended_with(code: int) -> str:
    return f"the Locust master ended {f'by signal {-code}' if code < 0 else f'with status {code}'}"


def _is_known(code: int, run: Run) -> bool:
    """Whether the run's record already explains this exit status of the master, and the exit has lost no row.

    The record explains the exit status in two cases: the scenario set its own exit code, or a listener of the master
    raised an exception, which the record lists as a task error.
    """
    raised = any(error.worker == "master" for error in run.task_errors)
    return code == (run.scenario_exit_code or 0) % 256 or (raised and code == LISTENER_RAISED)


def _ended_by_scenario(run: Run, planned_s: float | None) -> str | None:
    """Return a sentence if the scenario ended the run early, else None."""
    at_s = run.ended_by_scenario_at_s
    if at_s is None or (planned_s is not None and at_s > planned_s - EARLY_S):
        return None
    of = "" if planned_s is None else f" of {_clock(planned_s)}"
    return f"ended by the scenario at {_clock(at_s)}{of} ({run.ended_by_scenario_where})"


def _rows_ran_out(run: Run) -> bool:
    """Whether the run gave out every row of its data files, which counts as a planned end."""
    return bool(run.data_files) and all(file.rows_given >= file.rows for file in run.data_files)


def _ended_early(elapsed_s: float | None, planned_s: float | None, run: Run) -> str | None:
    """Return a sentence if the master ended properly (status 0), but before the end of the plan; else None."""
    if elapsed_s is None or planned_s is None or elapsed_s > planned_s - EARLY_S:
        return None
    why = "" if run.reasons else ": something else stopped it"
    return f"the Locust master ended at {_clock(elapsed_s)} of {_clock(planned_s)}{why}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _first_reason(
    abort_conditions: tuple[AbortCondition, ...], snapshot: ProgressSnapshot, new: tuple[Recent, ...]
) -> str | None:
    """Return the sentence of the first condition that holds. The conditions after this condition are not evaluated."""
    return next(filter(None, (condition(snapshot, new) for condition in abort_conditions)), None)
