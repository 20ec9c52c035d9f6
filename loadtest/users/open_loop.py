"""Start requests on a schedule that does not depend on the server (open-loop users), and record how late each was."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar

import gevent
from gevent.pool import Group
from locust import User
from locust.env import Environment
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopUser
from locust.user.task import LOCUST_STATE_STOPPING

from ..recording.buffer import buffer_of
from .clock import clock, keep_waits_exact
from .lateness import DUE, take_lateness_us
from .pacing import number_user, phase_of, twin_phases, worker_of
from .sides import even_times, poisson_times, twin_arrivals, twin_of

log = logging.getLogger(__name__)

__all__ = ["DUE", "OpenLoopUser", "take_lateness_us"]


class OpenLoopUser(User):
    """A user that begins its task `arrivals_per_s` times a second, each time in a separate greenlet.

    By default, 300 users make 300 arrivals/s, so a shape that plans users also plans arrivals. A closed-loop user waits
    for the answer before it continues, and slows down with the server. With this class, arrivals continue to start, and
    the lateness of each arrival is recorded. Mix this class into a user with a client: `class Borrower(OpenLoopUser,
    FastUser)`.

    Attributes:
        arrivals_per_s: the rate of one user.
        poisson: whether gaps are exponential (many such users together are a Poisson process) instead of equal. With
            equal gaps, the arrivals of all users together are evenly spread over time.
        max_in_flight: how many arrivals of a user may wait for an answer at the same time; further arrivals are dropped
            and counted.
        seed: the seed of the gaps; every user derives its own random numbers from it.
    """

    abstract = True
    open_loop: ClassVar[bool] = True
    arrivals_per_s: ClassVar[float] = 1.0
    poisson: ClassVar[bool] = False
    max_in_flight: ClassVar[int] = 60
    seed: ClassVar[int] = 1

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        keep_waits_exact()
        number, worker = number_user(environment), worker_of(environment)
        self._phase = phase_of(number, worker)
        self._random = random.Random(f"{self.seed}/{worker}/{number}")
        self._due_s: float | None = None
        self._twin = twin_of(self)
        self._blocks: Iterator[tuple[int, float]] | None = None
        self._arrivals = Group()
        self.tasks = [partial(self._arrive, _callable(task)) for task in type(self).tasks]

    def wait_time(self) -> float:
        """Return how long to wait until the next arrival is due; 0 if its due time has passed."""
        if self._twin is not None:
            assert self._blocks is not None  # set by the first arrival
            self._twin.block, self._due_s = next(self._blocks)
            return max(0.0, self._due_s - time.perf_counter())
        gap_s = self._random.expovariate(self.arrivals_per_s) if self.poisson else 1.0 / self.arrivals_per_s
        assert self._due_s is not None  # set by the first arrival
        self._due_s += gap_s
        return max(0.0, self._due_s - time.perf_counter())

    def on_stop(self) -> None:
        """Wait until arrivals in progress have ended, at most for Locust's stop timeout."""
        self._arrivals.join(timeout=self.environment.stop_timeout)
        self._arrivals.kill(block=True, timeout=1)

    def _arrive(self, task: Callable[..., Any], _: User) -> None:
        if self._due_s is None and self._twin is not None:
            self._blocks = self._begin_with_twin()
            self._twin.block, self._due_s = next(self._blocks)
            clock().wait_until(self._due_s)
        elif self._due_s is None:
            self._due_s = time.perf_counter() + self._phase / self.arrivals_per_s
            clock().wait_until(self._due_s)
        if len(self._arrivals) >= self.max_in_flight:
            buffer = buffer_of(self.environment)
            if buffer is not None:
                buffer.refused += 1
            return
        arrival = gevent.Greenlet(self._run_arrival, task, None if self._twin is None else self._twin.block)
        setattr(arrival, DUE, self._due_s)
        self._arrivals.start(arrival)

    def _begin_with_twin(self) -> Iterator[tuple[int, float]]:
        """Start this user's part of the arrivals that it shares with its twin on the other side."""
        assert self._twin is not None
        interval_s, pair = 1.0 / self.arrivals_per_s, self._twin.pair
        if self.poisson:
            times = poisson_times(interval_s, f"{self.seed}/{pair.key}")
        else:
            times = even_times(interval_s, twin_phases(self))
        return twin_arrivals(self._twin, times, time.perf_counter())

    def _run_arrival(self, task: Callable[..., Any], block: int | None) -> None:
        if self._twin is not None and block is not None:
            self._twin.seed(block)
        try:
            task(self)
        except (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately):
            pass  # the rest of the task is skipped, and the next arrival starts when it is due
        except StopUser:
            self._state = LOCUST_STATE_STOPPING
        except (
            Exception
        ) as error:  # a scenario's task may raise any error, and Locust's own loop continues after it too
            self.environment.events.user_error.fire(user_instance=self, exception=error, tb=error.__traceback__)
            log.exception("An arrival's task raised")


def _callable(task: object) -> Callable[..., Any]:
    if isinstance(task, type) or not callable(task):
        raise TypeError(
            f"{task!r}: an open-loop user's tasks must be functions, because a TaskSet waits for its answers and does "
            "not follow a schedule."
        )
    return task
