"""Temporary folders do not outlive their processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from loadtest.core.temp_folders import remove_leftovers, temporary_folder

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, tempfile
from pathlib import Path
from loadtest.core.temp_folders import hold, temporary_folder
tempfile.tempdir = sys.argv[1]
if len(sys.argv) > 2:
    lock = hold(Path(sys.argv[2]))
    print(flush=True)
    sys.stdin.read()
else:
    with temporary_folder("scenario") as folder:
        print(folder, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def holder(*arguments: Path) -> tuple[subprocess.Popen[str], Path]:
    """Return a process that holds a folder, and the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)
    process.communicate()


def test_the_next_start_removes_the_folder_of_a_killed_process_and_no_living_one_s(tmp_path: Path) -> None:
    dead, left = holder(tmp_path)
    living, kept = holder(tmp_path)
    end(dead, signal.SIGKILL)
    assert left.is_dir()
    with temporary_folder("scenario"):
        assert not left.exists()
        assert kept.is_dir()
    end(living, signal.SIGKILL)


def test_a_folder_stays_while_any_of_its_processes_lives(tmp_path: Path) -> None:
    """If `lt worker` is killed, the workers that it started still need their scenario's modules until they end."""
    parent, folder = holder(tmp_path)
    child, _ = holder(tmp_path, folder)
    end(parent, signal.SIGKILL)
    remove_leftovers()
    assert folder.is_dir()
    end(child, signal.SIGKILL)
    remove_leftovers()
    assert not folder.exists()


def test_what_was_not_held_or_is_open_to_others_or_is_a_link_is_left_alone(tmp_path: Path) -> None:
    foreign = Path(tempfile.mkdtemp(prefix="lt-scenario-"))
    shared = Path(tempfile.mkdtemp(prefix="lt-scenario-"))
    (shared / "held-1").touch()
    shared.chmod(0o755)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (elsewhere / "held-1").touch()
    link = tmp_path / "lt-scenario-link"
    link.symlink_to(elsewhere)
    remove_leftovers()
    assert foreign.is_dir()
    assert shared.is_dir()
    assert (elsewhere / "held-1").exists()


def descriptors(of: os.stat_result) -> list[int]:
    """Return this process's open descriptors of a file."""
    found = []
    for path in Path("/dev/fd").iterdir():
        with suppress(OSError):  # the descriptor of this listing is closed already
            if os.path.samestat(os.fstat(int(path.name)), of):
                found.append(int(path.name))
    return found


@pytest.mark.parametrize("error", [None, ValueError])
def test_a_folder_is_gone_after_its_block_and_its_lock_closed(error: type[Exception] | None) -> None:
    with suppress(ValueError), temporary_folder("log") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (lock,) = folder.iterdir()
        held = lock.stat()
        assert len(descriptors(held)) == 1
        if error is not None:
            raise error
    assert not folder.exists()
    assert descriptors(held) == []


def test_every_temporary_folder_of_ours_is_a_held_one() -> None:
    """The emulator records the owner of its own folder, and a worker locks the folder of its fetched scenario."""
    own = {"core/temp_folders.py", "emulator/folders.py", "recorder/fetch.py"}
    makers = {
        str(path.relative_to(ROOT / "loadtest"))
        for path in (ROOT / "loadtest").rglob("*.py")
        if re.search(r"\b(mkdtemp|TemporaryDirectory)\(", path.read_text(encoding="utf-8"))
    }
    assert makers == own
