"""The steady part of a plan is the longest period with at least 95 % of its maximum.

The report finds the same period, second by second.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.core.plan import FULL_RATIO, steady_s, users_at


@pytest.mark.parametrize(
    ("points", "steady"),
    [
        (((0, 0), (10, 100), (20, 100)), (9.5, 20)),
        (((0, 50), (30, 50)), (0, 30)),
        (((0, 0), (60, 0), (60, 200), (120, 200)), (60, 120)),  # a jump
        (((0, 0), (10, 100), (12, 0), (20, 100), (40, 100)), (19.6, 40)),  # the longer of two periods
        (((0, 0), (10, 0)), None),
        ((), None),
    ],
)
def test_steady(points: tuple[tuple[float, float], ...], steady: tuple[float, float] | None) -> None:
    assert steady_s(points) == (None if steady is None else pytest.approx(steady))


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 100)), min_size=1, max_size=6),
    st.integers(0, 100),
)
def test_every_moment_of_it_is_at_the_height(steps: list[tuple[int, int]], first: int) -> None:
    """The plan is lower just before and just after the period, unless the plan itself begins or ends there."""
    points = [(0.0, float(first))]
    for length_s, users in steps:
        points.append((points[-1][0] + length_s, float(users)))
    found = steady_s(points)
    highest = max(users for _, users in points)
    assert (found is None) is (highest == 0)
    if found is None:
        return
    for at_s in np.linspace(*found, 20)[1:-1]:
        users = users_at(points, at_s)
        assert users is not None
        assert users >= FULL_RATIO * highest - 1e-6
    for outside_s in (found[0] - 1e-3, found[1] + 1e-3):
        users = users_at(points, outside_s)
        assert users is None or users < FULL_RATIO * highest
