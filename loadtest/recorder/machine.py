"""Measure the whole machine: CPU of all cores, CPU taken by the hypervisor, memory pressure, repeated connects."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

STAT, MEMORY_PRESSURE, NETSTAT = Path("/proc/stat"), Path("/proc/pressure/memory"), Path("/proc/net/netstat")


@dataclass(frozen=True, slots=True)
class MachineSample:
    """Measurements of the whole machine in one interval. A value is None if the kernel does not report it.

    Attributes:
        cpu_ratio: busy CPU time ÷ total CPU time of all cores, 0…1
            (https://man7.org/linux/man-pages/man5/proc_stat.5.html).
        steal_ratio: CPU time that the hypervisor gave to other machines ÷ total CPU time, 0…1.
        memory_pressure_ratio: share of the time in which at least one process waited for memory, 0…1 (PSI "some").
        connects_repeated: number of first packets (SYN) of connections that were sent again, 1 s or more after the
            first time, because the server's listen backlog was full or the packet was lost.
    """

    cpu_ratio: float | None
    steal_ratio: float | None
    memory_pressure_ratio: float | None
    connects_repeated: int | None = None


@dataclass(frozen=True, slots=True)
class _Counters:
    at_s: float
    busy: int
    steal: int
    total: int
    stalled_us: int | None
    repeated: int | None


class MachineProbe:
    """Read small files of /proc, once per sample."""

    def __init__(self, stat: Path = STAT, memory_pressure: Path = MEMORY_PRESSURE, netstat: Path = NETSTAT) -> None:
        self._stat, self._memory_pressure, self._netstat = stat, memory_pressure, netstat
        self._before = self._read()

    def take(self) -> MachineSample:
        """Return the sample for the time since the last call, and begin the next sample."""
        before, now = self._before, self._read()
        self._before = now
        if before is None or now is None or now.total <= before.total:
            return MachineSample(None, None, None)
        total = now.total - before.total
        passed_us = (now.at_s - before.at_s) * 1e6
        pressure = None
        if before.stalled_us is not None and now.stalled_us is not None and passed_us > 0:
            pressure = min(1.0, max(0.0, (now.stalled_us - before.stalled_us) / passed_us))
        return MachineSample(
            cpu_ratio=min(1.0, max(0.0, (now.busy - before.busy) / total)),
            steal_ratio=min(1.0, max(0.0, (now.steal - before.steal) / total)),
            memory_pressure_ratio=pressure,
            connects_repeated=None
            if before.repeated is None or now.repeated is None
            else max(0, now.repeated - before.repeated),
        )

    def _read(self) -> _Counters | None:
        try:
            fields = [int(field) for field in self._stat.read_text().partition("\n")[0].split()[1:9]]
            user, nice, system, idle, iowait, irq, softirq, steal = fields
        except (OSError, ValueError):  # there is no such file on other systems than Linux, and in some sandboxes
            return None
        busy = user + nice + system + irq + softirq
        return _Counters(
            time.monotonic(), busy, steal, busy + idle + iowait + steal, self._stalled_us(), self._repeated()
        )

    def _stalled_us(self) -> int | None:
        try:
            some = self._memory_pressure.read_text().partition("\n")[0]
            return int(some.partition("total=")[2])
        except (OSError, ValueError):  # kernels without PSI
            return None

    def _repeated(self) -> int | None:
        try:
            lines = [line.split() for line in self._netstat.read_text().splitlines() if line.startswith("TcpExt:")]
            return int(dict(zip(*lines, strict=True))["TCPSynRetrans"])
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
        ):
            # there is no such file on other systems than Linux, and in some sandboxes
            return None
