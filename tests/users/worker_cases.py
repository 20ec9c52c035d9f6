"""When a worker's users are stopped, they finish their tasks and begin no new ones."""

from __future__ import annotations

import time
from collections import Counter

import gevent
import pytest
from locust import User, constant, task
from locust.env import Environment

from loadtest.recorder.health import HealthProbe
from loadtest.recorder.worker import stop_users
from loadtest.users.clock import clock
from loadtest.users.open_loop import OpenLoopUser


def test_no_user_is_killed_in_the_middle_of_a_request() -> None:
    """300 users each send a request of 5 ms every 20 ms. After the stop, as many requests have ended as were begun."""
    requests: Counter[str] = Counter()

    class Busy(User):
        wait_time = constant(0.02)

        @task
        def request(self) -> None:
            requests["begun"] += 1
            gevent.sleep(0.005)
            requests["ended"] += 1

    environment = Environment(user_classes=[Busy], stop_timeout=10)
    runner = environment.create_local_runner()
    runner.start(300, spawn_rate=300, wait=True)
    while requests["ended"] < 1000:
        gevent.sleep(0.01)
    stop_users(runner)
    runner.stop()
    assert runner.user_count == 0
    assert requests["begun"] == requests["ended"]
    runner.quit()


def test_arrivals_under_way_end_before_the_worker_says_its_count() -> None:
    """Open-loop users get answers after 0.3 s.

    Arrivals that began before the stop are finished, no matter how long that takes.
    """
    requests: Counter[str] = Counter()

    class Arriving(OpenLoopUser):
        @task
        def request(self) -> None:
            requests["begun"] += 1
            gevent.sleep(0.3)
            requests["ended"] += 1

    environment = Environment(user_classes=[Arriving], stop_timeout=10)
    runner = environment.create_local_runner()
    runner.start(100, spawn_rate=100, wait=True)
    while requests["begun"] - requests["ended"] < 20:
        gevent.sleep(0.01)
    stop_users(runner)
    runner.stop()
    assert runner.user_count == 0
    assert requests["begun"] == requests["ended"] >= 20
    runner.quit()


@pytest.mark.parametrize("busy_s", [0.06, 0.2])
def test_a_task_that_does_not_let_go_shows_as_loop_lag_and_as_cpu(busy_s: float) -> None:
    probe = HealthProbe()
    probe.startup()
    gevent.sleep(0.1)
    until_s = time.process_time() + busy_s  # CPU time, so the loop takes longer on a busy machine
    while time.process_time() < until_s:
        pass
    gevent.sleep(0.05)
    sample = probe.take()
    assert sample.loop_lag_ms >= busy_s * 1000 - 21  # the loop may begin right after a tick
    assert sample.cpu_ratio > 0
    assert sample.lag_cpu_ratio * sample.loop_lag_ms >= 0.6 * busy_s * 1000
    gevent.sleep(0.05)
    assert probe.take().loop_lag_ms < sample.loop_lag_ms


class CountingTimer:
    """A timer that counts how often it was set again."""

    def __init__(self) -> None:
        self.set_again = 0

    def start(self, _: object) -> None:
        """Do nothing."""

    def again(self, _: object) -> None:
        self.set_again += 1


def test_the_wakes_of_the_clock_measure_the_lag_and_put_off_the_timer() -> None:
    """A worker that sends often is not woken only to be measured. The clock's own wakes show how late the loop was."""
    probe = HealthProbe()
    probe._timer = timer = CountingTimer()
    probe.startup()
    wakes = 5
    for _ in range(wakes):
        clock().sleep(0.001)
    assert timer.set_again == wakes
    probe.take()

    def compute() -> None:
        until_s = time.process_time() + 0.1
        while time.process_time() < until_s:
            pass

    gevent.spawn(compute)
    clock().sleep(0.005)  # when the sleep is over, `compute` still holds the loop
    sample = probe.take()
    assert sample.loop_lag_ms >= 90
    assert sample.lag_cpu_ratio * sample.loop_lag_ms >= 80
    clock().on_wake = None


def test_computing_is_seen_as_such_if_the_timer_and_the_clock_are_both_late() -> None:
    """The timer comes first and reads the CPU time after the block. The clock's wake is later still."""
    probe = HealthProbe()
    probe.startup()
    gevent.sleep(0.1)
    probe.take()
    waiter = gevent.spawn(clock().sleep, 0.005)
    gevent.sleep(0.001)
    until_s = time.process_time() + 0.2
    while time.process_time() < until_s:
        pass
    waiter.join()
    sample = probe.take()
    assert sample.loop_lag_ms >= 170
    assert sample.lag_cpu_ratio * sample.loop_lag_ms >= 120
    clock().on_wake = None


def test_users_behind_a_backlog_are_no_lag_of_the_event_loop() -> None:
    """The loop serves sockets between any 64 users, so it is never late by the time that all of them take."""
    probe = HealthProbe()
    probe.startup()

    def compute() -> None:
        clock().sleep(0.05)
        until_s = time.process_time() + 0.0005
        while time.process_time() < until_s:
            pass

    began_s = time.perf_counter()
    gevent.joinall([gevent.spawn(compute) for _ in range(1000)])
    took_s = time.perf_counter() - began_s
    assert probe.take().loop_lag_ms < took_s * 1000 / 2
    clock().on_wake = None
