"""The run folder: nothing is overwritten, valid data is read, and every refusal is a sentence."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from loadtest.core.errors import FormatVersionError, RunFolderError, UnknownRunError
from loadtest.recording.catalogue import find_run, list_runs
from loadtest.recording.folder import RunFolder
from loadtest.recording.frames import encode_frame
from loadtest.recording.paths import replacing
from loadtest.recording.readers import count_rows
from loadtest.recording.run import Outcome, ProcessRecord, WorkerRecord
from tests.recording.frames import T0_NS, frames, record, spooled


def test_a_folder_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    """Creating the same run twice is refused, and the first record is unchanged."""
    first = RunFolder.create(tmp_path, record(label="first"))
    with pytest.raises(RunFolderError, match="nothing was overwritten"):
        RunFolder.create(tmp_path, record(label="second"))
    assert first.read_run().label == "first"


def test_a_record_that_cannot_be_written_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One example is Ctrl-C while the record is written."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "write_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        RunFolder.create(tmp_path, record())
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_runs_is_refused(tmp_path: Path) -> None:
    """If `--runs` is a file, a sentence says what to do."""
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunFolderError, match="--runs DIR"):
        RunFolder.create(tmp_path / "runs", record())


@pytest.mark.parametrize("version", [0, 2, "1.0", None])
def test_another_format_version_is_refused_naming_both(version: object, tmp_path: Path) -> None:
    """The reader does not guess at a run of a newer or foreign format."""
    folder = RunFolder.create(tmp_path, record())
    path = folder.path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": version}))
    with pytest.raises(FormatVersionError, match=f"format {version!r}; this version reads format 1"):
        folder.read_run()


def test_keys_that_are_not_known_survive_a_rewrite(tmp_path: Path) -> None:
    """This version keeps keys that a later minor version has added."""
    folder = RunFolder.create(tmp_path, record())
    path = folder.path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mood": "calm"}))
    folder.write_run(folder.read_run())
    assert json.loads(path.read_text())["mood"] == "calm"


def test_sealing_writes_every_row_once_and_takes_the_spool(tmp_path: Path) -> None:
    """5 frames of 10 rows, with 2 failed rows in each frame, become 50 rows and one line of failures.

    The spool is gone.

    A second sealing changes nothing.
    """
    folder = spooled(tmp_path, frames(5, failed=2))
    assert folder.seal().rows == 50
    rows = folder.read_rows()
    assert rows.latency_us.tolist() == [1000 * (row + 1) for row in range(10)] * 5
    assert (rows.outcome == "http_error").sum() == 10
    assert rows.error.dropna().unique().tolist() == ["HTTP 500"]
    assert rows.late_us.isna().all()
    assert not folder.spool.exists()
    (line,) = csv.DictReader(folder.failures.read_text().splitlines())
    assert (line["kind"], line["status"], line["message"], line["count"]) == ("http_error", "500", "HTTP 500", "10")
    before = folder.rows.read_bytes()
    assert folder.seal().rows == count_rows(folder) == 50
    assert folder.rows.read_bytes() == before


@pytest.mark.parametrize("offset_us", [1500.0, -2_000_000.25])
def test_a_clock_offset_moves_the_rows_of_its_worker_alone(offset_us: float, tmp_path: Path) -> None:
    """The offset of a clock, ahead or behind, is added to `start`.

    Rows of a worker without an offset stay unchanged.
    """
    workers = [WorkerRecord(name="w1", clock_offset_us=offset_us), WorkerRecord(name="w2")]
    folder = spooled(tmp_path, [*frames(1), *frames(1, worker="w2")], record(workers=workers))
    folder.seal()
    starts = folder.read_rows().groupby("worker", observed=True).start.min().astype("int64")
    assert starts["w1"] == T0_NS + round(offset_us * 1000)
    assert starts["w2"] == T0_NS


def test_many_small_frames_are_sealed_in_order(tmp_path: Path) -> None:
    """There are more frames than are collected at a time. They are written in several groups, and no row is lost."""
    folder = spooled(tmp_path, frames(5000, rows=1))
    assert folder.seal().rows == 5000
    assert folder.read_rows(["start"]).start.is_monotonic_increasing


def test_a_half_written_last_frame_is_left_out_and_the_spool_kept(tmp_path: Path) -> None:
    """The process was killed in the middle of a write.

    The valid frames become rows, and the record says where the spool stops.
    """
    folder = spooled(tmp_path, frames(3))
    whole = folder.spool.read_bytes()
    folder.spool.write_bytes(whole + encode_frame(frames(4)[3])[:-5])
    run = folder.ensure_sealed()
    assert len(folder.read_rows(["start"])) == 30
    assert folder.spool.exists()
    assert f"the spool is valid up to row 30: half a frame at byte {len(whole)}" in run.reasons
    assert folder.ensure_sealed().reasons == run.reasons


def test_a_run_without_spool_or_rows_is_an_empty_run(tmp_path: Path) -> None:
    """A run that ended before its first row is sealed with no rows."""
    folder = RunFolder.create(tmp_path, record())
    assert folder.seal().rows == 0
    assert folder.read_rows().empty


def test_a_running_run_whose_process_is_gone_reads_as_interrupted(tmp_path: Path) -> None:
    """The state `running` on disk is believed only if a living process has the same host, pid and start time."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = os.uname().nodename
    dead = ProcessRecord(host=here, pid=gone.pid, started_s=0.0)
    folder = spooled(tmp_path, frames(2), record("20260817T101500Z-dead-local", outcome=Outcome.RUNNING, process=dead))
    assert folder.read_run().outcome is Outcome.INTERRUPTED
    assert not folder.is_live()
    run = folder.ensure_sealed()
    assert run.end is not None
    assert "ended without closing the run" in run.reasons[0]
    assert len(folder.read_rows(["start"])) == 20

    alive = ProcessRecord(host=here, pid=os.getpid(), started_s=psutil.Process().create_time())
    other = spooled(tmp_path, frames(1), record("20260817T101501Z-live-local", outcome=Outcome.RUNNING, process=alive))
    assert other.is_live()
    with pytest.raises(RunFolderError, match="still running"):
        other.ensure_sealed()


def test_a_run_is_found_by_id_prefix_label_latest_and_path(tmp_path: Path) -> None:
    """Every way to name a run works. If several runs match, or none, the message lists the existing runs."""
    first = RunFolder.create(tmp_path, record("20260817T101500Z-ramp300-local", label="before"))
    second = RunFolder.create(tmp_path, record("20260817T111500Z-ramp300-cloud", label="again"))
    third = RunFolder.create(tmp_path, record("20260818T101500Z-steady-local", label="again"))
    for name, expected in [
        (first.path.name, first),
        ("20260817T10", first),
        ("before", first),
        ("again", third),
        ("latest", third),
        (str(second.path), second),
    ]:
        assert find_run(tmp_path, name).path == expected.path
    with pytest.raises(UnknownRunError, match="beginning of 2 runs"):
        find_run(tmp_path, "20260817")
    with pytest.raises(UnknownRunError, match=r"No run is called `x+`"):
        find_run(tmp_path, "x" * 300)
    with pytest.raises(UnknownRunError, match=r"lt\.py run"):
        find_run(tmp_path / "none", "latest")


def test_unreadable_runs_are_listed_with_the_reason(tmp_path: Path) -> None:
    """One damaged folder does not hide the others. A folder that is not a run is not listed."""
    RunFolder.create(tmp_path, record("20260817T101500Z-a-local"))
    bad = RunFolder.create(tmp_path, record("20260817T101501Z-b-local"))
    (bad.path / "run.json").write_text('{"format": 1, "id"')
    (tmp_path / "notes").mkdir()
    listed = list_runs(tmp_path)
    assert [(folder.path.name[17:], run is None) for folder, run, _ in listed] == [
        ("a-local", False),
        ("b-local", True),
    ]
    assert "is not a run's record" in listed[1][2]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 kB."""
    place = tmp_path / "tiny"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"`mount` is needed: {error}")
    if done.returncode:
        pytest.skip(f"a separate file system needs root: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ValueError])
def test_whatever_interrupts_the_writing_of_a_file_leaves_the_old_one_alone(
    tmp_path: Path, error: type[BaseException]
) -> None:
    """One example is Ctrl-C while a report is written."""
    path = tmp_path / "report.html"
    path.write_text("old")

    def write() -> None:
        with replacing(path) as new:
            new.write_text("half of the n")
            raise error

    with pytest.raises((error, RunFolderError)):
        write()
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("report.html", "old")]


def test_a_full_disk_gives_a_sentence_and_loses_nothing(tiny_disk: Path) -> None:
    """Sealing on a full disk is refused with a message that says what to do.

    The spool and the record are kept. With free space it works.
    """
    folder = spooled(tiny_disk, frames(200))
    ballast = tiny_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    with pytest.raises(RunFolderError, match=r"No space left on device.*free some space"):
        folder.seal()
    with pytest.raises(RunFolderError, match="free some space"):
        folder.write_run(record(label="a" * 10_000))
    with pytest.raises(RunFolderError, match="free some space"):
        RunFolder.create(tiny_disk, record("20260817T111500Z-ramp300-local", label="a" * 10_000))
    assert {path.name for path in tiny_disk.iterdir()} == {folder.path.name, "ballast"}
    with pytest.raises(RunFolderError, match="free some space"):
        folder.reserve()
    assert folder.read_run().label is None
    assert {path.name for path in folder.path.iterdir()} == {"run.json", "requests.spool"}
    ballast.unlink()
    folder.ensure_sealed()
    assert len(folder.read_rows(["start"])) == 2000


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_gives_a_sentence(tmp_path: Path) -> None:
    """Without permission, the sentence names the option that chooses another folder."""
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(RunFolderError, match="--runs DIR"):
            RunFolder.create(tmp_path / "runs", record())
    finally:
        tmp_path.chmod(0o700)
