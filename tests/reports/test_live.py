"""The numbers of a run in progress equal those of its final report."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadtest.core.objectives import parse_objective
from loadtest.recording.folder import RunFolder
from loadtest.recording.frames import Frame
from loadtest.recording.run import FailedBodyRecord, SideRecord, TargetRecord
from reports.live import points as points_of
from reports.live.analysis import SHARE, Budget
from reports.live.follow import LiveRun
from reports.live.tally import LiveTally, worst
from reports.model import Timeline
from reports.summary.build import build_report
from tests.recording.frames import T0_NS
from tests.recording.frames import frame as frame_of
from tests.recording.live import flushed, load_line, looked, running_record, sealed_copy

SECONDS = 60
OBJECTIVES = (
    "p95 < 300ms",
    "p50(steady) < 5ms",
    "error_rate < 1%",
    "error_rate(steady) < 50%",
    "p99(POST /predict) < 1s",
    "error_rate(POST /health) < 99%",
    "throughput(steady) > 10/s",
)


def followed(home: Path, frames: list[Frame], lines: list[dict[str, str]]) -> LiveRun:
    """Return a run that was followed with one look per second."""
    folder = RunFolder.create(home, running_record(SECONDS, objectives=list(OBJECTIVES)))
    live = LiveRun(folder)
    live.keep_rows()
    for at, frame in enumerate(frames):
        live.add(looked(at + 1.0, [frame], [line for line in lines if line["time_s"] == str(T0_NS // 10**9 + at)]))
    folder.append_load(lines)
    return live


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[LiveRun, RunFolder]:
    frames, lines = flushed(SECONDS), [load_line(at) for at in range(SECONDS)]
    home = tmp_path_factory.mktemp("live")
    run = running_record(SECONDS, objectives=list(OBJECTIVES))
    return followed(home / "goes-on", frames, lines), sealed_copy(home / "ended", frames, lines, run)


AFTER_THE_RUN = {"status_per_s.429", "status_per_s.503"}
"""Lines that exist only in the finished report."""


def test_the_charts_are_those_of_the_report(both: tuple[LiveRun, RunFolder]) -> None:
    """Every line of the live page equals the report's, except for its last second, which was not complete."""
    live, ended = both
    report = build_report([ended.path]).runs[0].series
    now = live._tally.timeline()
    assert now.step_s == report.step_s == 1
    assert set(now.columns) == set(report.columns) - AFTER_THE_RUN
    for name, values in now.columns.items():
        # the bins of the live tally are 0.8 % wide, like the report's
        assert values[: SECONDS - 2] == pytest.approx(report.columns[name][: SECONDS - 2], nan_ok=True), name


def test_objectives_so_far_are_judged_as_at_the_end(both: tuple[LiveRun, RunFolder]) -> None:
    """For each phase and endpoint, the live value equals the final one, and both are on the same side of the limit."""
    live, ended = both
    judged = {objective.text: objective for objective in build_report([ended.path]).runs[0].objectives}
    for found in live.so_far():
        at_end = judged[found.objective.text]
        # a percentile is the middle of its bin, and the report's throughput includes the last, incomplete second
        assert found.value == pytest.approx(at_end.value, rel=0.03), found.objective.text
        assert found.held is (at_end.verdict == "held"), found.objective.text
    found_worst = worst(live.so_far())
    assert found_worst is not None
    assert found_worst.objective.text in {
        judgement.text for judgement in judged.values() if judgement.verdict == "missed"
    }


def test_the_analysis_of_a_run_that_goes_on_is_the_report_s(both: tuple[LiveRun, RunFolder]) -> None:
    """The same code computes latencies, failures by endpoint, instances and spikes over the same rows."""
    live, ended = both
    assert live.analyse() > 0
    assert live.report is not None
    now, at_end = live.report.runs[0], build_report([ended.path]).runs[0]
    assert now.outcome == "running"
    for part in ("totals", "latency", "instances", "spikes", "endpoints", "phases"):
        assert getattr(now, part) == getattr(at_end, part), part
    counted = [
        [(f.method, f.name, f.kind, f.status, f.message, f.count) for f in item.failures] for item in (now, at_end)
    ]
    assert counted[0] == counted[1] != []


@pytest.fixture(scope="module")
def two_sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[LiveRun, RunFolder]:
    frames, lines = flushed(SECONDS, sides=2), [load_line(at) for at in range(SECONDS)]
    home = tmp_path_factory.mktemp("sides")
    run = running_record(SECONDS, objectives=["error_rate < 1%"], options={"margins": ["p50=5%"]})
    run.sides = [SideRecord(name=name, target=TargetRecord(kind="url", url="http://x")) for name in ("A one", "B two")]
    live = LiveRun(RunFolder.create(home / "goes-on", run))
    live.keep_rows()
    for at, frame in enumerate(frames):
        live.add(looked(at + 1.0, [frame], [line for line in lines if line["time_s"] == str(T0_NS // 10**9 + at)]))
    live._folder.append_load(lines)
    return live, sealed_copy(home / "ended", frames, lines, run)


def test_two_targets_are_two_runs_and_their_comparison_as_in_the_report(two_sides: tuple[LiveRun, RunFolder]) -> None:
    """The numbers of each side, and the difference, equal those of the report.

    The intervals are wider, because they hold at every look.
    """
    live, ended = two_sides
    live.analyse()
    now, at_end = live.report_now(), build_report([ended.path])
    assert now is not None
    assert [run.name for run in now.runs] == [run.name for run in at_end.runs] == ["A one", "B two"]
    for one, other in zip(now.runs, at_end.runs, strict=True):
        for part in ("totals", "latency", "endpoints", "phases"):
            assert getattr(one, part) == getattr(other, part), part
        for name in ("p95_ms", "ok_per_s", "users"):
            shown, reported = one.series.columns[name], other.series.columns[name]
            assert shown[: SECONDS - 2] == pytest.approx(reported[: SECONDS - 2], nan_ok=True), name
    compared = [{(line.scope, line.statistic): line for line in made.comparisons[0].lines} for made in (now, at_end)]
    p50, reported_p50 = (lines["all", "p50"] for lines in compared)
    assert p50.verdict == "slower"
    assert p50.difference_ratio == reported_p50.difference_ratio == pytest.approx(1.0, abs=0.2)
    assert p50.low_ratio is not None
    assert reported_p50.low_ratio is not None
    assert p50.low_ratio < reported_p50.low_ratio


def test_objectives_so_far_are_those_of_the_second_target(two_sides: tuple[LiveRun, RunFolder]) -> None:
    """All failures are requests to B: about 2 % of its requests, and 1 % of all requests."""
    (found,) = two_sides[0].so_far()
    assert found.value == pytest.approx(0.02, rel=0.4)
    assert found.held is False


def test_an_endpoint_that_only_one_target_fails_is_named_with_it(tmp_path: Path) -> None:
    run = running_record(SECONDS)
    run.sides = [SideRecord(name=name, target=TargetRecord(kind="url", url="http://x")) for name in ("A one", "B two")]
    live = LiveRun(RunFolder.create(tmp_path, run))
    for at, frame in enumerate(flushed(3, failed_ratio=1.0, sides=2)):
        live.add(looked(at + 1.0, [frame]))
    said = live.failing()
    assert any(text.startswith("B: the first ") and "POST /predict all failed" in text for text in said)
    assert not any(text.startswith("A: ") for text in said)


def test_frames_before_the_known_begin_of_the_load_are_not_lost(tmp_path: Path) -> None:
    """Frames that are read before run.json contains the load's begin are counted afterwards."""
    live = LiveRun(RunFolder.create(tmp_path, running_record(SECONDS)))
    first, second = flushed(SECONDS)[:2]
    early = looked(0.5, [first])
    live.add(replace(early, snapshot=replace(early.snapshot, load_start_ns=None)))
    assert live.changes == 0
    live.add(looked(1.0, [second]))
    assert live._tally.requests == first.rows + second.rows


def test_a_long_run_keeps_its_numbers_in_bounded_memory() -> None:
    """Beyond MAX_POINTS, two points are merged into one: their sums are added, and percentiles cover both points."""
    long = LiveTally()
    frames = flushed(3 * points_of.MAX_POINTS // 2, per_s=2)
    for at, frame in enumerate(frames):
        long.add(frame, t0_ns=T0_NS, now_s=at + 1)
    assert long.points.step_s == 2
    rows = sum(frame.rows for frame in frames)
    assert long.points.sum_between("started", 0, math.inf) == rows == long.requests
    starts = np.concatenate([np.frombuffer(frame.columns["start"], np.int64) for frame in frames]) - T0_NS
    ok = np.concatenate([np.frombuffer(frame.columns["outcome"], np.uint8) for frame in frames]) == 0
    took = np.concatenate([np.frombuffer(frame.columns["latency_us"], np.int64) for frame in frames])
    at = 100
    mine = np.sort(took[ok & (starts // 2_000_000_000 == at)])
    expected_ms = mine[math.ceil(0.5 * len(mine)) - 1] / 1000
    assert long.timeline().columns["p50_ms"][at] == pytest.approx(expected_ms, rel=0.005)
    assert sum(array.nbytes for array in (long.points._latency, long.points._percentiles)) < 16e6


def test_a_row_from_another_time_costs_no_memory() -> None:
    """A row of a worker whose clock is years off counts in the last second, so that no array grows."""
    tally = LiveTally()
    frame = flushed(3)[1]
    tally.add(frame, t0_ns=T0_NS - 10**18, now_s=5.0)
    assert tally.points.step_s == 1
    assert tally.requests == frame.rows


def test_a_cold_start_is_an_event() -> None:
    """The first answer of an instance younger than 10 s is an event with its latency.

    A long wait is called a cold start.
    """
    tally = LiveTally()
    for at, frame in enumerate(flushed(SECONDS, failed_ratio=0.0)):
        tally.add(frame, t0_ns=T0_NS, now_s=at + 1)
    assert [event.text.split(" answered")[0] for event in tally.events] == ["a new instance"] * 3
    assert [round(event.at_s) for event in tally.events] == pytest.approx([0, 20, 40], abs=1)
    assert tally.instances_now(SECONDS) == 1
    frame = frame_of(rows=1)
    frame.columns["latency_us"][0] = 1_912_000
    cold = LiveTally()
    cold.add(frame, t0_ns=T0_NS, now_s=2.0)
    (event,) = cold.events
    assert event.text == "cold start: a new instance answered for the first time; its first request took 1,912 ms"


def test_lines_that_are_no_lines_are_left_out() -> None:
    """A damaged line of load.csv changes nothing."""
    tally = LiveTally()
    tally.add_load([load_line(0) | {"time_s": "x"}, load_line(1) | {"users": "nan"}, load_line(2)], t0_ns=T0_NS)
    assert tally.timeline().columns["users"] == [None, None, 4.0]


def test_an_unknown_objective_waits_for_the_end() -> None:
    """Objectives that need the platform's data or the whole run have no value yet. They are not the worst objective if
    another one has a value.
    """
    tally = LiveTally([parse_objective(text) for text in ("cold_starts = 0", "p95 < 1s for 10s", "p95 < 10s")])
    tally.add(flushed(3)[0], t0_ns=T0_NS, now_s=1.0)
    assert [item.held for item in tally.so_far()] == [None, None, True]
    found = worst(tally.so_far())
    assert found is not None
    assert found.objective.text == "p95 < 10s"


def test_analyses_cost_a_small_share_of_a_core() -> None:
    """All analyses together use at most SHARE of a core, even if each is slow and new data comes all the time.

    Without new data, analyses are 4 s apart.
    """
    for cost_s, news, most in ((0.05, True, None), (2.0, True, None), (0.001, False, 1000 / 4 + 2)):
        budget, spent, count = Budget(), 0.0, 0
        for at in range(2000):
            if budget.decide(at / 2, news=news):
                budget.paid(at / 2, cost_s)
                spent, count = spent + cost_s, count + 1
        assert spent <= cost_s + SHARE * 1000 + cost_s
        assert count >= min(1 + SHARE * 1000 / cost_s * 0.8, 1000 / 4.5)
        assert most is None or count <= most


def test_the_timeline_of_nothing_is_empty() -> None:
    assert LiveTally().timeline() == Timeline(from_s=0.0, step_s=1.0, columns={})


def test_an_endpoint_that_only_fails_is_named_once_with_its_answer(tmp_path: Path) -> None:
    """A message names an endpoint after its first 20 requests if none succeeded.

    One success is enough to prevent it.
    """
    said = '{"detail": [{"loc": ["body", "age"], "msg": "Field required"}]}'
    body = FailedBodyRecord(method="POST", name="/predict", status=500, body=said)
    run = LiveRun(RunFolder.create(tmp_path, running_record(SECONDS, failed_bodies=[body])))
    for seq in range(3):
        run.add(looked(seq + 1.0, [frame_of(seq=seq, rows=10, rows_before=10 * seq, failed=10)]))
        expected = ["the first 20 requests of POST /predict all failed: HTTP 500, body.age: Field required"]
        assert run.failing() == (expected if seq == 1 else [])
    fine = LiveTally()
    for seq, failed in enumerate((10, 9, 10, 10)):
        fine.add(frame_of(seq=seq, rows=10, rows_before=10 * seq, failed=failed), t0_ns=T0_NS, now_s=seq)
    assert fine.failing == []
