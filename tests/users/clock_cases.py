"""The clock wakes greenlets when they are due and in order, even without a timerfd, after kills and under overload."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

import gevent
import locust  # noqa: F401 - first, because it patches sockets and threads
import pytest
from gevent.event import Event
from locust import TaskSet

from loadtest.users.clock import AT_ONCE, COUNTED, HOLD_S, Clock, TimerFd, clock, keep_waits_exact


@pytest.fixture(params=["timerfd", "without"])
def ticking(request: pytest.FixtureRequest) -> Iterator[Clock]:
    made = Clock(timerfd=request.param == "timerfd")
    yield made
    made.close()


def test_this_machine_has_the_exact_one() -> None:
    TimerFd().close()
    assert Clock().exact


def test_no_greenlet_wakes_before_it_is_due_and_all_wake_in_order(ticking: Clock) -> None:
    """1,000 greenlets have due times in any order within 50 ms, and several have the same due time."""
    begin_s = time.perf_counter() + 0.2
    woken: list[tuple[float, float]] = []
    entered_s: list[float] = []

    def waiter(number: int) -> None:
        due_s = begin_s + (number * 377 % 500) * 1e-4
        entered_s.append(time.perf_counter())
        ticking.wait_until(due_s)
        woken.append((due_s, time.perf_counter()))

    gevent.joinall([gevent.spawn(waiter, number) for number in range(1000)], timeout=20, raise_error=True)
    assert len(woken) == 1000
    woken = [(due_s, at_s) for due_s, at_s in woken if due_s > max(entered_s) + 0.001]  # those that were in time
    assert all(at_s >= due_s - 1e-6 for due_s, at_s in woken)
    assert [due_s for due_s, _ in woken] == sorted(due_s for due_s, _ in woken)


def test_a_killed_greenlet_is_forgotten_and_the_others_wake(ticking: Clock) -> None:
    """The others also wake if the timer was set for the killed greenlet, or if a greenlet is killed while others are
    being woken.
    """
    begin_s, woken = time.perf_counter(), []
    victims = [gevent.spawn(ticking.wait_until, begin_s + 0.01 * number) for number in (1, 2, 3)]

    def waiter() -> None:
        ticking.wait_until(begin_s + 0.015)
        victims[1].kill(block=False)
        woken.append(1)
        ticking.wait_until(begin_s + 0.04)
        woken.append(2)

    other = gevent.spawn(waiter)
    gevent.sleep(0)
    victims[0].kill()
    other.join(timeout=20)
    assert woken == [1, 2]
    assert victims[2].ready()
    assert victims[2].successful()


def test_an_overdue_greenlet_lets_the_others_run(ticking: Clock) -> None:
    """A greenlet that is always late cannot keep the loop to itself."""
    turns, done = 0, Event()

    def busy() -> None:
        while not done.is_set():
            ticking.wait_until(time.perf_counter() - 1)

    def nearly() -> None:
        while not done.is_set():
            ticking.sleep(30e-6)

    greenlets = [gevent.spawn(busy), *[gevent.spawn(nearly) for _ in range(20)]]
    for _ in range(100):
        gevent.sleep(0.0005)
        turns += 1
    done.set()
    gevent.joinall(greenlets, timeout=20, raise_error=True)
    assert turns == 100


def test_an_earlier_moment_that_comes_later_is_kept(ticking: Clock) -> None:
    begin_s = time.perf_counter()
    order: list[str] = []

    def waiter(name: str, wait_s: float) -> None:
        ticking.wait_until(begin_s + wait_s)
        order.append(name)

    late = gevent.spawn(waiter, "late", 0.06)
    gevent.sleep(0.002)
    early = gevent.spawn(waiter, "early", 0.02)
    gevent.joinall([late, early], timeout=20, raise_error=True)
    assert order == ["early", "late"]


def test_tasks_of_locust_wait_on_it() -> None:
    """There is one clock per event loop, and TaskSet's own sleep uses that clock."""
    keep_waits_exact()
    assert clock() is clock()
    begin_s = time.perf_counter()
    gevent.spawn(TaskSet._sleep, None, 0.01).get(timeout=20)
    assert time.perf_counter() - begin_s >= 0.01 - 25e-6
    assert clock()._waiting == []


class FakeTimer:
    """A timer that fires when the test says so, and records the time for which it was set."""

    def __init__(self) -> None:
        self.fileno, self._fired = os.pipe()
        os.set_blocking(self.fileno, False)
        self.set_for_s: list[float] = []

    def fire(self) -> None:
        os.write(self._fired, b"!")

    def set(self, at_s: float) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.fileno, 100)
        self.set_for_s.append(at_s)

    def close(self) -> None:
        os.close(self.fileno)
        os.close(self._fired)


class Stage:
    """A clock over a fake timer and a fake time. `wakes` contains the number of greenlets that were woken each time."""

    def __init__(self) -> None:
        self.now_s, self.wakes, self.woken_at_s = 0.0, [], []
        self.timer = FakeTimer()
        self.clock = Clock(make_timer=lambda: self.timer, now=lambda: self.now_s)

    def wait(self, due_s: float) -> gevent.Greenlet:
        def waiter() -> None:
            self.clock.wait_until(due_s)
            self.woken_at_s.append((due_s, self.now_s))

        greenlet = gevent.spawn(waiter)
        gevent.sleep(0)
        return greenlet

    def fire(self) -> None:
        """Advance to the time for which the timer is set, and let the loop wake the greenlets that are due."""
        self.now_s = max(self.now_s, self.timer.set_for_s[-1])
        before, sets = len(self.woken_at_s), len(self.timer.set_for_s)
        self.timer.fire()
        with gevent.Timeout(20):
            while len(self.timer.set_for_s) == sets:
                gevent.sleep(0)
        self.wakes.append(len(self.woken_at_s) - before)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.clock.close()


def test_one_wake_serves_all_who_are_due_and_sets_the_timer_once(stage: Stage) -> None:
    """50 greenlets are due at 1 s and one at 2 s.

    The timer is set when the first greenlet begins to wait, and once per wake-up.
    """
    for _ in range(50):
        stage.wait(1.0)
    stage.wait(2.0)
    assert stage.timer.set_for_s == [1.0]
    stage.fire()
    assert stage.wakes == [50]
    assert stage.timer.set_for_s == [1.0, 2.0]


def test_the_sockets_have_their_turn_within_a_backlog(stage: Stage) -> None:
    """150 greenlets are overdue.

    They are woken in groups of 64, 64 and 22. Each time, the timer is set for a time in the past, so that it fires at
    once.
    """
    for _ in range(150):
        stage.wait(1.0)
    for _ in range(3):
        stage.fire()
    assert stage.wakes == [AT_ONCE, AT_ONCE, 150 - 2 * AT_ONCE]
    assert stage.timer.set_for_s[:3] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("gap_s", "latest_s"), [(1 / 500, 0.0), (1 / 1000, 0.0), (1 / 10_000, HOLD_S)], ids=["500/s", "1000/s", "10000/s"]
)
def test_wakes_are_kept_apart_only_if_greenlets_crowd(stage: Stage, gap_s: float, latest_s: float) -> None:
    """At 10,000/s, each wake-up wakes 3 greenlets once the rate is known, and no greenlet is later than HOLD_S.

    At low rates, all greenlets are on time.
    """
    count = 6 * COUNTED
    for number in range(count):
        stage.wait(1.0 + number * gap_s)
    while len(stage.woken_at_s) < count:
        stage.fire()
    lateness_s = [at_s - due_s for due_s, at_s in stage.woken_at_s]
    assert min(lateness_s) >= 0
    assert max(lateness_s) <= latest_s + 1e-9
    if latest_s:
        assert len(stage.wakes) <= 2 * COUNTED + 4 * COUNTED / 3 * 1.2  # the first two windows are served one by one
    else:
        assert set(stage.wakes) == {1}


def test_a_greenlet_that_begins_to_wait_does_not_end_the_hold(stage: Stage) -> None:
    """If a greenlet begins to wait while wake-ups are kept apart, the next wake-up also wakes this greenlet."""
    for number in range(3 * COUNTED):
        stage.wait(1.0 + number * 1e-4)
    while not stage.clock._crowding.hold_s or stage.wakes[-1] < 2:
        stage.fire()
    set_for_s = stage.timer.set_for_s[-1]
    stage.wait(set_for_s - HOLD_S / 2)
    assert stage.timer.set_for_s[-1] == set_for_s
