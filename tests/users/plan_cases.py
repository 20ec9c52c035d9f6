"""Plans of users: their points, options that override them, and the number of users that the shape requests."""

from __future__ import annotations

from itertools import chain, pairwise
from typing import Any

import pytest
from locust.env import Environment  # first of all, because it patches sockets and threads

from loadtest.core.plan import user_seconds
from loadtest.users.shapes import Burst, Plan, PlannedShape, Ramp, Staircase

PLANS: list[tuple[Plan, tuple[tuple[float, float], ...]]] = [
    (Ramp(users=300, spawn_rate=5, duration_s=120), ((0, 0), (60, 300), (120, 300))),
    (Ramp(users=300, spawn_rate=5, duration_s=40), ((0, 0), (40, 200))),  # the plan ends before it reaches its maximum
    (
        Burst(idle_users=2, users=200, spawn_rate=50, duration_s=120, idle_ratio=0.5),
        ((0, 2), (60, 2), (60 + 198 / 50, 200), (120, 200)),
    ),
    (
        Burst(users=10, spawn_rate=10, duration_s=20, times=2),
        ((0, 0), (5, 0), (6, 10), (10, 10), (10, 0), (15, 0), (16, 10), (20, 10)),
    ),
    (
        Staircase(users=20, spawn_rate=10, duration_s=20, steps=2),
        ((0, 0), (1, 10), (10, 10), (11, 20), (20, 20)),
    ),
]


@pytest.mark.parametrize(("plan", "points"), PLANS)
def test_a_plan_is_its_points(plan: Plan, points: tuple[tuple[float, float], ...]) -> None:
    """The points are the same as in the plan's docstring, from 0 s to the plan's end.

    Between points, the number of users is interpolated linearly. Before the first and after the last point, it is None.
    """
    assert [*chain(*plan.points())] == pytest.approx([*chain(*points)])
    assert plan.users_at(-0.001) is None
    assert plan.users_at(plan.duration_s) is None
    for (left_s, left), (right_s, right) in pairwise(points):
        if right_s > left_s:
            assert plan.users_at((left_s + right_s) / 2) == pytest.approx((left + right) / 2)


def test_an_override_replaces_one_field_and_leaves_the_others() -> None:
    """`--users`, `--spawn-rate` and `--duration` each override one field. 0 is a value, but None is not."""
    plan = Ramp(users=300, spawn_rate=5, duration_s=120)
    assert plan.overridden(users=30) == Ramp(users=30, spawn_rate=5, duration_s=120)
    assert plan.overridden(spawn_rate=1, duration_s=10) == Ramp(users=300, spawn_rate=1, duration_s=10)
    assert plan.overridden() == plan
    assert plan.overridden(users=0).users == 0


def test_the_area_of_a_plan_is_its_user_seconds() -> None:
    """ramp300 consists of a triangle of 60 s to 300 users and a rectangle of 60 s."""
    assert user_seconds(Ramp(users=300, spawn_rate=5, duration_s=120).points()) == 60 * 300 / 2 + 60 * 300


class _Shape(PlannedShape):
    plan = Ramp(users=10, spawn_rate=5, duration_s=4)


def ticks(shape: PlannedShape) -> list[int | None]:
    """Return the requested users at 0, 1, 2, … s, up to the end."""
    asked: list[int | None] = []
    at_s = 0
    shape.get_run_time = lambda: float(at_s)  # type: ignore[method-assign] # the clock, which belongs to Locust
    while (tick := shape.tick()) is not None:
        asked.append(tick[0])
        at_s += 1
    return asked


@pytest.fixture
def environment() -> Any:
    made = Environment(user_classes=[])
    yield made.create_local_runner()
    made.runner.quit()


def test_a_tick_asks_for_the_middle_of_its_second_and_the_end_ends_the_run(environment: Any) -> None:
    """0 → 10 users in 2 s, then a hold: 2.5 and 7.5 users, rounded, then 10, 10, and the end at 4 s."""
    shape = _Shape()
    shape.runner = environment
    assert ticks(shape) == [2, 8, 10, 10]
