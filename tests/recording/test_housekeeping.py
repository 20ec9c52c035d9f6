"""Runs are labelled, exported and deleted, and nothing else is touched."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from loadtest.core.errors import UsageError
from loadtest.recording.catalogue import list_runs
from loadtest.recording.folder import RunFolder
from loadtest.recording.housekeeping import delete_run, expired, export_rows, label_run
from tests.recording.frames import T0, frames, record, spooled


def a_run(runs: Path, name: str = "20260817T101500000Z-ramp300-local", **fields: object) -> RunFolder:
    folder = spooled(runs, frames(20), record(name, **fields))
    folder.ensure_sealed()
    return folder


def test_a_deleted_run_is_gone(tmp_path: Path) -> None:
    folder = a_run(tmp_path)
    assert delete_run(folder) == []
    assert list(tmp_path.iterdir()) == []


def test_foreign_files_in_a_run_folder_stay(tmp_path: Path) -> None:
    """A file and a folder of the user are kept, and the message names them."""
    folder = a_run(tmp_path)
    (folder.path / "notes.txt").write_text("mine")
    (folder.path / "report.html.d").mkdir()
    assert delete_run(folder) == ["notes.txt", "report.html.d"]
    assert sorted(path.name for path in folder.path.iterdir()) == ["notes.txt", "report.html.d"]


def test_a_folder_that_is_no_run_s_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "report.html").write_text("mine")
    with pytest.raises(UsageError, match="is not a run's folder"):
        delete_run(RunFolder(tmp_path / "home"))
    assert (tmp_path / "home" / "report.html").read_text() == "mine"


def test_links_are_removed_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    """The cases are a link in place of a file of the run, and a link to the run's folder."""
    folder = a_run(tmp_path / "runs")
    mine = tmp_path / "mine.html"
    mine.write_text("mine")
    folder.report.symlink_to(mine)
    link = tmp_path / "runs" / "20260818T101500000Z-linked"
    link.symlink_to(folder.path)
    delete_run(RunFolder(link))
    assert folder.record.exists()
    assert not link.is_symlink()
    delete_run(folder)
    assert mine.read_text() == "mine"


def test_a_running_run_is_not_deleted(tmp_path: Path) -> None:
    import psutil

    from loadtest.recording.run import Outcome, ProcessRecord

    me = ProcessRecord(host=os.uname().nodename, pid=os.getpid(), started_s=psutil.Process().create_time())
    folder = spooled(tmp_path, frames(1), record("20260817T101500000Z-x-local", outcome=Outcome.RUNNING, process=me))
    with pytest.raises(UsageError, match="still running"):
        delete_run(folder)
    assert folder.record.exists()


def test_a_label_is_kept_and_taken_away(tmp_path: Path) -> None:
    folder = a_run(tmp_path)
    before = folder.read_run()
    label_run(folder, "main")
    assert folder.read_run() == before.model_copy(update={"label": "main"})
    label_run(folder, None)
    assert folder.read_run() == before


def test_exported_rows_are_the_run_s(tmp_path: Path) -> None:
    folder = a_run(tmp_path)
    count = export_rows(folder, tmp_path / "rows.csv")
    rows = folder.read_rows()
    exported = pd.read_csv(tmp_path / "rows.csv")
    assert count == len(exported) == len(rows) == 200
    assert exported.latency_us.tolist() == rows.latency_us.tolist()
    assert exported.name.tolist() == rows.name.astype(str).tolist()


@pytest.mark.parametrize(
    ("keep", "older_than_days", "gone"),
    [(2, None, [1]), (None, 1.4, [1, 3]), (0, 1.6, [1]), (3, None, []), (1, 100, []), (0, None, [1, 3, 4])],
)
def test_retention_spares_the_newest_the_young_and_the_labelled(
    tmp_path: Path, keep: int | None, older_than_days: float | None, gone: list[int]
) -> None:
    """The runs are 3.5, 2.5, 1.5 and 0.5 days old, and the second has a label."""
    for day in (1, 2, 3, 4):
        start = T0 + timedelta(days=day)
        a_run(tmp_path, f"{start:%Y%m%dT%H%M%S}000Z-{day}-local", start=start, label="keep" if day == 2 else None)
    older_than_s = None if older_than_days is None else older_than_days * 86_400
    found = expired(list_runs(tmp_path), now=T0 + timedelta(days=4.5), keep=keep, older_than_s=older_than_s)
    assert [int(folder.path.name.split("-")[1]) for folder in found] == gone
