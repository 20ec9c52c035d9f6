"""Runs are unlike only in what would make their comparison unfair, or is worth knowing."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.analysis.analysis import Analysis, analyse
from reports.analysis.comparability import differences
from tests.reports.folders import plan, write_rows


def analysed(path: Path, users: float, seconds: int = 100) -> Analysis:
    start = [float(at) for at in range(seconds)]
    record = {"scenario": plan((0, users), (seconds, users))}
    folder = write_rows(path, start_s=start, latency_us=[1000] * seconds, record=record)
    return analyse(folder, folder.read_run())


@pytest.mark.parametrize(
    ("users", "seconds", "unlike"),
    [(300, 100, set()), (299, 104, set()), (200, 100, {"peak users"}), (300, 60, {"length"})],
)
def test_small_differences_of_users_and_length_do_not_matter(
    tmp_path: Path, users: float, seconds: int, unlike: set[str]
) -> None:
    found = differences([analysed(tmp_path / "a", 300)], [analysed(tmp_path / "b", users, seconds)])
    assert {difference.what for difference in found} == unlike
    assert all(difference.matters for difference in found)


def test_several_runs_of_a_side_that_are_unlike_say_so(tmp_path: Path) -> None:
    side = [analysed(tmp_path / "a", 300), analysed(tmp_path / "b", 100)]
    found = differences(side, [analysed(tmp_path / "c", 300)])
    assert [(item.what, item.a, item.b) for item in found] == [("peak users", "100, 300", "300")]
