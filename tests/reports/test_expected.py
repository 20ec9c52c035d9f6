"""The truth about a simulated run separates real rises from a few long requests that met by chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.expected import Expected
from tests.kinds import Drawn, Happening
from tests.world import Slow, World, run_repeatedly, run_world

WORLD = World(600, np.full(600, 33.0), service_ms=16, warm=1, stuck=True, start_s=8, scale_to=1)
"""Of one core, 57 % are used."""


def expected(world: World, seed: int = 7) -> Expected:
    drawn = Drawn("one event", world, (Happening(290, 320, frozenset()),))
    return Expected(drawn, seed, repetitions=5)


def test_a_repetition_has_the_same_arrivals_and_other_service_times() -> None:
    run = run_world(WORLD, 7)
    (again,) = run_repeatedly(WORLD, 7, 1)
    assert np.array_equal(np.sort(again.start_s), np.sort(run.start_s))
    assert not np.array_equal(np.sort(again.latency_s), np.sort(run.latency_s))
    assert np.median(again.latency_s) == pytest.approx(np.median(run.latency_s), rel=0.1)


def test_users_who_all_waited_for_one_instance_send_in_step_until_the_end() -> None:
    # After the crash, each user sends its next request one second after the answer that it waited for. These answers
    # came one directly after the other, so the requests of each second come within half a second. p95 is 2.7 times as
    # high as before.
    truth = expected(replace(WORLD, service_ms=17, crashes=((294.0, 0),), cpu_target=0.95, stuck=False), seed=5)
    assert not truth.material(100, 160)
    assert truth.material(351, 418)
    assert truth.material(520, 580)


def test_a_burst_behind_a_long_request_is_chance() -> None:
    run = run_world(WORLD, 7)
    worst_s = int(run.start_s[np.argmax(run.latency_s)])
    inside = (run.start_s >= worst_s - 1) & (run.start_s < worst_s + 2)
    assert np.percentile(run.latency_s[inside], 95) >= 1.6 * np.percentile(run.latency_s, 95)
    assert not expected(WORLD).material(worst_s - 1, worst_s + 2)


def test_a_service_that_is_slower_for_a_while_is_no_chance() -> None:
    world = replace(WORLD, slows=(Slow(400, 60, factor=1.5),))
    assert expected(world).material(410, 450)
