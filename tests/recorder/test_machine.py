"""A worker's report about its machine contains the kernel's counters, or None if there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from loadtest.recorder.machine import MachineProbe
from reports.data.load import over_workers

NETSTAT = "TcpExt: SyncookiesSent TCPSynRetrans TCPOrigDataSent\nTcpExt: 0 {} 77\nIpExt: InNoRoutes\nIpExt: 0\n"


def test_connects_that_the_kernel_tried_again_are_counted_since_the_sample_before(tmp_path: Path) -> None:
    stat, netstat = tmp_path / "stat", tmp_path / "netstat"

    def now(total: int, repeated: int) -> None:
        stat.write_text(f"cpu  {total} 0 0 0 0 0 0 0 0 0\n")
        netstat.write_text(NETSTAT.format(repeated))

    now(100, 40)
    probe = MachineProbe(stat, tmp_path / "none", netstat)
    now(200, 43)
    assert probe.take().connects_repeated == 3
    now(300, 43)
    assert probe.take().connects_repeated == 0
    netstat.unlink()
    now(400, 50)
    netstat.unlink()
    sample = probe.take()
    assert (sample.cpu_ratio, sample.connects_repeated, sample.memory_pressure_ratio) == (1.0, None, None)


def test_workers_of_one_machine_report_the_same_about_it() -> None:
    """The counts of a machine are not added up over the machine's workers.

    The counts of each worker's own arrivals are added up.
    """
    columns = [np.array([2.0, np.nan, 5.0]), np.array([2.0, 3.0, 4.0])]
    assert over_workers([column.copy() for column in columns], "connects_repeated", 3).tolist() == [2, 3, 5]
    assert over_workers(columns, "refused", 3).tolist() == [4, 3, 9]
