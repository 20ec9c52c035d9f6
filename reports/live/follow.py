"""Follow a run in progress: keep its numbers, its rows and its newest analysis."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from loadtest.core.errors import LoadTestError
from loadtest.core.objectives import Objective, with_implied
from loadtest.core.plan import steady_s
from loadtest.recording.sides import SideFolder
from reports import model
from reports.live.tally import Event, LiveTally, SoFar
from reports.live.wording import failing_text

if TYPE_CHECKING:
    from loadtest.recording.folder import RunFolder
    from loadtest.recording.frames import Frame
    from loadtest.recording.run import Run
    from reports.live.analysis import LiveFolder


class Snapshot(Protocol):
    """The part of a run's state that is needed here."""

    @property
    def elapsed_s(self) -> float | None:
        """Time since the load began."""

    @property
    def load_start_ns(self) -> int | None:
        """When the load began, UTC ns."""


class Look(Protocol):
    """The part of a look at a run (`loadtest.fleet.progress.Look`) that is needed here."""

    @property
    def snapshot(self) -> Snapshot:
        """The state of the run."""

    @property
    def frames(self) -> Sequence[Frame]:
        """The requests recorded since the last look."""

    @property
    def lines(self) -> Sequence[dict[str, str]]:
        """The lines added to `load.csv` since the last look."""


class LiveRun:
    """A run in progress. One thread adds to it; others may read from it.

    Attributes:
        run: its record at the start.
        report: the newest analysis; None before the first.
        analysed_s: the elapsed time of the run at that analysis, in s.
        changes: a counter that grows with every addition.
        rows: the rows kept for the analysis; None if there will be none.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.run: Run = folder.read_run()
        self.report: model.Report | None = None
        self.analysed_s = 0.0
        self.changes = 0
        self.rows: LiveFolder | None = None
        self.lock = threading.Lock()
        self._folder = folder
        self._waiting: list[Frame] = []
        self._lines: list[dict[str, str]] = []
        self._t0_ns: int | None = None
        objectives, phases = _objectives(self.run), _phases(self.run)
        self._tally = LiveTally(objectives, phases)
        self._sides = [LiveTally(objectives, phases, share=SideFolder.share) for _ in self.run.sides]

    def keep_rows(self) -> None:
        """Keep the rows from now on, so that they can be analysed."""
        from reports.live.analysis import LiveFolder

        self.rows = LiveFolder(self._folder.path)

    @property
    def events(self) -> Sequence[Event]:
        """The events, newest last."""
        if not self._sides:
            return tuple(self._tally.events)
        named = zip(self.run.sides, self._sides, strict=True)
        found = [replace(event, text=f"{side.name[:1]}: {event.text}") for side, of in named for event in of.events]
        return sorted(found, key=lambda event: event.at_s)

    def failing(self) -> list[str]:
        """Return a sentence for each endpoint whose first requests all failed, with the text of its answer.

        Each sentence is returned only once.
        """
        found = []
        with self.lock:
            for at, tally in enumerate(self._sides or [self._tally]):
                side = f"{self.run.sides[at].name[:1]}: " if self._sides else ""
                found += [(side, end) for end in tally.failing]
                tally.failing = []
        if not found:
            return []
        bodies = {(body.method, body.name, body.status): body.body for body in self._folder.read_run().failed_bodies}
        return [side + failing_text(end, bodies.get((end.method, end.name, end.status), "")) for side, end in found]

    def add(self, look: Look) -> None:
        """Add the results of a look at the run."""
        self._waiting += look.frames
        self._lines += look.lines
        t0_ns = look.snapshot.load_start_ns
        if t0_ns is None or not (self._waiting or self._lines):
            return
        with self.lock:
            if self._t0_ns is None:
                self._t0_ns = t0_ns
                if self.rows is not None:
                    self.rows.know_clocks(self._folder.read_run())
            for frame in self._waiting:
                self._tally.add(frame, t0_ns=t0_ns, now_s=look.snapshot.elapsed_s or 0.0)
                for side, tally in enumerate(self._sides, 1):
                    tally.add(of_side(frame, side), t0_ns=t0_ns, now_s=look.snapshot.elapsed_s or 0.0)
            for tally in (self._tally, *self._sides):
                tally.add_load(self._lines, t0_ns=t0_ns)
            if self.rows is not None:
                self.rows.add(self._waiting)
            self.changes += 1
        self._waiting, self._lines = [], []

    def instances_now(self, look: Look) -> int | None:
        """Return how many instances answer now; None if the service names none."""
        return self._tally.instances_now(look.snapshot.elapsed_s or 0.0)

    def so_far(self) -> list[SoFar]:
        """Return each objective, judged on the run so far.

        With two targets, the half of the run on the second target is judged.
        """
        return (self._sides[-1] if self._sides else self._tally).so_far()

    @property
    def points(self) -> int:
        """The number of points in its lines."""
        return self._tally.points.length

    def p95_ms(self) -> list[float]:
        """The p95 of each point so far; NaN if no request succeeded."""
        return [float(value) for value in self._tally.points.percentile_ms(0.95)]

    def news(self) -> tuple[int, int]:
        """Return a number that changes with the failures, and one that changes with the events.

        If either changes, a new analysis would differ.
        """
        return min(self._tally.failed, 1) + (self._tally.failed * 10 // max(1, self._tally.requests)), len(
            self._tally.events
        )

    def analyse(self) -> float:
        """Analyse the run so far and keep the report. Return the CPU time of the analysis, in s.

        Raises:
            LoadTestError: the recorded data cannot be analysed.
        """
        from reports.live.analysis import analyse_so_far

        assert self.rows is not None
        begun_s = time.thread_time()
        with self.lock:
            rows, until_s = self.rows.taken(), self._tally.points.length * self._tally.points.step_s
        self.report = analyse_so_far(rows)
        self.analysed_s = float(until_s)
        return time.thread_time() - begun_s

    def report_now(self) -> model.Report | None:
        """Return the newest analysis, with the lines of its charts up to the present."""
        made = self.report
        if made is None:
            return None
        with self.lock:
            drawn = [tally.timeline() for tally in self._sides or [self._tally]]
        runs = [run.model_copy(update={"series": series}) for run, series in zip(made.runs, drawn, strict=True)]
        return made.model_copy(update={"runs": runs})


def of_side(frame: Frame, side: int) -> Frame:
    """Return a frame with only those rows whose requests went to one of the two targets."""
    mine = np.frombuffer(frame.columns["side"], np.uint8) == side
    columns = {
        name: array(values.typecode, np.frombuffer(values, values.typecode)[mine].tobytes())
        for name, values in frame.columns.items()
    }
    return replace(frame, rows=int(mine.sum()), columns=columns)


def _objectives(run: Run) -> list[Objective]:
    try:
        return list(with_implied(run.objectives, implied=run.options.get("default_objective") is not False))
    except LoadTestError:
        return []


def _phases(run: Run) -> dict[str, tuple[float, float]]:
    """Return when each phase begins and ends according to the plan. The warm-up is known only after the run."""
    steady = steady_s([(point.at_s, point.users) for point in run.scenario.plan])
    if steady is None:
        return {}
    return {"ramp": (0.0, steady[0]), "steady": steady}
