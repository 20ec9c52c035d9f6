"""Every outage of five seconds is found, with its onset and its kind. It hides no spike, and no spike hides it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reports.analysis.analysis import Analysis, analyse
from reports.spikes.cause import Cause
from tests.kinds import Drawn, Seen, write
from tests.world import Outage, Slow, World

CALM = World(200, np.full(200, 20.0), service_ms=30, warm=3, cores=2, stuck=True, timeout_s=3.0)
ENDPOINTS = (("/predict", 0.85, 1.0), ("/rare", 0.15, 1.0))


def analysed(path: Path, world: World) -> Analysis:
    folder, _ = write(path / "run", Drawn("outage", world, ()), 1, Seen())
    return analyse(folder, folder.read_run())


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("refused", "connections refused or reset"),
        ("reset", "connections refused or reset"),
        ("timeout", "timeouts"),
        ("503", "status 503"),
        ("429", "status 429"),
        ("silence", "no answer"),
    ],
)
@pytest.mark.parametrize("open_loop", [False, True])
def test_an_outage_of_six_seconds_is_found_in_time_and_named(
    tmp_path: Path, how: str, kind: str, *, open_loop: bool
) -> None:
    world = replace(
        CALM, outages=(Outage(100, 6, how),), open_loop=open_loop, timeout_s=3.0 if how == "timeout" else 30
    )
    found = analysed(tmp_path, world).outages
    assert [item.kind for item in found] == [kind]
    assert abs(found[0].onset_s - 100) <= 1
    assert 105 <= found[0].end_s <= 110
    assert found[0].text.endswith(".")


def test_an_outage_of_one_rare_endpoint_names_it(tmp_path: Path) -> None:
    world = replace(CALM, endpoints=ENDPOINTS, outages=(Outage(100, 20, "503", endpoint=1),))
    found = analysed(tmp_path, world).outages
    assert [item.endpoints for item in found] == [["POST /rare"]]


def test_an_outage_hides_no_spike_and_a_spike_hides_no_outage(tmp_path: Path) -> None:
    world = replace(CALM, outages=(Outage(80, 10, "503"),), slows=(Slow(120, 30, factor=6.0),))
    found = analysed(tmp_path, world)
    assert [outage.onset_s for outage in found.outages] == [80]
    assert [abs(spike.onset_s - 120) <= 3 for spike in found.spikes] == [True]


def test_a_run_without_failures_has_no_outage(tmp_path: Path) -> None:
    assert analysed(tmp_path, CALM).outages == ()


def test_a_burst_beyond_max_instances_names_the_limit(tmp_path: Path) -> None:
    users = np.full(200, 10.0)
    users[100:130] = 120.0
    world = replace(
        CALM, users=users, warm=2, scale_to=2, cores=1, concurrency=2, queue_limit=4, wait_ms=40, open_loop=True
    )
    found = analysed(tmp_path, world)
    assert [(outage.kind, outage.cause) for outage in found.outages] == [("status 429", Cause.REFUSED)]
    assert "--max-instances" in " ".join(found.outages[0].evidence)
    advice = {suggestion.option: suggestion for suggestion in found.advice}
    assert int(advice["--max-instances"].value) > 2
    assert "--concurrency" not in advice


def test_a_run_that_was_overloaded_from_its_first_second_has_no_baseline_of_its_own(tmp_path: Path) -> None:
    world = replace(CALM, users=np.full(200, 150.0), warm=1, cores=1, scale_to=1, timeout_s=60.0)
    found = analysed(tmp_path, world)
    assert not found.baseline.known
    assert "queued throughout" in found.baseline.text
    assert [spike.cause for spike in found.spikes] == [Cause.SATURATION]
    assert found.spikes[0].onset_s <= 2
    assert found.spikes[0].cut
    assert found.capacity.text.startswith("150 users got ")
    assert found.advice == ()
