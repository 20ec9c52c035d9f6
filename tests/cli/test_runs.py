"""The verb `runs`: every run on one line, whole, whatever the terminal's width; what cannot be read is said."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from loadtest.recording.run import Outcome
from tests.conftest import lt
from tests.recording.frames import T0, frames, record, spooled


def test_runs_are_listed_oldest_first_with_length_requests_and_outcome(tmp_path: Path) -> None:
    """A sealed run has its requests, an unsealed one a dash, an unreadable one its reason on stderr."""
    long = {"start": T0, "load_start": T0 + timedelta(seconds=3), "end": T0 + timedelta(seconds=128)}
    sealed = spooled(tmp_path, frames(150), record("20260817T101500000Z-ramp300-local", label="[a] first", **long))
    sealed.seal()
    spooled(tmp_path, frames(1), record("20260817T111500000Z-steady-emulator", outcome=Outcome.DEGRADED))
    bad = spooled(tmp_path, frames(1), record("20260817T121500000Z-steady-local"))
    (bad.path / "run.json").write_text("{")
    done = lt("runs", "--runs", str(tmp_path))
    assert done.code == 0
    assert [line.strip().split(maxsplit=5) for line in done.out.splitlines()[1:]] == [
        ["2026-08-17", "10:15", "2:05", "1,500", "complete", "20260817T101500000Z-ramp300-local    [a] first"],
        ["2026-08-17", "10:15", "–", "–", "degraded", "20260817T111500000Z-steady-emulator  –"],
        ["–", "–", "–", "unreadable", "20260817T121500000Z-steady-local"],
    ]
    assert "is not a run's record" in done.err


def test_no_runs_is_a_sentence_on_stderr(tmp_path: Path) -> None:
    """Nothing on stdout, the command that records one on stderr."""
    done = lt("runs", "--runs", str(tmp_path))
    assert (done.code, done.out) == (0, "")
    assert "lt.py run --scenario ramp300" in done.err
