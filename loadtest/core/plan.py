"""Interpolate a plan of users: points in time with straight lines between them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

Corner = tuple[float, float]
"""(elapsed s, users)."""


def users_at(corners: Sequence[Corner], elapsed_s: float) -> float | None:
    """Return the planned users at a time, or None before the first point and from the last point on.

    Two points at the same time are a jump: from then on the second one holds.
    """
    after = bisect_right(corners, elapsed_s, key=lambda corner: corner[0])
    if not 0 < after < len(corners):
        return None
    (left_s, left), (right_s, right) = corners[after - 1], corners[after]
    return left + (right - left) * (elapsed_s - left_s) / (right_s - left_s)


def user_seconds(corners: Sequence[Corner]) -> float:
    """Return the area under the plan, in users × s."""
    pairs = pairwise(corners)
    return sum((right_s - left_s) * (left + right) / 2 for (left_s, left), (right_s, right) in pairs)
