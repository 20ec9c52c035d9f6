"""Slow first requests of instances are counted, whatever their number. They are a spike if they raise p95."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reports.analysis.analysis import Analysis, analyse
from reports.spikes.causes import Cause
from reports.spikes.first_requests import slow_from_the_first_on
from tests.kinds import Drawn, Seen, write
from tests.world import Trace, World


def told(path: Path, world: World, seen: Seen | None = None) -> tuple[Analysis, Trace]:
    folder, trace = write(path / "run", Drawn("lazy", world, ()), 1, seen or Seen())
    return analyse(folder, folder.read_run()), trace


@pytest.mark.parametrize(
    ("flags", "until"),
    [
        ("", 0),
        ("....", 0),
        ("#...", 1),
        ("########......", 8),
        ("####.###......", 8),  # one request overtook the others
        ("####..........#", 4),  # and one is slow by chance
    ],
)
def test_slow_ones_end_where_fast_ones_follow(flags: str, until: int) -> None:
    assert slow_from_the_first_on(np.array([flag == "#" for flag in flags], dtype=np.bool_)) == until


BUSY = World(300, np.full(300, 60.0), service_ms=30, cores=8, warm=2, stuck=True, scale_in_s=1e6, drift=0.02)


@pytest.mark.parametrize("count", [1, 12, 40])
def test_every_slow_first_request_of_added_instances_is_counted(tmp_path: Path, count: int) -> None:
    starts = tuple((at, -1) for at in (40.0, 90.0, 140.0))
    found, trace = told(tmp_path, replace(BUSY, swaps=starts, first_count=count, first_extra_ms=500))
    outside = trace.first & (trace.outcome == 0)
    for spike in found.spikes:
        outside &= (trace.start_s < spike.onset_s - 1) | (trace.start_s > spike.end_s)
    assert found.slow_first is not None
    assert found.slow_first.requests == pytest.approx(int(outside.sum()), abs=2)


def test_those_of_a_warm_instance_are_counted_too(tmp_path: Path) -> None:
    found, _ = told(tmp_path, replace(BUSY, warm=8, first_count=1, lazy_ms=900))
    assert found.slow_first is not None
    assert found.slow_first.requests == pytest.approx(8, abs=1)
    assert found.slow_first.instances == 8
    assert "none of them new" in found.slow_first.text


def test_an_instance_that_starts_as_fast_as_the_others_has_none(tmp_path: Path) -> None:
    found, _ = told(tmp_path, replace(BUSY, swaps=((40.0, -1), (90.0, -1), (140.0, -1))))
    assert found.slow_first is None


def test_they_are_a_spike_where_they_move_p95(tmp_path: Path) -> None:
    # Twelve of about forty requests within two seconds take 1.5 s each. A scan for clusters would count them as one
    # long request.
    world = replace(BUSY, users=np.full(300, 20.0), warm=1, cores=4, swaps=((150.0, -1),), first_count=12)
    found, _ = told(tmp_path, replace(world, first_extra_ms=1500))
    assert [spike.cause for spike in found.spikes] == [Cause.ADDED_INSTANCE]
    assert found.spikes[0].onset_s == pytest.approx(154, abs=3)
    assert found.slow_first is None


def test_without_instances_those_of_the_load_s_first_seconds_are_counted(tmp_path: Path) -> None:
    found, trace = told(tmp_path, replace(BUSY, first_count=3, lazy_ms=300), Seen(headers=False, gauge=False))
    assert found.slow_first is not None
    assert found.slow_first.requests == pytest.approx(int(trace.first.sum()), abs=2)
    assert "first 1 s of the load" in found.slow_first.text
