"""Analyse a run in progress, as often as is possible with a small share of a core."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from loadtest.recording.folder import RunFolder
from loadtest.recording.frames import Frame
from loadtest.recording.rows import SCHEMA, rows_of
from loadtest.recording.run import Outcome
from reports import model
from reports.summary.build import report_of

if TYPE_CHECKING:
    from loadtest.recording.run import Run

ROWS_KEPT = 1_000_000
"""Number of a live run's rows that are kept in memory, at about 70 B each. A longer run is analysed only at its end.
Its charts are still updated."""

JOINED_FRAMES = 32
"""Frames per batch. A batch that contains a single frame would take more memory than the rows of the frame."""

SHARE = 0.012
"""Average share of a core for analysing the run so far."""

QUIET_S = 4.0
"""Without news, the run is analysed again after this time, if the share allows it."""


@dataclass(slots=True)
class Budget:
    """Decide when the run is analysed again, so that the analyses cost SHARE of a core on average.

    News (a failure, a new instance) causes an analysis as soon as the share permits it. The cost of the first analysis
    is not counted, because it mostly imports and compiles code that the final report needs anyway.
    """

    saved_s: float = 0.0
    cost_s: float = 0.0
    _since_s: float | None = field(default=None, repr=False)
    _last_s: float | None = field(default=None, repr=False)

    def decide(self, now_s: float, *, news: bool) -> bool:
        """Return whether to analyse now. `now_s` is a monotonic time."""
        if self._since_s is not None:
            self.saved_s += SHARE * (now_s - self._since_s)
        self._since_s = now_s
        if self._last_s is None:
            return True
        return (news or now_s - self._last_s >= QUIET_S) and self.saved_s >= self.cost_s

    def paid(self, now_s: float, cost_s: float) -> None:
        """Record the CPU time of an analysis, in s."""
        if self._last_s is not None:
            self.saved_s -= cost_s
            self.cost_s = cost_s
        self._last_s = now_s


class LiveFolder(RunFolder):
    """The folder of a run in progress. Its rows are those that were added here; everything else is read from disk.

    Attributes:
        full: whether it contains ROWS_KEPT rows, and takes no more.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.rows_held = 0
        self.full = False
        self._joined: list[pa.RecordBatch] = []
        self._waiting: list[pa.RecordBatch] = []
        self._offsets: dict[str, float] = {}

    def add(self, frames: Sequence[Frame]) -> None:
        """Keep the rows of frames, in the order of the spool."""
        for frame in frames:
            if self.full or not frame.rows:
                continue
            self._waiting.append(rows_of(frame, clock_offset_us=self._offsets.get(frame.worker, 0.0)))
            self.rows_held += frame.rows
            self.full = self.rows_held >= ROWS_KEPT
        if len(self._waiting) >= JOINED_FRAMES:
            table = pa.Table.from_batches(self._waiting, SCHEMA).unify_dictionaries().combine_chunks()
            self._joined += table.to_batches()
            self._waiting.clear()

    def taken(self) -> LiveFolder:
        """Return a copy of the folder with the current rows. Later additions do not change the copy."""
        found = LiveFolder(self.path)
        found._joined = [*self._joined, *self._waiting]
        return found

    def know_clocks(self, run: Run) -> None:
        """Read the offsets of the workers' clocks from the run's record."""
        self._offsets = {worker.name: worker.clock_offset_us or 0.0 for worker in run.workers}

    def row_batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows so far."""
        wanted = list(columns or SCHEMA.names)
        for batch in (*self._joined, *self._waiting):
            yield batch.select(wanted)


def analyse_so_far(folder: LiveFolder) -> model.Report:
    """Return the report of the run so far.

    Raises:
        RunFolderError: its record or its load cannot be read.
    """
    run = folder.read_run()
    if run.outcome is not Outcome.RUNNING:
        run = run.model_copy(update={"outcome": Outcome.RUNNING, "reasons": []})
    return report_of(folder, run)
