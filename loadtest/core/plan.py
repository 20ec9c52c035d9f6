"""Interpolate the number of users in a plan, which consists of points joined by straight lines."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

Point = tuple[float, float]
"""A point of a plan: (elapsed s, users)."""


FULL_RATIO = 0.95
"""The load counts as steady from 95 % of its maximum, because rounding to whole users can make a shape end at 299 of
300 users."""

STEADY_AT_LEAST_S = 5
"""A plateau that is shorter than this is only the top of a ramp."""


def users_at(points: Sequence[Point], elapsed_s: float) -> float | None:
    """Return the planned users at a time; None before the first point and from the last point on.

    Two points at the same time form a jump: from that time on, the second point applies.
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
    """Return the start and end (elapsed s) of the longest period in which a plan is at FULL_RATIO of its maximum.

    None if the plan has no users. The time before this period is the ramp, and the time after it is the drain, as in
    the report (`reports.analysis.phases`), which also finds the warm-up.
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
