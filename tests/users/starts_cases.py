"""Users that Locust starts at the same moment start evenly over the second in which they were due."""

from __future__ import annotations

from itertools import pairwise

import gevent
import pytest
from locust import task
from locust.env import Environment

from loadtest.users.fast_user import FastUser
from loadtest.users.starts import AT_ONCE, SPREAD_S, Starts


def test_a_large_batch_is_spread_evenly_over_a_second() -> None:
    """For example, 500 users start 2 ms apart: the first without a pause, and the last before the next batch."""
    starts = Starts()
    places = [starts.join() for _ in range(500)]
    pauses_s = [batch.pause_s(number) for batch, number in places]
    assert pauses_s[0] == 0
    assert [after - before for before, after in pairwise(pauses_s)] == pytest.approx([SPREAD_S / 500] * 499)


def test_a_small_batch_starts_at_once_also_behind_another() -> None:
    """A batch ends when the first of its users runs."""
    starts = Starts()
    for _ in range(3):
        places = [starts.join() for _ in range(AT_ONCE)]
        assert {batch.pause_s(number) for batch, number in places} == {0.0}
        starts.close()


class Counted(FastUser):
    host = "http://127.0.0.1:9"
    ran = 0

    def on_start(self) -> None:
        type(self).ran += 1

    @task
    def idle(self) -> None:
        gevent.sleep(60)


def test_users_of_a_batch_are_stopped_before_their_turn_as_at_any_time() -> None:
    """No user remains. This includes users that have begun and users that wait for their turn."""
    environment = Environment(user_classes=[Counted])
    runner = environment.create_local_runner()
    runner.spawn_users({"Counted": 10 * AT_ONCE})
    gevent.sleep(0)
    assert 0 < Counted.ran < 10 * AT_ONCE
    runner.stop()
    assert runner.user_count == 0
    runner.quit()
