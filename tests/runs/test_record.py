"""Closing the record of a run whose master was killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from loadtest.recorder.messages import REPORT_INTERVAL_S, SILENCE_S
from loadtest.recording.folder import RunFolder
from loadtest.recording.frames import Frame
from loadtest.recording.run import Outcome, Run, WorkerRecord
from loadtest.recording.seal import UNHEARD_FLUSHES
from loadtest.runs.record import close_record
from tests.recording.frames import frames, record, spooled


def test_rows_are_counted_from_the_spool_if_the_master_was_killed(tmp_path: Path) -> None:
    """A killed master's record counts 0 rows, although 30 arrived.

    Rows that a worker recorded after the master's death may be missing.
    """
    folder = spooled(tmp_path, frames(3, rows=10), record(workers=[WorkerRecord(name="w1")]))
    run = close_record(folder, interrupted=False, reasons=("the Locust master ended by signal 9",))
    (worker,) = run.workers
    most = worker.rows_missing_at_most
    assert worker.rows_received == 30
    assert most is not None
    assert most >= 10 * UNHEARD_FLUSHES
    assert run.outcome is Outcome.DEGRADED
    assert f"the workers' last reports are missing, with at most {most} rows" in run.reasons


def test_the_bound_holds_what_a_worker_sends_until_it_misses_its_master() -> None:
    """A worker stops its users SILENCE_S after the master's last message.

    In addition, one flush may have been in transit, and another one was being filled.
    """
    assert UNHEARD_FLUSHES >= SILENCE_S / REPORT_INTERVAL_S + 2


def test_counts_reported_by_every_worker_are_not_changed(tmp_path: Path) -> None:
    """All workers reported their counts, so the run is complete and nothing is missing."""
    told = WorkerRecord(name="w1", rows_sent=30, rows_received=30, begun=30, rows_missing_at_most=0)
    folder = spooled(tmp_path, frames(3, rows=10), record(workers=[told]))
    run = close_record(folder, interrupted=False, reasons=())
    assert (run.outcome, run.reasons, run.workers) == (Outcome.COMPLETE, [], [told])


@pytest.mark.parametrize("content", [frames(3, rows=10), [*frames(5, rows=10), frames(1, rows=10)[0]]])
@pytest.mark.parametrize(
    "end", [lambda folder: close_record(folder, interrupted=False, reasons=()), RunFolder.ensure_sealed]
)
def test_a_spool_with_other_rows_than_were_received_degrades_the_run(
    tmp_path: Path, content: list[Frame], end: Callable[[RunFolder], Run]
) -> None:
    """If 50 rows came but 30 or 60 can be read, the run is not complete.

    The reason for the missing or repeated rows does not matter.
    """
    told = WorkerRecord(name="w1", rows_sent=50, rows_received=50, begun=50, rows_missing_at_most=0)
    run = end(spooled(tmp_path, content, record(workers=[told])))
    assert run.outcome is Outcome.DEGRADED
    there = sum(frame.rows for frame in content)
    assert run.reasons == [f"{there} rows could be read, but the run's record counts 50"]
