"""Changes of level over recorded runs are found at the right run, with their reason, and noise is not marked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from loadtest.cli.app import run_verb
from loadtest.core.exit_codes import ExitCode
from loadtest.recording.run import Outcome, Run, TargetRecord
from reports.data.change_points import change_points
from reports.data.history import MeasuredRun, histories
from reports.render.index import write_index
from reports.summary.build import build_report
from tests.recording.frames import T0, record
from tests.reports.folders import write_rows


def noisy(levels: Sequence[float], seed: int = 1, noise: float = 0.03) -> list[float]:
    rng = np.random.default_rng(seed)
    return [float(level * np.exp(rng.normal(0, noise))) for level in levels]


def test_a_step_of_a_tenth_is_found_within_two_runs_and_a_small_or_single_one_is_not() -> None:
    found = change_points(noisy([50] * 15 + [55] * 15))
    assert len(found) == 1
    assert abs(found[0] - 15) <= 2
    assert change_points(noisy([50] * 15 + [50.5] * 15)) == []
    lone = noisy([50] * 30)
    lone[12] = 80
    assert change_points(lone) == [], "one slow run is no change"
    lone[29] = 80
    assert change_points(lone) == [], "a single slow run at the end is no change either"


def test_steps_in_both_directions_are_found_each() -> None:
    found = change_points(noisy([50] * 12 + [60] * 12 + [50] * 12))
    assert [round(at / 12) for at in found] == [1, 2]


def test_noise_alone_gives_less_than_one_mark_in_a_hundred_runs() -> None:
    """40 series of 40 runs are 1,600 runs, so 16 marks would be one mark in 100 runs.

    The benchmark counts about one mark in 2,000 runs.
    """
    assert sum(len(change_points(noisy([50] * 40, seed))) for seed in range(40)) <= 4


@pytest.mark.parametrize(
    "values", [[], [5.0], [5.0] * 5, [5.0] * 200, [1e-3, 1e6] * 20, list(np.geomspace(1, 1e9, 50))]
)
def test_any_series_ends_in_marks_within_it(values: list[float]) -> None:
    """Constant, tiny, alternating or exploding series cause no error, and no mark at the edges."""
    assert all(3 <= at <= len(values) - 3 for at in change_points(values))


def run(number: int, **changes: object) -> Run:
    start = T0 + timedelta(hours=number)
    return record(f"run-{number:03d}", start=start, **changes)


def measured(values: Sequence[float], **by_run: Sequence[object]) -> list[MeasuredRun]:
    return [
        MeasuredRun(run(at, **{name: of[at] for name, of in by_run.items()}), value) for at, value in enumerate(values)
    ]


def test_a_change_is_named_with_the_commit_that_came_with_it() -> None:
    commits = ["a" * 40] * 10 + ["b" * 40] * 20
    values = noisy([50] * 10 + [60] * 20)
    (history,) = histories(measured(values, git_commit=commits))
    (change,) = history.changes
    assert change.what[0].startswith("commit aaaaaaaaaa → bbbbbbbbbb")
    assert change.ratio == pytest.approx(0.2, abs=0.04)


def test_a_change_that_nothing_recorded_explains_says_so() -> None:
    (history,) = histories(measured(noisy([50] * 10 + [60] * 10)))
    assert history.changes[0].what == ()


def test_labels_that_take_turns_are_series_of_their_own_and_labels_that_follow_one_are_a_change() -> None:
    values = noisy([50, 70] * 12)
    turns = histories(measured(values, label=["v1", "v2"] * 12))
    assert [(turn.label, len(turn.runs), turn.changes) for turn in turns] == [("v1", 12, ()), ("v2", 12, ())]
    (after,) = histories(measured(noisy([50] * 12 + [70] * 12), label=["v1"] * 12 + ["v2"] * 12))
    assert after.changes[0].what == ("label v1 → v2",)


def test_only_complete_runs_of_one_service_are_one_series() -> None:
    """An interrupted run, a run without a p95 and a run against another URL are not in the series of the other runs."""
    outcomes = [Outcome.COMPLETE] * 5 + [Outcome.INTERRUPTED]
    targets = [TargetRecord(kind="url", url="http://a")] * 4 + [TargetRecord(kind="url", url="http://b")] * 2
    found = measured([50.0] * 6, outcome=outcomes, target=targets)
    (history,) = histories([*found, MeasuredRun(run(9), None)])
    assert (history.target, len(history.runs)) == ("url http://a", 4)


def test_the_verb_writes_a_p95_of_seconds_as_a_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for at, ms in enumerate((900, 1600)):
        record = {"id": f"run-{at}", "start": T0 + timedelta(hours=at)}
        made = write_rows(tmp_path, latency_us=[ms * 1000] * 100, record=record)
        made.write_derived(made.summary, build_report([made.path]).model_dump_json())
    assert run_verb(["runs", "--trend", "ramp300", "--runs", str(tmp_path)]) == ExitCode.HELD
    assert "900 ms to 1,600 ms" in capsys.readouterr().out


def test_the_index_and_the_verb_name_the_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There are twelve runs of 20 ms and twelve of 30 ms with a new commit.

    The index and the verb each show one sentence.
    """
    for at in range(24):
        slow = at >= 12
        made = write_rows(
            tmp_path,
            latency_us=[(30_000 if slow else 20_000) + 100 * (at % 3) + step for step in range(100)],
            record={"id": f"run-{at:03d}", "start": T0 + timedelta(hours=at), "git_commit": "ab"[slow] * 40},
        )
        made.write_derived(made.summary, build_report([made.path]).model_dump_json())
    page = write_index(tmp_path).read_text("utf-8")
    assert "p95 rose by 50 %" in page
    assert "commit aaaaaaaaaa → bbbbbbbbbb" in page
    assert 'class="change"' in page
    assert run_verb(["runs", "--trend", "ramp300", "--runs", str(tmp_path)]) == ExitCode.HELD
    said = capsys.readouterr().out
    assert "p95 of 24 runs" in said
    assert "commit aaaaaaaaaa → bbbbbbbbbb" in said
    assert run_verb(["runs", "--trend", "ramp300", "--format", "json", "--runs", str(tmp_path)]) == ExitCode.HELD
    (series,) = json.loads(capsys.readouterr().out)
    assert [change["run"] for change in series["changes"]] == ["run-012"]
    assert run_verb(["runs", "--trend", "nosuch", "--runs", str(tmp_path)]) == ExitCode.USAGE
    assert "runs exist of ramp300" in capsys.readouterr().err
