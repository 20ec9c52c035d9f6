"""Limit the CPU and the memory of each instance through Linux cgroups, version 2 or 1.

Source: kernel documentation, admin-guide/cgroup-v2.rst, scheduler/sched-bwc.rst, cgroup-v1/memory.rst. If cgroups
    cannot be written, instances run without limits and `CgroupManager.why_not` says why.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

from ..core.errors import EmulatorError
from .folders import PREFIX

CGROUP_ROOT = Path("/sys/fs/cgroup")
_V1 = ("cpu", "cpuacct", "memory")
_CPU_WEIGHT = {
    "starting": (10, 64),
    "serving": (100, 1024),
}  # the values for cpu.weight (cgroup v2) and cpu.shares (v1)

_CURE = "Run as root, or in a delegated cgroup."


class CgroupError(EmulatorError):
    """An instance cannot be limited, because a file of its cgroup cannot be written.

    Args:
        what: what is not possible.
        paths: the files; if there are several, at least one of them cannot be written.
        why: the reason that the system gives, if it is known.
    """

    def __init__(self, what: str, paths: Iterable[Path | str], why: str | None = None) -> None:
        reason = f" ({why})" if why else ""
        super().__init__(f"{what}: {' or '.join(map(str, paths))} cannot be written{reason}. {_CURE}")


def quota_us(cpu: float) -> tuple[int, int]:
    """Return (quota, period) in µs for `cpu` vCPU.

    The period is the shortest period for which the quota is at least the kernel's minimum of 1 ms.

    An instance that has used up its quota is paused for the rest of the period, so a long period adds latency. For
    example, 0.025 vCPU means 1 ms in every 40 ms. With 0.1 vCPU or more the period is 10 ms, because a shorter period
    would cost more CPU than it is worth.
    """
    period = min(1_000_000, max(10_000, math.ceil(1000 / cpu)))
    return max(1000, round(cpu * period)), period


class Cgroup:
    """The CPU and memory limits and the usage counters of one instance.

    Without cgroups there are no limits, and the counters come from /proc.
    """

    def __init__(self, directories: Mapping[str, Path], *, version: int) -> None:
        self._directories = directories
        self._version = version
        self._process: psutil.Process | None = None

    @property
    def join_files(self) -> tuple[Path, ...]:
        """The files to which a process writes its id to join the cgroups."""
        return tuple(path / "cgroup.procs" for path in dict.fromkeys(self._directories.values()))

    def watch(self, pid: int) -> None:
        """If there is no cgroup, read the counters from this process and its children."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process = psutil.Process(pid)

    def limit_memory(self, limit_bytes: int) -> None:
        """Set the memory limit and switch off swap. The kernel kills a process that exceeds the limit."""
        path = self._directories.get("memory")
        if path is None:
            return
        if self._version == 2:
            (path / "memory.max").write_text(str(limit_bytes))
            _try_write(path / "memory.swap.max", "0")
        else:
            (path / "memory.limit_in_bytes").write_text(str(limit_bytes))
            _try_write(path / "memory.memsw.limit_in_bytes", str(limit_bytes))

    def limit_cpu(self, cpu: float | None) -> None:
        """Limit the CPU to `cpu` vCPU; None removes the limit."""
        path = self._directories.get("cpu")
        if path is None:
            return
        quota, period = quota_us(cpu) if cpu is not None else (-1, 100_000)
        if self._version == 2:
            (path / "cpu.max").write_text(f"{'max' if quota < 0 else quota} {period}")
        else:
            # because the kernel may reject the combination of the old quota and the new period
            (path / "cpu.cfs_quota_us").write_text("-1")
            (path / "cpu.cfs_period_us").write_text(str(period))
            (path / "cpu.cfs_quota_us").write_text(str(quota))

    def weigh(self, what: str) -> None:
        """Set the CPU weight, so that instances that are `starting` get less CPU than those that serve requests."""
        path = self._directories.get("cpu")
        if path is not None:
            weight, shares = _CPU_WEIGHT[what]
            name, value = ("cpu.weight", weight) if self._version == 2 else ("cpu.shares", shares)
            (path / name).write_text(str(value))

    def cpu_used_s(self) -> float:
        """Return the CPU time used so far, in s."""
        try:
            if "cpuacct" in self._directories:
                return int((self._directories["cpuacct"] / "cpuacct.usage").read_text()) / 1e9
            if self._version == 2 and "cpu" in self._directories:
                return _field(self._directories["cpu"] / "cpu.stat", "usage_usec") / 1e6
            return sum(sum(process.cpu_times()[:2]) for process in self._tree())
        except (OSError, psutil.Error):
            return 0.0

    def memory_bytes(self) -> int:
        """Return the memory in use."""
        try:
            if "memory" in self._directories:
                name = "memory.current" if self._version == 2 else "memory.usage_in_bytes"
                return int((self._directories["memory"] / name).read_text())
            return sum(process.memory_info().rss for process in self._tree())
        except (OSError, psutil.Error):
            return 0

    def memory_peak_bytes(self) -> int:
        """Return the peak memory use, or the current use if the kernel does not report a peak."""
        name = "memory.peak" if self._version == 2 else "memory.max_usage_in_bytes"
        try:
            return int((self._directories["memory"] / name).read_text())
        except (OSError, KeyError):
            return self.memory_bytes()

    def oom_kills(self) -> int:
        """Return how many processes the memory limit has killed."""
        try:
            name = "memory.events" if self._version == 2 else "memory.oom_control"
            return _field(self._directories["memory"] / name, "oom_kill")
        except (OSError, KeyError):
            return 0

    def remove(self) -> None:
        """Kill the remaining processes and remove the cgroup."""
        for path in dict.fromkeys(self._directories.values()):
            _remove(path)

    def _tree(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)] if self._process is not None else []


class CgroupManager:
    """The cgroups of one emulator's instances.

    Attributes:
        why_not: a sentence that says which limits are missing and why; "" if CPU and memory are limited.
    """

    def __init__(self, mark: str, root: Path = CGROUP_ROOT) -> None:
        self.why_not = ""
        self._mark = mark
        self._root = root
        self._parents: dict[str, Path] = {}
        self._version = 0
        self._made = 0

    def startup(self) -> None:
        """Find the writable cgroups, and create a parent cgroup, named by the mark, in each."""
        name = PREFIX + self._mark
        problems = []
        for version, bases in candidates(self._root):
            try:
                self._parents = _make_parents(version, bases, name)
                self._version = version
                break
            except OSError as error:
                problems.append(f"cgroup v{version}: {error.strerror} ({error.filename})")
        missing = [what for what in ("cpu", "memory") if what not in self._parents]
        if missing:
            why = "; ".join(problems) or "this machine has no cgroups"
            self.why_not = f"There is no limit on {' and '.join(missing)}: {why}. {_CURE}"

    def create(self, name: str) -> Cgroup:
        """Return a new cgroup without limits.

        The name of the cgroup contains a number, because two services may have revisions of the same name.
        """
        self._made += 1
        directories = {}
        for controller, parent in self._parents.items():
            directories[controller] = parent / f"{self._made}-{name}"
            directories[controller].mkdir(exist_ok=True)
        return Cgroup(directories, version=self._version)

    def shutdown(self) -> None:
        """Remove all cgroups and end the processes in them."""
        for parent in dict.fromkeys(self._parents.values()):
            _remove_tree(parent)
        self._parents = {}


def candidates(root: Path) -> list[tuple[int, dict[str, list[Path]]]]:
    """Return where cgroups can be created, as (version, controller → the folders to try, in order of preference)."""
    found: list[tuple[int, dict[str, list[Path]]]] = []
    with contextlib.suppress(OSError):
        if "cpu" in (root / "cgroup.controllers").read_text().split():
            own = root / _own_v2_path().lstrip("/")
            # Only leaf cgroups may contain processes, so the new cgroup cannot be below our own. So the new cgroup is
            # created beside our own cgroup, or at the top, where this rule does not apply.
            tries = [root] if own == root else [own.parent, root]
            found.append((2, {"cpu": tries, "memory": tries}))
    v1 = {name: [root / name] for name in _V1 if (root / name / "cgroup.procs").exists()}
    if "cpu" in v1:
        found.append((1, v1))
    return found


def remove_marked(mark: str) -> list[Path]:
    """Remove the cgroups of the emulator with this mark and end the processes in them; return their paths."""
    found = []
    for place in sorted({place for _, bases in candidates(CGROUP_ROOT) for tries in bases.values() for place in tries}):
        parent = place / (PREFIX + mark)
        if parent.is_dir():
            _remove_tree(parent)
            found.append(parent)
    return found


def _make_parents(version: int, bases: Mapping[str, list[Path]], name: str) -> dict[str, Path]:
    made: dict[str, Path] = {}
    if version == 1:
        for controller, (base, *_) in bases.items():
            made[controller] = base / name
            made[controller].mkdir(exist_ok=True)
        # the weight of all instances together, compared with other processes
        (made["cpu"] / "cpu.shares").write_text("2048")
        return made
    for base in bases["cpu"]:
        parent = base / name
        try:
            for controller in ("cpu", "memory"):
                _write_if_missing(base / "cgroup.subtree_control", controller)
            parent.mkdir(exist_ok=True)
            for controller in ("cpu", "memory"):
                _write_if_missing(parent / "cgroup.subtree_control", controller)
            return {"cpu": parent, "memory": parent}
        except OSError:
            with contextlib.suppress(OSError):
                parent.rmdir()
            if base == bases["cpu"][-1]:
                raise
    return made


def _write_if_missing(path: Path, controller: str) -> None:
    if controller not in path.read_text().split():
        path.write_text(f"+{controller}")


def _own_v2_path() -> str:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return line[3:]
    return "/"


def _field(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _try_write(path: Path, text: str) -> None:
    with contextlib.suppress(OSError):
        path.write_text(text)


def _remove_tree(parent: Path) -> None:
    with contextlib.suppress(OSError):
        for child in parent.iterdir():
            if child.is_dir():
                _remove(child)
    _remove(parent)


def _remove(path: Path) -> None:
    for _ in range(200):  # it takes some time until a killed process leaves its cgroup
        try:
            path.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            with contextlib.suppress(OSError):
                for pid in (path / "cgroup.procs").read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.005)
