"""An emulator's folder is its own: nobody can have made it before, and only what carries its mark is cleaned up."""

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

from loadtest.emulator import rooms
from loadtest.emulator.leftovers import sweep
from loadtest.emulator.rooms import MARK_VARIABLE, Owner, Room, dead_rooms, end_marked, token_of

Sleeper = subprocess.Popen[bytes]


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of its own, short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="r-"))
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    monkeypatch.delenv(rooms.TOKEN_FILE_VARIABLE, raising=False)
    return path


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """A process that has nothing to do with any emulator, leading a session of its own."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def of_the_dead(room: Room) -> None:
    """Let a room look as if its owner were gone: another process had its id, earlier in this boot."""
    assert room.owner is not None
    gone = replace(room.owner, started=room.owner.started - 1)
    (room.path / "owner.json").write_text(json.dumps({**asdict(gone), "mark": room.mark}))


def test_a_folder_is_private_and_two_are_never_the_same() -> None:
    first, second = Room.make(), Room.make()
    assert first.path != second.path
    assert first.mark != second.mark
    assert first.path.stat().st_mode & 0o777 == 0o700
    token = first.publish(port=4711, token="t")
    assert token.stat().st_mode & 0o777 == 0o600


def test_the_token_is_found_by_the_port_while_the_emulator_lives() -> None:
    room = Room.make()
    room.publish(port=4711, token="its token")
    assert (token_of(4711), token_of(4712)) == ("its token", None)
    of_the_dead(room)
    assert token_of(4711) is None


def test_a_file_that_the_environment_names_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("named\n")
    monkeypatch.setenv(rooms.TOKEN_FILE_VARIABLE, str(tmp_path / "token"))
    assert token_of(1) == "named"


def test_the_old_squatted_place_does_not_matter(base: Path, sleeper: Sleeper) -> None:
    """What a stranger put where emulators used to look is neither believed nor touched."""
    ticks = Path(f"/proc/{sleeper.pid}/stat").read_text().rpartition(")")[2].split()[19]
    squatted = base / f"lt-emulator-{os.getuid()}" / "1-1" / "children"
    squatted.mkdir(parents=True, mode=0o777)
    (squatted / f"{sleeper.pid}-{ticks}").touch()
    assert sweep() == []
    assert sleeper.poll() is None


def test_a_folder_that_others_may_write_or_a_link_is_not_believed(base: Path, sleeper: Sleeper) -> None:
    room = Room.make()
    of_the_dead(room)
    room.path.chmod(0o777)
    (base / "lt-emulator-link").symlink_to(room.path)
    assert dead_rooms() == []
    room.publish(port=4711, token="a stranger's")
    assert token_of(4711) is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make another user's folder")
def test_another_user_s_folder_is_not_believed_by_root(sleeper: Sleeper) -> None:
    room = Room.make()
    of_the_dead(room)
    os.chown(room.path, 65534, 65534)
    assert dead_rooms() == []
    assert sweep() == []
    assert room.path.exists()


def test_sweeping_ends_what_carries_the_mark_and_nothing_else(sleeper: Sleeper) -> None:
    room, other = Room.make(), Room.make()
    mine = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        env={**os.environ, MARK_VARIABLE: room.mark},
        start_new_session=True,
    )
    of_the_dead(room)
    found = sweep()
    assert mine.wait(10) == -signal.SIGKILL
    assert any(str(mine.pid) in sentence for sentence in found)
    assert not room.path.exists()
    assert other.path.exists()
    assert sleeper.poll() is None


def test_a_mark_that_says_nothing_ends_nobody(sleeper: Sleeper) -> None:
    assert end_marked("") == []
    room = Room.make()
    (room.path / "owner.json").write_text(json.dumps({**asdict(Owner.of()), "started": 1, "mark": ""}))
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
