"""Spread the tasks of closed-loop users evenly over time."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .clock import keep_waits_exact
from .sides import Twin, shared_by_twins, twin_of

if TYPE_CHECKING:  # importing locust patches the whole process
    from locust.env import Environment

GOLDEN_RATIO = (math.sqrt(5) - 1) / 2

_ATTRIBUTE = "lt_user_numbers"


def spread_throughput(task_runs_per_second: float) -> Callable[[Any], float]:
    """Return a `wait_time` that runs a user's task this many times a second, with all users evenly spread.

    Every user has its own grid of times, which are `1 / task_runs_per_second` apart. The grid is shifted by the user's
    number times the golden ratio. The grids are spread evenly for any number of users, even while users are being
    added. Locust's `constant_throughput` counts from each user's start instead. With that function, the users of a
    batch, which start together, would always send their requests at the same time, and the run would measure the queue
    that they cause.

    This is a closed loop: if a request takes longer than the interval, the user skips the points that it missed, so a
    slow server gets fewer requests. Use an open-loop user to keep the rate. The first task also waits for its point.

    In a run against two targets, a user and its twin share two grids. For each point, a random draw decides
    which of the two takes which grid, so that the requests of one side do not always come directly after the same other
    requests.

    Raises:
        ValueError: the rate is not above 0.
    """
    if not task_runs_per_second > 0:
        raise ValueError(
            f"spread_throughput({task_runs_per_second}): must be above 0, in task runs per second and user"
        )
    interval_s = 1 / task_runs_per_second

    def wait_time(user: Any) -> float:
        now_s = time.perf_counter()
        twin = twin_of(user)
        if twin is not None:
            return _twin_wait_s(user, twin, now_s, interval_s)
        point = user.__dict__.get("lt_point")
        if point is None:
            keep_waits_exact()
            user.lt_phase = phase_of(number_user(user.environment), worker_of(user.environment))
            point = -math.inf
        user.lt_point, wait_s = next_point(now_s, point, user.lt_phase, interval_s)
        return wait_s

    wait_time.lt_spread = True  # type: ignore[attr-defined]  # FastUser reads this, so that the first task waits too
    return wait_time


def _twin_wait_s(user: Any, twin: Twin, now_s: float, interval_s: float) -> float:
    """Return how long a user waits for its next point on the two grids that it shares with its twin."""
    keep_waits_exact()
    phases = twin_phases(user)
    point = max(math.floor(now_s / interval_s) - 1, user.__dict__.get("lt_point", -1) + 1)
    while (due_s := (point + phases[0 if twin.is_first(point) else 1]) * interval_s) < now_s:
        point += 1
    user.lt_point = point
    return float(due_s - now_s)


def twin_phases(user: Any) -> tuple[float, float]:
    """Return the two phases (0…1) that a user and its twin share, the earlier phase first."""

    def new() -> tuple[float, float]:
        worker = worker_of(user.environment)
        first, second = (phase_of(number_user(user.environment), worker) for _ in range(2))
        return min(first, second), max(first, second)

    return shared_by_twins(user, "phases", new)


def next_point(now_s: float, last_point: float, phase: float, interval_s: float) -> tuple[float, float]:
    """Return the first grid point after `last_point` that is not before `now_s`, and the wait until then in s."""
    point = max(math.ceil(now_s / interval_s - phase), last_point + 1)
    return point, max(0.0, (point + phase) * interval_s - now_s)


def phase_of(number: int, worker: int) -> float:
    """Return the phase (0…1) of a worker's user with this number.

    The phases are spread evenly for any number of users.
    """
    return (number + worker / 2) * GOLDEN_RATIO % 1.0


def number_user(environment: Environment) -> int:
    """Return 0, 1, 2, … for the users of this process, in the order of their calls."""
    numbers = getattr(environment, _ATTRIBUTE, None)
    if numbers is None:
        numbers = itertools.count()
        setattr(environment, _ATTRIBUTE, numbers)
    return next(numbers)


def worker_of(environment: Environment) -> int:
    """Return the index of this process among the fleet's workers; 0 if there is no fleet."""
    return max(0, getattr(environment.runner, "worker_index", 0))
