"""Create a private folder for each emulator, and find out which emulators of this user are still running.

A folder is made by `mkdtemp`: mode 0700, and a random name that no other user can have created before. A process id
alone does not show what a killed emulator left behind. Therefore the folder must belong to this user alone; its owner
is identified by boot, PID namespace, process id and start time; and everything that the emulator started has its random
mark (128 bits), in the environment or in the name of its cgroup.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from ..core.temp_folders import is_private

PREFIX = "lt-emulator-"
MARK_VARIABLE = "LT_EMULATOR_MARK"
TOKEN_FILE_VARIABLE = "LT_ACCESS_TOKEN_FILE"
"""The variable that names the file with an emulator's access token. A client needs this variable if it cannot find the
token by the port, for example because the emulator belongs to another user."""

_OWNER, _TOKEN, _PORT = "owner.json", "token", "port"
_LONGEST = 60  # the longest path of a folder, in bytes, so that the paths of its sockets stay below 107 bytes
_UNNAMED_S = 3600.0  # if an older folder has no owner, its process was killed between two system calls


@dataclass(frozen=True, slots=True)
class Owner:
    """Identifies a process uniquely. A process id alone is not enough, because process ids are reused.

    Attributes:
        pid: the process id.
        started: the start time of the process in clock ticks since boot (Linux), else in hundredths of a second of Unix
            time.
        boot: id of this boot of the machine; "" if the system has none.
        namespace: the PID namespace; "" if the system has none.
    """

    pid: int
    started: int
    boot: str
    namespace: str

    @classmethod
    def of(cls, pid: int | None = None) -> Owner:
        """Return the owner for this process (or for `pid`).

        Raises:
            psutil.NoSuchProcess: the process has ended.
        """
        process = psutil.Process(pid)
        return cls(process.pid, _started(process), _boot(), _namespace())

    @property
    def may_live(self) -> bool:
        """Whether the process is still running, or is invisible to us (in another PID namespace).

        A zombie does not count as running.
        """
        if self.boot != _boot():
            return False
        if self.namespace != _namespace():
            return True
        try:
            process = psutil.Process(self.pid)
            return _started(process) == self.started and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


@dataclass(frozen=True, slots=True)
class EmulatorFolder:
    """The folder of one emulator. `owner` is None if the emulator was killed before it recorded its owner."""

    path: Path
    owner: Owner | None
    mark: str

    @classmethod
    def make(cls) -> EmulatorFolder:
        """Create the folder for this process's emulator."""
        base = Path(tempfile.gettempdir())
        if len(os.fsencode(base)) > _LONGEST - 24:
            base = Path("/tmp")
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        folder = cls(path, Owner.of(), secrets.token_hex(16))
        assert folder.owner is not None
        private_write(path / _OWNER, json.dumps({**asdict(folder.owner), "mark": folder.mark}))
        return folder

    def publish(self, *, port: int, token: str) -> Path:
        """Write the access token of the API port for this user's clients; return the file."""
        private_write(self.path / _TOKEN, token + "\n")
        private_write(self.path / _PORT, str(port))
        return self.path / _TOKEN

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)


def private_write(path: Path, text: str) -> None:
    """Write a file that only this user may read. The file is written completely or not at all."""
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
        file.write(text)
    part.replace(path)


def emulator_folders() -> list[EmulatorFolder]:
    """Return the folders of emulators that only this user can have created."""
    found = []
    for base in dict.fromkeys((Path(tempfile.gettempdir()), Path("/tmp"))):
        for path in sorted(base.glob(PREFIX + "*")):
            if not is_private(path):
                continue
            try:
                record = json.loads((path / _OWNER).read_text())
                mark = str(record.pop("mark"))
                found.append(EmulatorFolder(path, Owner(**record), mark))
            except FileNotFoundError:
                found.append(EmulatorFolder(path, None, ""))
            except (OSError, ValueError, TypeError, KeyError, AttributeError):
                continue  # the folder is not ours, or another version made it
    return found


def dead_folders() -> list[EmulatorFolder]:
    """Return the folders whose emulator no longer runs."""
    return [
        folder
        for folder in emulator_folders()
        if not (folder.owner.may_live if folder.owner else _is_young(folder.path))
    ]


def token_of(port: int) -> str | None:
    """Return the access token of the emulator whose API answers on `port`; None if no token is found.

    The token is in the file that $LT_ACCESS_TOKEN_FILE names, or else in the folder of one of this user's emulators.

    Raises:
        OSError: the file that $LT_ACCESS_TOKEN_FILE names cannot be read.
    """
    named = os.environ.get(TOKEN_FILE_VARIABLE)
    if named:
        return Path(named).read_text(encoding="utf-8").strip()
    for folder in emulator_folders():
        if folder.owner is not None and folder.owner.may_live:
            with contextlib.suppress(OSError, ValueError):
                if int((folder.path / _PORT).read_text()) == port:
                    return (folder.path / _TOKEN).read_text().strip()
    return None


def end_marked(mark: str) -> list[int]:
    """Kill every process with `mark` in its environment, except this process; return their ids.

    The code reads the environment and sends the signal through the same process handle, so it never kills another
    process that has got the same id (Linux).
    """
    ended = []
    word = f"{MARK_VARIABLE}={mark}".encode()
    for pid in psutil.pids():
        if pid != os.getpid() and mark and _kill_if(pid, word):
            ended.append(pid)
    return ended


def _kill_if(pid: int, word: bytes) -> bool:
    try:
        if not hasattr(os, "pidfd_open"):
            name, _, value = word.decode().partition("=")
            if psutil.Process(pid).environ().get(name) != value:
                return False
            os.kill(pid, signal.SIGKILL)
            return True
        handle = os.pidfd_open(pid)
        try:
            if word not in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                return False
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            return True
        finally:
            os.close(handle)
    except (OSError, psutil.Error):
        return False  # the process has ended, or belongs to another user


def _is_young(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime < _UNNAMED_S
    return True


def _started(process: psutil.Process) -> int:
    try:  # the boot-based time, unlike Unix time, does not change when the clock is set
        return int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:  # there is no /proc (macOS), or the process has ended, in which case psutil raises an error
        return round(process.create_time() * 100)


def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _namespace() -> str:
    with contextlib.suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""
