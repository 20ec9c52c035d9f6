"""A wait ends at its deadline or at most 50 ms later, and the process is hardly ever woken to check deadlines."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from loadtest.http import transport
from loadtest.http.transport import SWEEP_S, Deadlines


@dataclass
class Loop:
    """An event loop with a clock of its own, which calls the functions that are due."""

    now_ns: int = 0
    woken: int = 0
    _due: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    _number: int = 0

    def call_at(self, at_ns: int, function: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._due, (at_ns, self._number, function))

    def timer(self, after_s: float, ref: bool) -> Timer:
        assert not ref, "a timer that keeps the process alive"
        return Timer(self, self.now_ns + round(after_s * 1e9))

    def run_until(self, end_ns: int) -> None:
        while self._due and self._due[0][0] <= end_ns:
            self.now_ns, _, function = heapq.heappop(self._due)
            function()


@dataclass
class Timer:
    loop: Loop
    at_ns: int
    is_open: bool = True

    def start(self, function: Callable[[], None]) -> None:
        def fire() -> None:
            if self.is_open:
                self.loop.woken += 1
                function()

        self.loop.call_at(self.at_ns, fire)

    def close(self) -> None:
        self.is_open = False


@dataclass(eq=False)
class Waiter:
    """A connection that waits from `start_ns` to its deadline, and notes when its wait was ended."""

    loop: Loop
    deadlines: Deadlines
    start_ns: int
    timeout_ns: int
    waiting: Any = None
    deadline_ns: int = 0
    ended_ns: int | None = None

    def begin(self) -> None:
        self.deadlines.shorten(self.timeout_ns)
        self.deadline_ns, self.waiting = self.loop.now_ns + self.timeout_ns, self
        self.deadlines.connections.add(self)

    def expire(self) -> None:
        self.waiting, self.ended_ns = None, self.loop.now_ns


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    made = Loop()
    monkeypatch.setattr(transport, "get_hub", lambda: SimpleNamespace(loop=made))
    monkeypatch.setattr(transport, "time", SimpleNamespace(perf_counter_ns=lambda: made.now_ns))
    return made


@pytest.mark.parametrize("seed", range(30))
def test_every_wait_ends_at_its_deadline_or_at_most_one_sweep_later(loop: Loop, seed: int) -> None:
    draw = random.Random(seed)
    deadlines = Deadlines()
    longest_s = draw.choice([0.2, 2.0, 60.0])
    waiters = [
        Waiter(loop, deadlines, int(draw.uniform(0, 20) * 1e9), int(draw.uniform(0.001, longest_s) * 1e9))
        for _ in range(50)
    ]
    for waiter in waiters:
        loop.call_at(waiter.start_ns, waiter.begin)
    loop.run_until(int(90e9))
    for waiter in waiters:
        assert waiter.ended_ns is not None
        assert 0 <= waiter.ended_ns - waiter.deadline_ns <= SWEEP_S * 1e9


def test_timeouts_of_seconds_wake_the_process_twice_a_second(loop: Loop) -> None:
    deadlines = Deadlines()
    for waiter in (Waiter(loop, deadlines, at * 10**9, 5 * 10**9) for at in range(60)):
        loop.call_at(waiter.start_ns, waiter.begin)
    loop.run_until(int(60e9))
    assert loop.woken <= 2 * 60 + 60  # one more for each wait that ends


def test_an_error_of_a_woken_greenlet_does_not_stop_the_checks(loop: Loop) -> None:
    deadlines = Deadlines()
    first, second = (Waiter(loop, deadlines, 0, at * 10**9) for at in (1, 2))

    def fail() -> None:
        first.waiting = None
        raise RuntimeError("from a greenlet that nobody waits for")

    first.expire = fail  # type: ignore[method-assign]
    first.begin()
    second.begin()
    with pytest.raises(RuntimeError):
        loop.run_until(int(1.5e9))
    loop.run_until(int(3e9))
    assert second.ended_ns is not None
