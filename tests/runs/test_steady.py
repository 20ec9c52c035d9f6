"""If an objective needs a steady phase and the plan has none, a warning says so before the load."""

from __future__ import annotations

import pytest

from loadtest.core.objectives import parse_objective
from loadtest.runs.run import never_steady


@pytest.mark.parametrize(
    ("text", "points", "warned"),
    [
        ("p95(steady) < 300ms", [(0, 0), (15, 75)], True),  # 95 % of the maximum is reached 0.75 s before the end
        ("p95(steady) < 300ms", [(0, 0), (15, 75), (20, 75)], False),
        ("p95(steady) < 300ms", [], False),  # the scenario's own shape: its plan is not known
        ("p95 < 300ms", [(0, 0), (15, 75)], False),
    ],
)
def test_an_objective_on_a_phase_that_the_plan_lacks(
    text: str, points: list[tuple[float, float]], *, warned: bool
) -> None:
    assert bool(never_steady([parse_objective(text)], points)) is warned
