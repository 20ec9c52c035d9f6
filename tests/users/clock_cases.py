"""The clock that wakes greenlets when they are due: with a timerfd and without, in order, killed, many, overloaded."""

from __future__ import annotations

import time
from collections.abc import Iterator

import gevent
import locust  # noqa: F401 - first: it patches sockets and threads
import pytest
from gevent.event import Event
from locust import TaskSet

from loadtest.users.clock import Clock, TimerFd, clock, keep_waits_exact


@pytest.fixture(params=["timerfd", "without"])
def ticking(request: pytest.FixtureRequest) -> Iterator[Clock]:
    made = Clock(timerfd=request.param == "timerfd")
    yield made
    made.close()


def test_this_machine_has_the_exact_one() -> None:
    TimerFd().close()
    assert Clock().exact


def test_nobody_wakes_before_its_moment_and_all_do_in_their_order(ticking: Clock) -> None:
    """1,000 greenlets with moments in any order within 50 ms, several of them the same."""
    begin_s = time.perf_counter() + 0.2
    woken: list[tuple[float, float]] = []
    entered_s: list[float] = []

    def one(number: int) -> None:
        due_s = begin_s + (number * 377 % 500) * 1e-4
        entered_s.append(time.perf_counter())
        ticking.wait_until(due_s)
        woken.append((due_s, time.perf_counter()))

    gevent.joinall([gevent.spawn(one, number) for number in range(1000)], timeout=20, raise_error=True)
    assert len(woken) == 1000
    woken = [(due_s, at_s) for due_s, at_s in woken if due_s > max(entered_s) + 0.001]  # who was not late to wait
    assert all(at_s >= due_s - 1e-6 for due_s, at_s in woken)
    assert [due_s for due_s, _ in woken] == sorted(due_s for due_s, _ in woken)


def test_a_killed_greenlet_is_forgotten_and_the_others_wake(ticking: Clock) -> None:
    """Also when the timer was set for the one that was killed, and when it is killed while others are being woken."""
    begin_s, woken = time.perf_counter(), []
    victims = [gevent.spawn(ticking.wait_until, begin_s + 0.01 * number) for number in (1, 2, 3)]

    def one() -> None:
        ticking.wait_until(begin_s + 0.015)
        victims[1].kill(block=False)
        woken.append(1)
        ticking.wait_until(begin_s + 0.04)
        woken.append(2)

    other = gevent.spawn(one)
    gevent.sleep(0)
    victims[0].kill()
    other.join(timeout=20)
    assert woken == [1, 2]
    assert victims[2].ready()
    assert victims[2].successful()


def test_what_is_overdue_lets_the_others_run(ticking: Clock) -> None:
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

    def one(name: str, wait_s: float) -> None:
        ticking.wait_until(begin_s + wait_s)
        order.append(name)

    late = gevent.spawn(one, "late", 0.06)
    gevent.sleep(0.002)
    early = gevent.spawn(one, "early", 0.02)
    gevent.joinall([late, early], timeout=20, raise_error=True)
    assert order == ["early", "late"]


def test_tasks_of_locust_wait_on_it() -> None:
    """One clock per event loop; TaskSet's own sleep is that clock's."""
    keep_waits_exact()
    assert clock() is clock()
    begin_s = time.perf_counter()
    gevent.spawn(TaskSet._sleep, None, 0.01).get(timeout=20)
    assert time.perf_counter() - begin_s >= 0.01 - 25e-6
    assert clock()._waiting == []
