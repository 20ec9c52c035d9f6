"""Every outage of five seconds is found, with its onset and its kind.

An outage does not hide a spike, and a spike does not hide an outage.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadtest.recording.capabilities import CLOUD_RUN, LOCAL, Capabilities
from reports.analysis.analysis import Analysis, analyse
from reports.spikes.cause import Cause, Confidence
from tests.kinds import Drawn, Seen, write
from tests.recording.live import load_line
from tests.reports.folders import write_rows
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


def failing(path: Path, *, per_s: int, lasts_ms: int, state: dict[str, str], **outcome: str | int) -> str | None:
    """Return the cause of an outage from 120 to 180 s, in which the workers are in this state.

    Before and after it, 20 requests/s take 20 ms each. In it, `per_s` requests/s fail after `lasts_ms`.
    """
    start = np.r_[np.arange(0, 120, 0.05), np.arange(120, 180, 1 / per_s), np.arange(180, 300, 0.05)]
    bad = (start >= 120) & (start < 180)
    usual = {"outcome": "ok", "status": 200}
    columns = {name: [outcome[name] if failed else value for failed in bad] for name, value in usual.items()}
    latency_us = np.where(bad, lasts_ms, 20) * 1000
    folder = write_rows(path / "run", start_s=start.tolist(), latency_us=latency_us.tolist(), **columns)
    folder.append_load([load_line(at) | (state if 120 <= at < 180 else {}) for at in range(300)])
    (found,) = analyse(folder, folder.read_run()).outages
    return found.cause


@pytest.mark.parametrize("state", [{"cpu_ratio": "0.98"}, {"machine_cpu_ratio": "0.98"}, {"loop_lag_ms": "60"}])
@pytest.mark.parametrize(("outcome", "status"), [("http_error", 503), ("connection", 0)])
def test_busy_workers_do_not_make_a_service_answer_with_an_error_or_refuse(
    tmp_path: Path, state: dict[str, str], outcome: str, status: int
) -> None:
    """Users whose requests fail immediately send 300 a second instead of 20, so they are busy because of the outage."""
    assert failing(tmp_path, per_s=300, lasts_ms=1, state=state, outcome=outcome, status=status) is None


@pytest.mark.parametrize(("lag_ms", "cause"), [(60, None), (3000, Cause.GENERATOR)])
def test_a_late_event_loop_explains_timeouts_where_it_was_late_by_a_twentieth_of_them(
    tmp_path: Path, lag_ms: int, cause: Cause | None
) -> None:
    state = {"loop_lag_ms": str(lag_ms)}
    assert failing(tmp_path, per_s=2, lasts_ms=5000, state=state, outcome="timeout", status=0) == cause


@pytest.mark.parametrize("names", [{}, {"instance": ["one"] * 600}])
def test_a_run_in_which_every_request_failed_does_not_show_an_overload(
    tmp_path: Path, names: dict[str, list[object]]
) -> None:
    columns = {"outcome": ["http_error"] * 600, "status": [500] * 600, **names}
    start = np.arange(0, 60, 0.1).tolist()
    folder = write_rows(tmp_path / "run", start_s=start, latency_us=[5000] * 600, **columns)
    (found,) = analyse(folder, folder.read_run()).outages
    assert (found.kind, found.cause) == ("status 500", None)


def test_a_burst_beyond_max_instances_names_the_limit(tmp_path: Path) -> None:
    users = np.full(200, 10.0)
    users[100:130] = 120.0
    world = replace(
        CALM, users=users, warm=2, scale_to=2, cores=1, concurrency=2, queue_limit=4, wait_ms=40, open_loop=True
    )
    found = analysed(tmp_path, world)
    said = [(outage.kind, outage.cause, outage.confidence) for outage in found.outages]
    assert said == [("status 429", Cause.REFUSED, Confidence.HIGH)]
    assert "--max-instances" in " ".join(found.outages[0].evidence)
    advice = {suggestion.option: suggestion for suggestion in found.advice}
    assert int(advice["--max-instances"].value) > 2
    assert "--concurrency" not in advice


@pytest.mark.parametrize(("target", "cause"), [(LOCAL, Cause.SATURATION), (CLOUD_RUN, Cause.MACHINE)])
def test_a_service_that_was_overloaded_throughout_made_the_machine_busy_that_it_shares(
    tmp_path: Path, target: Capabilities, cause: Cause
) -> None:
    world = replace(CALM, users=np.full(200, 150.0), warm=1, cores=1, scale_to=1, timeout_s=60.0)
    folder, _ = write(tmp_path / "run", Drawn("overload", world, ()), 1, Seen())
    folder.load.unlink()
    folder.append_load([load_line(at) | {"users": "150", "machine_cpu_ratio": "1.0"} for at in range(200)])
    run = folder.read_run()
    run = run.model_copy(update={"target": run.target.model_copy(update={"capabilities": target})})
    (found,) = analyse(folder, run).spikes
    assert found.cause == cause


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
