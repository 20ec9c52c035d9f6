"""An emulator's folder is private: nobody else can have created it, and only things with its mark are cleaned up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from loadtest.emulator import folders
from loadtest.emulator.folders import MARK_VARIABLE, EmulatorFolder, Owner, dead_folders, end_marked, token_of
from loadtest.emulator.leftovers import sweep

Sleeper = subprocess.Popen[bytes]


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of this test, with a path short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="r-"))
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    monkeypatch.delenv(folders.TOKEN_FILE_VARIABLE, raising=False)
    return path


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """A process that belongs to no emulator and leads a separate session."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def of_the_dead(folder: EmulatorFolder) -> None:
    """Make a folder look as if its owner had ended: the recorded owner has our process id, but started earlier."""
    assert folder.owner is not None
    gone = replace(folder.owner, started=folder.owner.started - 1)
    (folder.path / "owner.json").write_text(json.dumps({**asdict(gone), "mark": folder.mark}))


def test_a_folder_is_private_and_two_are_never_the_same() -> None:
    first, second = EmulatorFolder.make(), EmulatorFolder.make()
    assert first.path != second.path
    assert first.mark != second.mark
    assert first.path.stat().st_mode & 0o777 == 0o700
    token = first.publish(port=4711, token="t")
    assert token.stat().st_mode & 0o777 == 0o600


def test_the_token_is_found_by_the_port_while_the_emulator_lives() -> None:
    folder = EmulatorFolder.make()
    folder.publish(port=4711, token="its token")
    assert (token_of(4711), token_of(4712)) == ("its token", None)
    of_the_dead(folder)
    assert token_of(4711) is None


def test_a_file_that_the_environment_names_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("named\n")
    monkeypatch.setenv(folders.TOKEN_FILE_VARIABLE, str(tmp_path / "token"))
    assert token_of(1) == "named"


def test_the_old_squatted_place_does_not_matter(base: Path, sleeper: Sleeper) -> None:
    """A file that a stranger put at the emulators' former location is neither trusted nor touched."""
    ticks = Path(f"/proc/{sleeper.pid}/stat").read_text().rpartition(")")[2].split()[19]
    squatted = base / f"lt-emulator-{os.getuid()}" / "1-1" / "children"
    squatted.mkdir(parents=True, mode=0o777)
    (squatted / f"{sleeper.pid}-{ticks}").touch()
    assert sweep() == []
    assert sleeper.poll() is None


def test_a_folder_that_others_may_write_or_a_link_is_not_believed(base: Path, sleeper: Sleeper) -> None:
    folder = EmulatorFolder.make()
    of_the_dead(folder)
    folder.path.chmod(0o777)
    (base / "lt-emulator-link").symlink_to(folder.path)
    assert dead_folders() == []
    folder.publish(port=4711, token="a stranger's")
    assert token_of(4711) is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make another user's folder")
def test_another_user_s_folder_is_not_believed_by_root(sleeper: Sleeper) -> None:
    folder = EmulatorFolder.make()
    of_the_dead(folder)
    os.chown(folder.path, 65534, 65534)
    assert dead_folders() == []
    assert sweep() == []
    assert folder.path.exists()


def test_sweeping_ends_what_carries_the_mark_and_nothing_else(sleeper: Sleeper) -> None:
    folder, other = EmulatorFolder.make(), EmulatorFolder.make()
    mine = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        env={**os.environ, MARK_VARIABLE: folder.mark},
        start_new_session=True,
    )
    of_the_dead(folder)
    found = sweep()
    assert mine.wait(10) == -signal.SIGKILL
    assert any(str(mine.pid) in sentence for sentence in found)
    assert not folder.path.exists()
    assert other.path.exists()
    assert sleeper.poll() is None


def test_an_empty_mark_ends_no_process(sleeper: Sleeper) -> None:
    assert end_marked("") == []
    folder = EmulatorFolder.make()
    (folder.path / "owner.json").write_text(json.dumps({**asdict(Owner.of()), "started": 1, "mark": ""}))
    sweep()
    assert sleeper.poll() is None


def test_an_owner_of_another_boot_is_gone_and_one_of_another_container_may_live() -> None:
    me = Owner.of()
    assert me.may_live
    assert not replace(me, boot="another").may_live
    assert replace(me, namespace="pid:[1]", started=1).may_live
    assert not replace(me, started=me.started + 1).may_live


def test_a_process_that_is_gone_cannot_be_named() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    with pytest.raises(psutil.NoSuchProcess):
        Owner.of(process.pid)
