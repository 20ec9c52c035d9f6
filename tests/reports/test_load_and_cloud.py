"""The recorded data of the generator and the cloud are mapped to the run's own seconds. Missing data stays unknown."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from loadtest.core.errors import RunFolderError
from loadtest.recording.folder import RunFolder
from loadtest.recording.rows import METRICS_SCHEMA
from reports.data.cloud import instance_gauge, read_cloud
from reports.data.load import Load, read_load
from reports.data.series import read_series
from reports.render.text import render_text
from reports.summary.build import build_report
from tests.recording.live import load_line
from tests.reports.folders import T0_NS, plan, write_rows

T0_S = T0_NS // 10**9


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return write_rows(
        tmp_path, start_s=[0.0, 9.5], latency_us=[1000, 1000], record={"scenario": plan((0, 0), (10, 20))}
    )


def load_of(folder: RunFolder) -> Load:
    run = folder.read_run()
    return read_load(folder, run, read_series(folder, run))


def test_workers_are_added_up_and_the_worst_of_them_counts(folder: RunFolder) -> None:
    line = {"time_s": T0_S + 3, "planned_users": 8, "in_flight": 1, "refused": 0}
    folder.append_load(
        [
            line | {"worker": "w1", "users": 3, "cpu_ratio": 0.2, "loop_lag_ms": 60},
            line | {"worker": "w2", "users": 4, "cpu_ratio": 0.95, "loop_lag_ms": 1},
        ]
    )
    found = load_of(folder)
    assert (found.users[3], found.planned_users[3], found.cpu_ratio[3], found.loop_lag_ms[3]) == (7, 8, 0.95, 60)
    assert np.flatnonzero(found.saturated).tolist() == [3]
    assert math.isnan(found.users[4])


def test_two_lines_of_a_worker_in_one_second_are_not_two_workers(folder: RunFolder) -> None:
    """The lines are 0.8 s apart, so two are rounded to second 3 and none is rounded to second 4.

    There are 3 + 4 users in every second.
    """
    lines = [
        {"time_s": T0_S + at_s, "worker": worker, "users": users, "refused": 1}
        for worker, users, times in (("w1", 3, (2.0, 2.6, 3.4, 5.0)), ("w2", 4, (2.0, 3.0, 4.0, 5.0)))
        for at_s in times
    ]
    folder.append_load(lines)
    found = load_of(folder)
    assert found.users[2:6].tolist() == [7, 7, 7, 7]
    assert found.refused[2:6].tolist() == [2, 3, 1, 2]  # counts of events are added, never repeated


def test_without_load_csv_the_plan_speaks_and_nothing_is_saturated(folder: RunFolder) -> None:
    found = load_of(folder)
    assert not found.recorded
    assert found.demand[5] == pytest.approx(10)
    assert not found.saturated.any()
    assert np.isnan(found.cpu_ratio).all()


def test_a_line_cut_short_by_a_kill_is_left_out(folder: RunFolder) -> None:
    folder.append_load([{"time_s": T0_S, "worker": "w1", "users": 5}])
    with folder.load.open("a") as file:
        file.write(f"{T0_S + 1},w1,\n{T0_S + 2},w")
    found = load_of(folder)
    assert found.users[0] == 5
    assert np.isnan(found.users[1:]).all()


def metrics(points: list[tuple[str, float, dict[str, str], float | None, str | None]]) -> pa.Table:
    when = pa.array([T0_NS + round(at * 1e9) for _, at, *_ in points], pa.int64()).cast(
        METRICS_SCHEMA.field("end").type
    )
    return pa.Table.from_arrays(
        [
            pa.array([metric for metric, *_ in points]),
            pa.array(["GAUGE"] * len(points)),
            pa.array(["1"] * len(points)),
            pa.array([json.dumps(labels) for _, _, labels, *_ in points]),
            when,
            when,
            pa.array([value for *_, value, _ in points], pa.float64()),
            pa.array([text for *_, text in points], pa.string()),
        ],
        schema=METRICS_SCHEMA,
    )


COUNT = "run.googleapis.com/container/instance_count"


def test_states_and_revisions_of_one_minute_are_added(folder: RunFolder) -> None:
    rows = [
        (COUNT, 60.0, {"state": "idle", "revision_name": "r1"}, 1.0, None),
        (COUNT, 60.0, {"state": "active", "revision_name": "r1"}, 2.0, None),
        (COUNT, 60.0, {"state": "active", "revision_name": "r2"}, 3.0, None),
        (COUNT, 0.0, {"state": "active", "revision_name": "r1"}, 1.0, None),
    ]
    folder.write_metrics(metrics(rows))
    gauge = instance_gauge(read_cloud(folder, read_series(folder, folder.read_run())))
    assert gauge is not None
    assert (gauge.at_s.tolist(), gauge.active.tolist(), gauge.idle.tolist()) == ([0, 60], [1, 5], [0, 1])


def test_distributions_give_their_mean_and_count(folder: RunFolder) -> None:
    text = json.dumps({"count": 4, "mean": 12.5, "bounds": [10, 20], "counts": [1, 2, 1]})
    folder.write_metrics(metrics([("run.googleapis.com/request_latencies", 60.0, {}, None, text)]))
    found = read_cloud(folder, read_series(folder, folder.read_run()))
    assert found is not None
    assert (found[0].value.tolist(), found[0].count.tolist()) == ([12.5], [4.0])
    assert instance_gauge(found) is None


def test_no_series_is_none_and_a_broken_file_a_sentence(folder: RunFolder) -> None:
    series = read_series(folder, folder.read_run())
    assert read_cloud(folder, series) is None
    folder.metrics.write_bytes(b"PAR1 not really")
    with pytest.raises(RunFolderError, match="cannot be read"):
        read_cloud(folder, series)


@pytest.mark.parametrize(("busy_s", "said"), [(10, True), (2, False)])
def test_a_machine_whose_cpu_was_full_most_of_the_time_is_named(folder: RunFolder, busy_s: int, *, said: bool) -> None:
    """All programs on the machine waited for the CPU, even a target that ran there. No single spike shows this."""
    folder.append_load([load_line(at) | {"machine_cpu_ratio": "1.0" if at < busy_s else "0.3"} for at in range(10)])
    report = build_report([folder.path])
    assert report.runs[0].measured.machine_busy_ratio == busy_s / 10
    assert ("CPU was full in 100 % of the seconds" in render_text(report)) is said
