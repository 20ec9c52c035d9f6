"""The response time at light load comes from as many requests as possible that did not wait, and its error is known."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reports.analysis.analysis import analyse
from reports.analysis.capacity import _falls_beyond, sustained
from reports.analysis.light_load import LightLoad, surest
from reports.data import rules
from reports.data.histogram import Floats
from reports.model import Capacity
from tests.kinds import Drawn, Seen, write
from tests.world import Slow, World


def simulated(path: Path, users: Floats, cores: int, seed: int = 1, **changes: object) -> Capacity:
    """Return the capacity of one instance that gets requests from users without pauses."""
    world = World(len(users), users, pace_s=0.0, service_ms=40, sigma=0.3, cores=cores, warm=1, stuck=True, drift=0.0)
    world = replace(world, **changes)  # type: ignore[arg-type] # the keys are fields of World
    folder, _ = write(path / f"run-{seed}", Drawn("capacity", world, ()), seed, Seen())
    return analyse(folder, folder.read_run()).capacity


def levels(*of: tuple[int, int, float]) -> tuple[Floats, Floats]:
    """Return the others in flight and the response times of (requests, others in flight, mean time) per level.

    Times are uniform between 0.5 and 1.5 × the mean, so that their standard deviation ÷ mean is 1 / √12 = 0.29.
    """
    met = np.concatenate([np.full(count, float(others)) for count, others, _ in of])
    took_s = np.concatenate([mean_s * (0.5 + (np.arange(count) + 0.5) / count) for count, _, mean_s in of])
    return met, took_s


def surest_of(met: Floats, took_s: Floats, *, plateau: float) -> LightLoad:
    """Return the surest light load of a service without drift."""
    found = surest(met, took_s, np.zeros(len(met)), plateau=plateau, drift_ratio=0.0)
    assert found is not None
    return found


def test_users_without_a_pause_show_the_knee_although_no_request_is_alone(tmp_path: Path) -> None:
    # Two users keep two of four cores busy: every request but the first meets another one, and none has to wait.
    users = np.where(np.arange(200) < 60, 2.0, 24.0)
    found = simulated(tmp_path, users, cores=4)
    assert found.in_flight_at_knee == pytest.approx(4, rel=0.06)
    assert "±" not in found.text


def test_a_service_that_is_full_from_the_first_second_on_gets_a_range(tmp_path: Path) -> None:
    # 40 users begin within a second, and only the first of them find one of the four cores free.
    found = simulated(tmp_path, np.full(200, 40.0), cores=4, seed=3)
    assert found.reached
    assert found.in_flight_at_knee is None
    between = re.search(r"is between ([\d.]+) and ([\d.]+):", found.text)
    assert between is not None
    low, high = (float(number) for number in between.groups())
    assert low < 4 < high < 2 * low


def test_one_request_at_light_load_gives_no_range(tmp_path: Path) -> None:
    found = simulated(tmp_path, np.full(200, 24.0), cores=2)
    assert found.reached
    assert found.in_flight_at_knee is None
    assert "not known: 1 request ran at light load" in found.text


def test_capacity_counts_the_slow_windows_of_a_full_service_too() -> None:
    # The speed of the service drifts by ± 15 %. The fastest windows alone would give 54/s. The knee is at 5 in flight.
    throughput = np.r_[20.0, 40.0, np.linspace(42.5, 57.5, 31), 10.0]
    in_flight = np.r_[2.0, 4.0, np.full(31, 20.0), 20.0]  # the last window was disturbed
    assert sustained(in_flight, throughput, 54.0, light_s=0.1) == pytest.approx(50)


def test_the_capacity_of_a_run_is_that_of_all_full_windows(tmp_path: Path) -> None:
    users = np.where(np.arange(400) < 60, 1.0, 24.0)
    found = simulated(tmp_path, users, cores=2, drift=0.07)
    full = [point.throughput_per_s for point in found.points if point.in_flight > 3]
    assert found.throughput_max_per_s == pytest.approx(float(np.median(full)))
    assert min(full) < 0.9 * max(full)  # the slowest windows are not part of the plateau


def test_a_service_that_gets_slower_with_more_load_has_the_capacity_of_its_best_load(tmp_path: Path) -> None:
    # 2 cores ÷ 43.3 ms = 46.1/s with 10 users; with 60 users every request takes 1.25 × as long.
    users = np.repeat([2.0, 10.0, 60.0], [60, 120, 160])
    found = simulated(tmp_path, users, cores=2, slows=(Slow(180, 160, factor=1.25),))
    assert "falls again" in found.text
    assert found.throughput_max_per_s == pytest.approx(46.1, rel=0.04)


@pytest.mark.parametrize(
    ("windows", "fall", "falls"),
    [(6, 0.11, False), (6, 0.25, True), (4, 0.25, False)],  # 11 %: a drift of the service's speed can be as large
)
def test_throughput_falls_if_it_is_much_less_in_many_windows(windows: int, fall: float, *, falls: bool) -> None:
    throughput = np.repeat([60.0, 60.0 * (1 - fall)], windows) + np.tile([-1.0, 1.0], windows)
    assert (_falls_beyond(np.arange(1, 2 * windows + 1) * 10.0, throughput, 3.0) is not None) == falls


def test_too_few_full_windows_leave_the_plateau_as_it_is() -> None:
    throughput, in_flight = np.array([20.0, 40.0, 49.0, 50.0, 48.0]), np.array([2.0, 4.0, 5.0, 9.0, 20.0])
    assert sustained(in_flight, throughput, 49.0, light_s=0.1) == 49.0


def test_requests_below_three_quarters_of_the_knee_are_used_if_few_were_alone() -> None:
    # The knee is 41/s × 0.1 s = 4.1. Two others and the request itself are 0.73 of the knee.
    met, took_s = levels((4, 0, 0.1), (400, 2, 0.1), (400, 3, 0.11), (4000, 15, 0.4))
    found = surest_of(met, took_s, plateau=41.0)
    assert found.requests == 404
    assert found.mean_s == pytest.approx(0.1)
    waited = rules.LIGHT_WAITED * (3 / 4.1) ** 3
    assert found.error_ratio == pytest.approx(np.hypot(1 / np.sqrt(12 * 404), waited), rel=0.02)
    assert found.known


def test_enough_requests_that_were_alone_are_used_alone() -> None:
    met, took_s = levels((4000, 0, 0.1), (400, 2, 0.1))
    found = surest_of(met, took_s, plateau=40.0)
    assert found.requests == 4000


def test_a_full_service_that_was_slow_for_a_while_is_no_light_load() -> None:
    # While the service was 1.5 × as slow as later, ten users were always in flight. That is only 0.67 of the knee that
    # their times suggest (15/s × 1.0 s). But the first requests took a tenth of the time.
    met, took_s = levels((5, 0, 0.1), (1000, 9, 1.0))
    found = surest_of(met, took_s, plateau=15.0)
    assert found.requests == 5
    assert found.mean_s == pytest.approx(0.1)
    assert not found.known


def test_a_few_requests_to_a_fast_endpoint_do_not_hide_the_others() -> None:
    # The first three requests went to the faster of two endpoints. The other requests show how much times differ.
    met = np.r_[np.zeros(3), np.ones(1000)]
    took_s = np.r_[np.full(3, 0.01), np.tile([0.01, 0.19], 500)]
    found = surest_of(met, took_s, plateau=40.0)
    assert found.requests == 1003


def test_many_requests_that_met_others_bound_the_mean_of_a_few_that_met_none() -> None:
    # Two users keep two cores busy: no request waits, although two in flight are the whole knee (20/s × 0.1 s).
    met, took_s = levels((9, 0, 0.115), (4000, 1, 0.1))
    found = surest_of(met, took_s, plateau=20.0)
    assert found.mean_s == pytest.approx(0.1, rel=0.001)
    assert found.requests == 9


def test_drift_counts_less_the_more_minutes_had_light_load() -> None:
    met, took_s = levels((10_000, 0, 0.1))
    once = surest(met, took_s, np.zeros(10_000), plateau=40.0, drift_ratio=0.06)
    often = surest(met, took_s, np.repeat(np.arange(9.0), 1112)[:10_000], plateau=40.0, drift_ratio=0.06)
    assert once is not None
    assert often is not None
    assert once.error_ratio == pytest.approx(0.06, rel=0.01)
    assert often.error_ratio == pytest.approx(0.02, rel=0.02)


def test_no_requests_show_nothing() -> None:
    nothing = np.empty(0)
    assert surest(nothing, nothing, nothing, plateau=40.0, drift_ratio=0.0) is None
