"""A spike is called a queue where the requests that met few others in flight stayed fast, else a slower service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reports.analysis.analysis import Analysis, analyse
from reports.spikes.causes import Cause
from tests.kinds import Drawn, Seen, write
from tests.world import Slow, Trace, World

BUSY = World(400, np.full(400, 32.0), service_ms=18, sigma=0.3, warm=1, stuck=True, scale_to=1)
"""Three fifths of one core are used, so requests sometimes queue for seconds."""


def told(path: Path, world: World, seed: int = 1) -> tuple[Analysis, Trace]:
    folder, trace = write(path / "run", Drawn("queues", world, ()), seed, Seen())
    return analyse(folder, folder.read_run()), trace


@pytest.mark.parametrize("seed", range(4))
def test_the_queues_of_a_busy_instance_at_unchanged_load_are_no_spike_unless_they_stand_out(
    tmp_path: Path, seed: int
) -> None:
    found, trace = told(tmp_path, BUSY, seed)
    usual_ms = float(np.percentile(trace.latency_s, 95)) * 1000
    assert all(spike.cause == Cause.UNEXPLAINED and spike.peak_ms >= 1.5 * usual_ms for spike in found.spikes)


def test_a_part_that_queues_as_load_rises_is_saturation(tmp_path: Path) -> None:
    users = np.where(np.arange(400) < 200, 15.0, 42.0)
    found, _ = told(tmp_path, replace(BUSY, users=users))
    assert found.spikes
    assert {spike.cause for spike in found.spikes} == {Cause.SATURATION}


def test_a_service_that_is_slower_at_the_same_load_is_none(tmp_path: Path) -> None:
    slow = Slow(200, 60, add_ms=300, waits=True)
    found, _ = told(tmp_path, replace(BUSY, users=np.full(400, 12.0), slows=(slow,)))
    assert [spike.cause for spike in found.spikes] == [Cause.DEPENDENCY]
