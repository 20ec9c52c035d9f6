"""Interpolate a plan of users: points in time with straight lines between them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

Point = tuple[float, float]
"""(elapsed s, users)."""


FULL_RATIO = 0.95
"""Steady is where the load stands at 95 % of its highest: a shape that counts in whole users reaches 299 of 300."""


def users_at(points: Sequence[Point], elapsed_s: float) -> float | None:
    """Return the planned users at a time, or None before the first point and from the last point on.

    Two points at the same time are a jump: from then on the second one holds.
    """
    after = bisect_right(points, elapsed_s, key=lambda point: point[0])
    if not 0 < after < len(points):
        return None
    (left_s, left), (right_s, right) = points[after - 1], points[after]
    return left + (right - left) * (elapsed_s - left_s) / (right_s - left_s)


def user_seconds(points: Sequence[Point]) -> float:
    """Return the area under the plan, in users × s."""
    pairs = pairwise(points)
    return sum((right_s - left_s) * (left + right) / 2 for (left_s, left), (right_s, right) in pairs)


def steady_s(points: Sequence[Point]) -> tuple[float, float] | None:
    """Return from when to when, in elapsed s, a plan stands at FULL_RATIO of its highest: the longest such stretch.

    None for a plan without users. What comes before is ramp, what follows drain, as in the report
    (`reports.analysis.phases`), which knows the warm-up too.
    """
    full = FULL_RATIO * max((users for _, users in points), default=0.0)
    if full <= 0:
        return None
    stretches: list[tuple[float, float]] = []
    for (left_s, left), (right_s, right) in pairwise(points):
        if max(left, right) < full:
            continue
        crossing_s = right_s if left == right else left_s + (right_s - left_s) * (full - left) / (right - left)
        begin_s, end_s = left_s if left >= full else crossing_s, right_s if right >= full else crossing_s
        if stretches and stretches[-1][1] == begin_s:
            begin_s = stretches.pop()[0]
        stretches.append((begin_s, end_s))
    return max(stretches, key=lambda stretch: stretch[1] - stretch[0], default=None)
