"""Capacity has a number only if the run went past the knee. Each setting is shown with its arithmetic and price."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadtest.recording.run import Limits, TargetRecord
from reports.analysis.analysis import Analysis, analyse
from reports.model import Capacity
from reports.spikes.cause import Cause, Confidence
from tests.kinds import Drawn, Seen, write
from tests.queueing import Queue, simulate_queue
from tests.recording.live import load_line
from tests.reports.folders import write_rows
from tests.simulator import Event, Kind, Story, simulate
from tests.world import World


def queued(path: Path, queue: Queue) -> Analysis:
    folder = simulate_queue(path / "run", queue, seed=1)
    return analyse(folder, folder.read_run())


@pytest.mark.parametrize("seconds", [150, 400])
def test_a_service_that_saturates_has_its_plateau_and_knee(tmp_path: Path, seconds: int) -> None:
    # One process that needs 5.5 ms (× exp(0.3²/2) for the mean of a lognormal) per request serves at most 174/s.
    found = queued(tmp_path, Queue(300, 5, seconds, [-60.0], service_ms=5.5, kind="local")).capacity
    assert found.reached
    assert found.throughput_max_per_s == pytest.approx(174, rel=0.02)
    assert found.in_flight_at_knee is not None
    assert found.in_flight_at_knee == pytest.approx(1, rel=0.05)  # it serves one request at a time
    assert "174" in found.text


def test_a_service_with_room_left_has_no_number(tmp_path: Path) -> None:
    found = queued(tmp_path, Queue(100, 5, 150, [-60.0], service_ms=3, kind="local")).capacity
    assert not found.reached
    assert (found.throughput_max_per_s, found.in_flight_at_knee) == (None, None)
    assert "not reached" in found.text


FULL = World(200, np.full(200, 24.0), pace_s=0.0, service_ms=40, sigma=0.3, cores=2, warm=1, stuck=True, drift=0.02)
ALONE_S = 0.040 * float(np.exp(0.3**2 / 2)) * 1.036  # the lognormal's mean; 0.4 % take 10 × as long


def simulated(path: Path, world: World, seen: Seen | None = None) -> Capacity:
    folder, _ = write(path / "run", Drawn("capacity", world, ()), 1, seen or Seen())
    return analyse(folder, folder.read_run()).capacity


def test_users_without_a_pause_fill_a_service_from_the_first_second_on(tmp_path: Path) -> None:
    found = simulated(tmp_path, FULL)
    assert found.reached
    assert found.throughput_max_per_s == pytest.approx(2 / ALONE_S, rel=0.05)
    # Of 24 users that start within a second, only the first few find a free core. The knee is computed from their
    # mean latency, so it is uncertain.
    assert "±" in found.text or found.in_flight_at_knee is None


def test_two_users_of_two_cores_do_not(tmp_path: Path) -> None:
    found = simulated(tmp_path, replace(FULL, users=np.full(200, 2.0), cores=4))
    assert not found.reached


def test_the_lightest_step_of_a_load_may_be_heavy(tmp_path: Path) -> None:
    # The load is 60 % and 140 % of the capacity. At 60 %, the average request waits, and every third request finds a
    # free core.
    users = np.where(np.arange(300) < 150, 0.6, 1.4) * 2 / ALONE_S
    found = simulated(tmp_path, replace(FULL, seconds=300, users=users, pace_s=1.0))
    assert found.reached
    assert found.in_flight_at_knee == pytest.approx(2, rel=0.1)


def test_an_open_load_that_times_out_has_reached_it(tmp_path: Path) -> None:
    users = np.where(np.arange(300) < 100, 0.2, 1.3) * 2 / ALONE_S
    found = simulated(tmp_path, replace(FULL, seconds=300, users=users, open_loop=True, timeout_s=30.0))
    assert found.reached
    assert found.throughput_max_per_s == pytest.approx(2 / ALONE_S, rel=0.05)


def test_a_slow_dependency_is_no_knee(tmp_path: Path) -> None:
    story = Story(events=[Event(Kind.DEPENDENCY, 200, 120, factor=4)], base_ms=50, drift=0.02)
    folder = simulate(tmp_path / "run", story, 1)
    assert not analyse(folder, folder.read_run()).capacity.reached


@pytest.mark.parametrize("known_s", [0, 250])
def test_users_that_are_not_known_in_a_saturation_are_left_out_of_its_sentence(tmp_path: Path, known_s: int) -> None:
    """A part of `load.csv` is missing, and the record has no plan."""
    folder = simulate(tmp_path / "run", Story(events=[Event(Kind.SCALE_OUT, 300, 60)]), 1)
    header, *lines = folder.load.read_text().splitlines(keepends=True)
    folder.load.write_text("".join([header, *lines[:known_s]]))
    run = folder.read_run()
    found = analyse(folder, run.model_copy(update={"scenario": run.scenario.model_copy(update={"plan": []})}))
    assert [spike.cause for spike in found.spikes] == [Cause.SCALE_OUT]
    assert found.capacity.text.startswith("The service was saturated from 5:00 to 6:00. ")
    assert "kept up" not in found.capacity.text


@pytest.mark.parametrize("users", ["", "0"])
def test_refusals_give_no_advice_without_known_users(tmp_path: Path, users: str) -> None:
    """Half of the requests are refused from 200 to 240 s. Later lines of `load.csv` are missing, or give no user."""
    start = np.arange(0, 400, 0.05)
    at = np.arange(len(start))
    refused = (start >= 200) & (start < 240) & (at % 2 == 0)
    folder = write_rows(
        tmp_path / "run",
        start_s=start.tolist(),
        latency_us=np.where((start >= 200) & (start < 240), 300_000, 20_000).tolist(),
        outcome=["http_error" if no else "ok" for no in refused],
        status=[429 if no else 200 for no in refused],
        instance=["one" if even else "two" for even in at % 2],
        record={"target": TargetRecord(kind="cloud", url="https://x.invalid", limits=Limits(max_instances=2))},
    )
    known = range(150) if not users else range(400)
    folder.append_load([load_line(second) | {"users": users or "20", "planned_users": ""} for second in known])
    found = analyse(folder, folder.read_run())
    assert [(spike.cause, spike.confidence) for spike in found.spikes] == [(Cause.REFUSED, Confidence.HIGH)]
    assert not [each for each in found.advice if each.option == "--max-instances"]


def test_under_autoscaling_capacity_is_per_instance(tmp_path: Path) -> None:
    found = queued(tmp_path, Queue(300, 5, 150, [-60.0] * 7, service_ms=40)).capacity
    assert found.per_instance
    assert found.reached
    # 1 / (40 ms × exp(0.3²/2)) = 23.9/s for each of the seven instances
    assert found.throughput_max_per_s == pytest.approx(23.9, rel=0.03)


def test_a_cold_start_suggests_a_warm_instance_and_names_its_price(tmp_path: Path) -> None:
    advice = {
        suggestion.option: suggestion
        for suggestion in queued(tmp_path, Queue(60, 5, 120, [4.0, 4.0], service_ms=10)).advice
    }
    warm = advice["--min-instances"]
    # 1 vCPU and 0.5 GiB: 730 × 3600 s × ($0.0000025 + 0.5 × $0.0000025) = $9.86
    assert (warm.value, warm.cost) == ("1", "+ $9.86 a month")
    assert "730 h × 3600 s" in warm.arithmetic


def test_the_ceiling_follows_from_what_one_instance_served(tmp_path: Path) -> None:
    advice = {
        suggestion.option: suggestion
        for suggestion in queued(tmp_path, Queue(100, 5, 120, [-60.0] * 5, service_ms=10)).advice
    }
    # 100/s on 5 instances is 20/s each; 100/s × 1.5 ÷ 20/s = 7.5
    assert advice["--max-instances"].value == "8"
    assert "--min-instances" not in advice


def test_a_cloud_run_is_priced_and_a_local_one_is_not(tmp_path: Path) -> None:
    cost = queued(tmp_path / "a", Queue(50, 50, 100, [-60.0] * 2, service_ms=10)).cost
    assert cost is not None
    # two instances for 100 s at 1 vCPU and 0.5 GiB, and 50 requests per second
    assert cost.instance_s == pytest.approx(200, rel=0.02)
    assert cost.run_usd == pytest.approx(200 * (0.000024 + 0.5 * 0.0000025) + 5000 / 1e6 * 0.40, rel=0.03)
    assert any("emulator costs nothing" in sentence for sentence in cost.assumptions)
    assert queued(tmp_path / "b", Queue(50, 50, 60, [-60.0], service_ms=5, kind="local")).cost is None
