"""A difference between two sides is found only if there is a difference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reports.analysis.analysis import Analysis, analyse
from reports.analysis.comparison import Side, Verdict
from reports.analysis.comparison import compare as compare_sides
from reports.model import ComparedLine, Comparison
from tests.simulator import Story, simulate

STORY = Story(seconds=600, users=40, drift=0.10, gauge="none")


def analysed(path: Path, seed: int, story: Story = STORY) -> Analysis:
    folder = simulate(path / f"run{seed}", story, seed)
    return analyse(folder, folder.read_run())


def compare(a: list[Analysis], b: list[Analysis]) -> Comparison:
    return compare_sides(
        *(
            Side(name, {f"{name} {at}": analysis for at, analysis in enumerate(side)})
            for name, side in (("a", a), ("b", b))
        )
    )


def line(comparison: Comparison, statistic: str = "p95", scope: str = "all") -> ComparedLine:
    return next(line for line in comparison.lines if (line.scope, line.statistic) == (scope, statistic))


def test_a_run_against_one_like_it_is_never_called_slower_or_faster(tmp_path: Path) -> None:
    for seed in range(4):
        found = compare([analysed(tmp_path, 2 * seed)], [analysed(tmp_path, 2 * seed + 1)])
        assert found.comparable
        assert {line.verdict for line in found.lines} <= {Verdict.EQUIVALENT, Verdict.INCONCLUSIVE}


def test_a_fifth_more_is_called_slower_and_its_interval_holds_the_truth(tmp_path: Path) -> None:
    for seed in range(3):
        slower = analysed(tmp_path, 100 + 2 * seed, replace(STORY, shift=1.2))
        found = line(compare([analysed(tmp_path, 101 + 2 * seed)], [slower]))
        assert found.verdict == Verdict.SLOWER
        assert found.low_ratio is not None
        assert found.high_ratio is not None
        assert found.low_ratio <= 0.2 <= found.high_ratio
        assert found.a_ms is not None  # exact: numpy's own value for the phase


def test_an_inconclusive_difference_says_how_long_a_run_would_decide(tmp_path: Path) -> None:
    found = line(compare([analysed(tmp_path, 1)], [analysed(tmp_path, 3, replace(STORY, shift=1.0))]))
    assert found.verdict == Verdict.INCONCLUSIVE
    assert found.needed_s is None or found.needed_s > 600


def test_several_runs_a_side_are_units_of_their_own(tmp_path: Path) -> None:
    base = [analysed(tmp_path, seed) for seed in (11, 12, 13)]
    slow = [analysed(tmp_path, seed, replace(STORY, shift=1.5)) for seed in (14, 15, 16)]
    found = compare(base, slow)
    assert line(found).verdict == Verdict.SLOWER
    assert not any("One run per side" in note for note in found.notes)


def test_too_short_a_phase_gives_values_but_no_verdict(tmp_path: Path) -> None:
    short = replace(STORY, seconds=40)
    found = line(compare([analysed(tmp_path, 1, short)], [analysed(tmp_path, 2, short)]))
    assert (found.verdict, found.low_ratio) == (Verdict.INCONCLUSIVE, None)
    assert "too short" in found.why
    assert found.difference_ratio is not None


def test_differences_between_runs_are_reported(tmp_path: Path) -> None:
    found = compare([analysed(tmp_path, 1)], [analysed(tmp_path, 2, replace(STORY, users=80.0, open_loop=True))])
    assert not found.comparable
    matters = {difference.what for difference in found.differences if difference.matters}
    assert matters == {"load model", "peak users"}
    assert any("not run under the same conditions" in note for note in found.notes)


@pytest.mark.parametrize("statistic", ["p50", "p95", "p99"])
def test_the_same_run_twice_is_no_difference(tmp_path: Path, statistic: str) -> None:
    analysis = analysed(tmp_path, 5)
    assert line(compare([analysis], [analysis]), statistic).difference_ratio == 0


@pytest.mark.parametrize("factor", [1.0, 1.2, 5.0])
@pytest.mark.parametrize("users", [5.0, 40.0])
def test_services_that_hardly_vary_are_distinguished_and_equal_ones_are_equal(
    tmp_path: Path, users: float, factor: float
) -> None:
    """Nearly every request is in one bin of the histogram. Occasional stalls do not decide about the other requests."""
    steady = replace(STORY, seconds=90, users=users, drift=0.0, sigma=0.001, tail=0.0)
    found = line(
        compare([analysed(tmp_path, 1, steady)], [analysed(tmp_path, 2, replace(steady, shift=factor))]), "p50"
    )
    assert found.verdict == (Verdict.SLOWER if factor > 1 else Verdict.EQUIVALENT), found
    assert found.low_ratio is not None
    assert found.high_ratio is not None
    assert found.low_ratio - 0.01 <= factor - 1 <= found.high_ratio + 0.01
