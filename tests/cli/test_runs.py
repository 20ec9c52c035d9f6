"""The verb `runs`: every run is one uncut line at any width of the terminal, and unreadable runs are reported."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path

from loadtest.recording.run import Outcome
from tests.conftest import lt
from tests.recording.frames import T0, frames, record, spooled


def test_runs_are_listed_oldest_first_with_length_requests_and_outcome(tmp_path: Path) -> None:
    """A sealed run is listed with its requests, and an unsealed run with a dash. An unreadable run is listed on stderr
    with the reason.
    """
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
    """stdout is empty, and stderr names the command that records a run."""
    done = lt("runs", "--runs", str(tmp_path))
    assert (done.code, done.out) == (0, "")
    assert "lt.py run --scenario ramp300" in done.err


def test_other_programs_get_json_and_csv(tmp_path: Path) -> None:
    """There is one record per run with the same fields, and null for unknown values."""
    spooled(tmp_path, frames(20), record("20260817T101500000Z-ramp300-local", label='a,"b"', start=T0)).seal()
    bad = spooled(tmp_path, frames(1), record("20260817T121500000Z-steady-local"))
    (bad.path / "run.json").write_text("{")
    (sound, damaged) = json.loads(lt("runs", "--runs", str(tmp_path), "--format", "json").out)
    assert (sound["requests"], sound["label"], sound["outcome"]) == (200, 'a,"b"', "complete")
    assert (damaged["id"], damaged["requests"], damaged["outcome"]) == (bad.path.name, None, "unreadable")
    lines = list(csv.DictReader(lt("runs", "--runs", str(tmp_path), "--format", "csv").out.splitlines()))
    assert [(line["id"], line["label"], line["requests"]) for line in lines] == [
        (sound["id"], 'a,"b"', "200"),
        (damaged["id"], "", ""),
    ]


def test_deleting_asks_and_names_the_runs(tmp_path: Path) -> None:
    """Without a terminal, nothing is deleted unless --yes is given. An unknown name is an error."""
    folder = spooled(tmp_path, frames(1), record("20260817T101500000Z-ramp300-local"))
    refused = lt("runs", "rm", "latest", "--runs", str(tmp_path))
    assert (refused.code, str(folder.path) in refused.err) == (2, True)
    assert folder.record.exists()
    assert lt("runs", "rm", "nothing", "--runs", str(tmp_path)).code == 2
    assert lt("runs", "prune", "--runs", str(tmp_path)).code == 2
    assert lt("runs", "label", "latest", "main", "--runs", str(tmp_path)).code == 0
    assert lt("runs", "export", "main", "--out", str(tmp_path / "x.csv"), "--runs", str(tmp_path)).code == 0
    assert lt("runs", "rm", "main", "--yes", "--runs", str(tmp_path)).code == 0
    assert not folder.path.exists()
