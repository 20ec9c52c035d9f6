"""A run whose disk fills up ends by itself, says why, and keeps every completely written row."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest.recording.catalogue import find_run
from loadtest.recording.readers import count_rows
from loadtest.recording.run import Outcome
from tests.conftest import counting_server, lt, started


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"`mount` is needed: {error}")
    if done.returncode:
        pytest.skip(f"a file system of its own needs root: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.slow
def test_a_disk_that_fills_up_ends_the_run_and_says_why(small_disk: Path) -> None:
    """A run of 2 min ends when the disk is full.

    It is degraded, with the reason, and can be read once there is space.
    """
    begin_s = time.monotonic()
    plan = ["--users", "40", "--spawn-rate", "40", "--duration", "2m", "--workers", "1", "--runs", str(small_disk)]
    ballast = small_disk / "ballast"
    with counting_server() as server:
        with started("run", "-s", "ramp300", "-t", server.url, *plan) as process:
            while server.count() < 100:
                assert time.monotonic() - begin_s < 60, "waited 60 s for load to flow"
                time.sleep(0.05)
            with ballast.open("wb", buffering=0) as file:
                while True:
                    try:
                        file.write(bytes(4096))
                    except OSError:
                        break
            _, err = process.communicate(timeout=100)
        counted = server.count()
    assert time.monotonic() - begin_s < 115
    assert process.returncode == 4
    assert "No space left on device" in err
    assert "Traceback" not in err
    folder = find_run(small_disk, "latest")
    run = folder.read_run()
    assert run.outcome is Outcome.DEGRADED
    assert any("can no longer be written (No space left on device): the run was stopped" in why for why in run.reasons)
    (worker,) = run.workers
    ballast.unlink()
    done = lt("report", folder.path.name, "--runs", str(small_disk), "--format", "text")
    assert done.code == 3, done.err
    assert worker.rows_sent == counted
    assert count_rows(folder) == worker.rows_received < counted
    assert worker.rows_missing_at_most == counted - worker.rows_received


def filled(disk: Path, *, free_bytes: int) -> Path:
    """Fill a disk up to the given free space, and return the file that fills it."""
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    ballast.write_bytes(bytes(free - free_bytes))
    return ballast


@pytest.mark.slow
def test_a_run_without_space_for_its_end_is_refused_in_a_sentence_and_leaves_nothing(small_disk: Path) -> None:
    """40 kB are enough for the record, but not for the space that is reserved to record the run's end."""
    ballast = filled(small_disk, free_bytes=40_000)
    with counting_server() as server:
        done = lt("run", "-s", "ramp300", "-t", server.url, "--duration", "5s", "--runs", str(small_disk))
        assert server.count() == 0
    assert done.code == 4
    assert "No space left on device): free some space" in done.err
    assert "Traceback" not in done.err
    assert "File " not in done.err
    assert list(small_disk.iterdir()) == [ballast]


@pytest.mark.slow
def test_a_run_whose_page_does_not_fit_still_prints_its_summary(small_disk: Path) -> None:
    """120 kB are enough for the reserved space and the rows of 5 s, but not for an additional page of 110 kB."""
    filled(small_disk, free_bytes=120_000)
    with counting_server() as server:
        done = lt("run", "-s", "ramp300", "-t", server.url, "--duration", "5s", "--runs", str(small_disk))
    assert done.code == 4
    assert "report.html cannot be written (No space left on device): free some space" in done.err
    assert "Did it hold?" in done.out
