"""Differences between runs are reported only if they make the comparison unfair, or are worth knowing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from loadtest.recording.capabilities import EMULATOR, LOCAL
from loadtest.recording.run import Limits, TargetRecord
from reports.analysis.analysis import Analysis, analyse
from reports.analysis.comparability import differences
from reports.analysis.comparison import Side, compare
from reports.analysis.interleaved import compare_sides
from reports.model import Comparison
from tests.recording.live import load_line
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


@pytest.mark.parametrize(("seconds", "unlike"), [(5, {"length"}), (8, set())])
def test_lengths_are_compared_to_the_second(tmp_path: Path, seconds: int, unlike: set[str]) -> None:
    found = differences([analysed(tmp_path / "a", 300, 8)], [analysed(tmp_path / "b", 300, seconds)])
    assert {difference.what for difference in found} == unlike


def test_runs_of_one_side_may_differ_as_little_as_the_sides(tmp_path: Path) -> None:
    """A fleet counts 299 of 300 users, and the last answer of a run comes 4 s late."""
    side = [analysed(tmp_path / "a", 300, 100), analysed(tmp_path / "b", 299, 104)]
    assert differences(side, [analysed(tmp_path / "c", 300, 102)]) == []


def test_differing_runs_of_one_side_are_reported(tmp_path: Path) -> None:
    side = [analysed(tmp_path / "a", 300), analysed(tmp_path / "b", 100)]
    found = differences(side, [analysed(tmp_path / "c", 300)])
    assert [(item.what, item.a, item.b) for item in found] == [("peak users", "100, 300", "300")]


def on(path: Path, **target: object) -> Analysis:
    """Return a run against this target, on a machine of two cores."""
    start = [float(at) for at in range(100)]
    record = {
        "scenario": plan((0, 30), (100, 30)),
        "host": {"cpu_count": 2},
        "target": TargetRecord.model_validate({"url": "http://127.0.0.1:1", **target}),
    }
    folder = write_rows(path, start_s=start, latency_us=[1000] * 100, record=record)
    return analyse(folder, folder.read_run())


def test_a_process_with_the_whole_machine_and_a_slice_of_it_are_no_fair_comparison(tmp_path: Path) -> None:
    here = on(tmp_path / "a", kind="local", capabilities=LOCAL)
    slice_ = on(tmp_path / "b", kind="emulator", capabilities=EMULATOR, limits=Limits(cpu=0.06, memory_mib=512))
    (found,) = (each for each in differences([here], [slice_]) if each.matters)
    assert (found.what, found.a, found.b) == ("CPU per instance", "all 2 cores", "0.06 vCPU")


def test_a_missing_cpu_is_mentioned_as_not_compared(tmp_path: Path) -> None:
    elsewhere = on(tmp_path / "a", kind="url", url="https://x.invalid")
    here = on(tmp_path / "b", kind="local", capabilities=LOCAL)
    made = compare(Side("x", {"x": elsewhere}), Side("local", {"local": here}))
    assert not [each for each in made.differences if each.matters]
    assert "The CPU of an instance is not recorded for every run, so it is not compared." in made.notes


@pytest.mark.parametrize("compared", [compare, partial(compare_sides, always_valid=False)])
@pytest.mark.parametrize(("busy_s", "said"), [(100, True), (30, False)])
def test_a_comparison_on_a_machine_without_free_cpu_names_the_machine(
    tmp_path: Path, compared: Callable[[Side, Side], Comparison], busy_s: int, *, said: bool
) -> None:
    """If one of two processes gets more CPU than the other, their latencies differ all the time."""

    def side(name: str) -> Side:
        folder = on(tmp_path / name, kind="local").folder
        folder.append_load([load_line(at) | {"machine_cpu_ratio": str(float(at < busy_s))} for at in range(100)])
        return Side(name, {name: analyse(folder, folder.read_run())})

    notes = " ".join(compared(side("a"), side("b")).notes)
    assert ("machine was full in 100 % of the seconds" in notes) is said
