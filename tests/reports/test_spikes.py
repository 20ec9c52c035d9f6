"""Spikes are found and get the right cause, and no spike is found where there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from loadtest.core.cloud_metrics import INSTANCE_COUNT
from loadtest.recording.rows import METRICS_SCHEMA
from loadtest.recording.run import TargetRecord
from reports.analysis.analysis import Analysis, analyse
from reports.data import rules
from reports.data.load import read_load
from reports.data.series import read_series
from reports.spikes.baseline import classify, measure
from reports.spikes.causes import Cause, Confidence, explain
from reports.spikes.detection import find_spikes
from reports.spikes.ordinary import without_ordinary
from reports.spikes.requests import read_requests
from reports.spikes.view import RunData
from tests.queueing import Queue, simulate_queue
from tests.recording.live import load_line
from tests.reports.folders import T0, plan, write_rows
from tests.simulator import Event, Kind, Story, simulate

SCALING_S = (3.7, 24, 24.5, 25, 38, 38.5, 39, 68, 68, 68, 69, 69, 84, 84)
"""When each instance was ready in the first experiments with the emulator (notes of 2026)."""


def analysed(path: Path, story: Story, seed: int = 1) -> Analysis:
    folder = simulate(path / "run", story, seed)
    return analyse(folder, folder.read_run())


def queued(path: Path, queue: Queue) -> Analysis:
    folder = simulate_queue(path / "run", queue, seed=1)
    return analyse(folder, folder.read_run())


def causes(analysis: Analysis) -> list[str]:
    return [spike.cause for spike in analysis.spikes]


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.COLD_ZERO])
def test_each_kind_of_event_is_found_in_time_and_named(tmp_path: Path, kind: Kind) -> None:
    found = analysed(tmp_path, Story(events=[Event(kind, at_s=300, length_s=60)]))
    assert causes(found) == [Cause.DEPENDENCY if kind is Kind.DEPENDENCY else kind.value]
    spike, explanation = found.spikes[0], found.spikes[0]
    assert abs(spike.onset_s - 300) <= 10
    assert abs(spike.end_s - 360) <= 10
    assert spike.ratio >= 1.5
    assert spike.peak_low_ms <= spike.peak_ms <= (spike.peak_high_ms or spike.peak_ms)
    assert spike.extra_waiting_request_s > 0
    assert explanation.evidence
    sure = Confidence.LOW if kind is Kind.DEPENDENCY else Confidence.HIGH
    assert explanation.confidence == sure


def test_a_cold_start_from_zero_is_named(tmp_path: Path) -> None:
    found = analysed(tmp_path, Story(events=[Event(Kind.COLD_ZERO, 0, 5, wait_s=4.5)]))
    assert causes(found) == [Cause.COLD_START]
    assert found.spikes[0].onset_s == 0
    assert found.warmup.first_answer_s == pytest.approx(4.5, abs=0.5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("users", [5.0, 40.0])
def test_a_quiet_run_has_no_spike(tmp_path: Path, seed: int, users: float) -> None:
    assert causes(analysed(tmp_path, Story(users=users, drift=0.08, sigma=0.5), seed)) == []


@pytest.mark.parametrize("gauge", ["none", "late"])
@pytest.mark.parametrize("kind", [Kind.COLD_ADDED, Kind.SCALE_OUT, Kind.STUCK])
def test_without_instance_data_nothing_is_claimed_of_instances(tmp_path: Path, kind: Kind, gauge: str) -> None:
    story = Story(events=[Event(kind, 300, 60)], headers=False, gauge=gauge)
    for spike in analysed(tmp_path, story).spikes:
        assert spike.cause in {Cause.SATURATION_UNSEEN, Cause.UNEXPLAINED, Cause.DEPENDENCY, Cause.ADDED_INSTANCE}
        assert spike.confidence == Confidence.LOW
        assert any("nstance data" in sentence for sentence in spike.evidence)


@pytest.mark.parametrize("kind", [Kind.COLD_ADDED, Kind.SCALE_OUT, Kind.STUCK])
def test_the_gauge_alone_names_the_cause_with_medium_confidence(tmp_path: Path, kind: Kind) -> None:
    found = analysed(tmp_path, Story(events=[Event(kind, 300, 70)], headers=False))
    assert causes(found) == [kind.value]
    low = kind is Kind.COLD_ADDED  # one sample per minute does not show which requests a new instance answered
    assert found.spikes[0].confidence == (Confidence.LOW if low else Confidence.MEDIUM)


def test_a_saturated_generator_is_never_the_servers_spike(tmp_path: Path) -> None:
    # Demand is new and an instance is added, but the worker's core was full.
    events = [Event(Kind.SCALE_OUT, 300, 60), Event(Kind.GENERATOR, 300, 60)]
    assert causes(analysed(tmp_path, Story(events=events))) == [Cause.GENERATOR]


def test_the_story_of_a_scaled_ramp_is_a_cold_start_and_then_saturation(tmp_path: Path) -> None:
    found = queued(tmp_path, Queue(300, 5, 120, SCALING_S, service_ms=33))
    assert causes(found) == [Cause.COLD_START, Cause.SCALE_OUT]
    first, second = found.spikes
    assert first.onset_s == 0
    assert first.end_s <= second.onset_s <= 15
    assert abs(second.end_s - 75) <= 10  # twelve instances serve 300/s from 69 s on


@pytest.mark.parametrize("ready_s", [1.8, 3.0])
@pytest.mark.parametrize("service_ms", [20, 25, 28, 33, 40])
def test_a_ramp_that_saturates_seconds_after_its_cold_start_is_two_spikes(
    tmp_path: Path, service_ms: float, ready_s: float
) -> None:
    """Only a few seconds between the cold start and saturation have light load, and everything else is slower."""
    found = queued(tmp_path, Queue(104, 5, 180, [ready_s], service_ms=service_ms))
    assert causes(found) == [Cause.COLD_START, Cause.SATURATION]
    assert found.spikes[0].onset_s == 0
    assert found.spikes[0].end_s <= found.spikes[1].onset_s <= 10


def test_a_local_service_that_saturates_and_stays_so_is_one_spike(tmp_path: Path) -> None:
    # One process serves 182/s, and the ramp goes to 300/s. The process is full after 36 s, and stays full for the other
    # nine tenths of the run.
    found = queued(tmp_path, Queue(300, 5, 400, [-5.0], service_ms=5.5, kind="local"))
    assert causes(found) == [Cause.SATURATION]
    assert 30 <= found.spikes[0].onset_s <= 50
    assert found.spikes[0].cut


@pytest.mark.parametrize("first_ms", [0.0, 400.0])
def test_a_local_run_has_no_invented_spike(tmp_path: Path, first_ms: float) -> None:
    queue = Queue(300, 5, 120, [-60.0, -60.0], service_ms=2, kind="local", first_request_extra_ms=first_ms)
    assert causes(queued(tmp_path, queue)) == []


def test_a_cold_start_that_two_requests_met_is_its_own_line(tmp_path: Path) -> None:
    queue = Queue(20, 5, 120, [-60.0, 60.0], service_ms=4, kind="cloud", first_request_extra_ms=900)
    found = queued(tmp_path, queue)
    assert found.slow_first is not None
    assert found.slow_first.requests >= 1
    assert found.slow_first.worst_ms >= 900


def begun_at_zero(
    path: Path, *, slow_until_s: float = 0.0, kind: str = "emulator", busy_s: float = 0.0, lag_ms: float = 0.0
) -> Analysis:
    """Return the analysis of 30 requests/s whose first instance is ready at 3 s.

    For `busy_s`, the machine is busy and the workers' event loops are late by `lag_ms`.
    """
    rng = np.random.default_rng(1)
    start = np.arange(0, 180, 1 / 30)
    own_ms = 10 * np.exp(rng.normal(0, 0.3, len(start))) * np.where(start < slow_until_s, 2.5, 1.0)
    latency_us = np.maximum(own_ms * 1000, (3.1 - start) * 1e6).astype(int)
    url = "http://127.0.0.1:8080" if kind == "emulator" else "https://service.example"
    record = {"target": TargetRecord(kind=kind, url=url)}
    headers: dict[str, list[object]] = {}
    if busy_s:
        headers["instance"] = ["i1"] * len(start)
        headers["instance_age_ms"] = [int(age) for age in (start + latency_us / 1e6 - 3) * 1000]
    folder = write_rows(path / "run", latency_us=latency_us.tolist(), start_s=start.tolist(), record=record, **headers)
    if busy_s:
        busy = {"machine_cpu_ratio": "1.0", "loop_lag_ms": str(lag_ms)}
        folder.append_load(
            [load_line(at) | (busy if at < busy_s else {"machine_cpu_ratio": "0.3"}) for at in range(180)]
        )
    return analyse(folder, folder.read_run())


def test_a_cold_start_before_a_slow_minute_is_one_spike_and_not_two(tmp_path: Path) -> None:
    """The slow minute belongs to the same slow period as the cold start.

    It is less slow than the cold start, but it is found first.
    """
    found = begun_at_zero(tmp_path, slow_until_s=60).spikes
    assert [spike.cause for spike in found].count(Cause.COLD_START) == 1
    assert (found[0].onset_s, found[0].end_s) == (0, 4)
    assert all(earlier.end_s <= later.onset_s for earlier, later in pairwise(found))


@pytest.mark.parametrize(("kind", "cause"), [("emulator", Cause.COLD_START), ("url", Cause.MACHINE)])
def test_an_instance_that_starts_on_this_machine_makes_it_busy_and_not_the_other_way_round(
    tmp_path: Path, kind: str, cause: Cause
) -> None:
    assert causes(begun_at_zero(tmp_path, kind=kind, busy_s=4)) == [cause]


def test_an_event_loop_that_was_late_by_much_less_than_a_cold_start_did_not_cause_it(tmp_path: Path) -> None:
    """The instance that starts keeps the machine busy, so the event loop is late.

    This explains only 0.2 s of the 3 s.
    """
    (found,) = begun_at_zero(tmp_path, busy_s=2, lag_ms=200).spikes
    assert (found.cause, found.confidence) == (Cause.COLD_START, Confidence.HIGH)


def test_a_revision_that_was_gone_before_the_load_was_not_replaced_during_it(tmp_path: Path) -> None:
    """After `lt deploy` and `lt run`, the platform's last samples before the load count the earlier revision."""
    queue = Queue(300, 5, 120, SCALING_S, service_ms=33)
    folder = simulate_queue(tmp_path / "run", queue, seed=1)
    expected = causes(analyse(folder, folder.read_run()))
    points = [
        {
            "metric": INSTANCE_COUNT,
            "kind": "GAUGE",
            "labels": json.dumps({"state": "active", "revision_name": "r1" if at < 0 else "r2"}),
            "start": T0 + timedelta(seconds=at),
            "end": T0 + timedelta(seconds=at),
            "value": float(instances),
        }
        for at, instances in ((-83, 1), (-23, 1), (37, 6), (97, 12))
    ]
    folder.write_metrics(pa.Table.from_pylist(points, schema=METRICS_SCHEMA))
    assert causes(analyse(folder, folder.read_run())) == expected
    assert Cause.REVISION not in expected


@pytest.mark.parametrize(("apart_s", "text"), [(60, "No 60 s contain 3 successful requests"), (0, "No request")])
def test_a_run_without_a_level_says_whether_requests_succeeded(tmp_path: Path, apart_s: int, text: str) -> None:
    outcome = "ok" if apart_s else "http_error"
    start = [float(at * apart_s) for at in range(80)]
    folder = write_rows(tmp_path / "run", start_s=start, latency_us=[5000] * 80, outcome=[outcome] * 80)
    found = analyse(folder, folder.read_run()).baseline
    assert not found.known
    assert found.text.startswith(text)


def test_the_seconds_of_other_spikes_say_nothing_about_a_busy_machine_outside_spikes(tmp_path: Path) -> None:
    """The machine is busy in both spikes and in a quarter of the other seconds."""
    start = np.arange(0, 600, 0.05)
    slow = ((start >= 200) & (start < 240)) | ((start >= 400) & (start < 440))
    record = {"target": TargetRecord(kind="url", url="https://service.example")}
    folder = write_rows(
        tmp_path / "run", start_s=start.tolist(), latency_us=np.where(slow, 300_000, 20_000).tolist(), record=record
    )
    busy = [at for at in range(600) if 200 <= at < 240 or 400 <= at < 440 or at % 4 == 0]
    folder.append_load([load_line(at) | {"machine_cpu_ratio": "1.0" if at in busy else "0.3"} for at in range(600)])
    found = analyse(folder, folder.read_run()).spikes
    assert [spike.cause for spike in found] == [Cause.MACHINE, Cause.MACHINE]
    for spike in found:
        assert "busy in 100% of these seconds and 25% of the seconds outside spikes" in spike.evidence[0]


@pytest.mark.parametrize("thinned", [1, 2])
def test_a_slight_rise_is_left_out_of_a_run_of_any_size(tmp_path: Path, thinned: int) -> None:
    """In runs of more than 400,000 requests the rules read only every second request, or fewer."""
    random = np.random.default_rng(3)
    start = np.arange(0, 400, 1 / 150)
    slower = (start >= 200) & (start < 240) & (random.random(len(start)) < 0.3)
    latency_us = 40_000 * np.exp(random.normal(0, 0.25, len(start))) * np.where(slower, 1.62, 1)
    folder = write_rows(tmp_path / "run", start_s=start.tolist(), latency_us=latency_us.astype(int).tolist())
    run = folder.read_run()
    series = read_series(folder, run)
    load, windows, requests = read_load(folder, run, series), measure(series), read_requests(folder, series)
    levels = classify(series, windows, load)
    rises = find_spikes(series, windows, levels)
    assert [rise.ratio < rules.SHOWN_RATIO for rise in rises] == [True]
    read = replace(requests, thinned=thinned)
    data = RunData(run, series, load, None, None, read, (), rises, levels.of)
    assert without_ordinary([explain(rise, data) for rise in rises], data) == ()


def test_a_stop_after_a_spike_does_not_report_its_last_seconds_twice(tmp_path: Path) -> None:
    """No request is sent from 55 to 110 s, so the windows there reach back into the end of the spike.

    This end is so much lower than the spike's peak that it would be a spike of its own.
    """
    start = np.r_[np.arange(0, 55, 0.05), np.arange(110, 400, 0.05)]
    latency_us = 20_000 * np.exp(np.random.default_rng(1).normal(0, 0.2, len(start)))
    latency_us[(start >= 35) & (start < 50)] = 200e6
    latency_us[(start >= 50) & (start < 55)] = 1e6
    folder = write_rows(tmp_path / "run", start_s=start.tolist(), latency_us=latency_us.astype(int).tolist())
    found = analyse(folder, folder.read_run()).spikes
    assert [(spike.onset_s, spike.end_s) for spike in found] == [(35, 55)]


def test_the_usual_request_is_one_of_those_that_succeeded(tmp_path: Path) -> None:
    """Nine of ten requests go to an endpoint that only fails. The user waits all the time."""
    start = np.arange(0, 120, 0.02).tolist()
    fails = [at % 10 > 0 for at in range(len(start))]
    folder = write_rows(
        tmp_path / "run",
        start_s=start,
        latency_us=[20_000] * len(start),
        record={"scenario": plan((0, 1), (120, 1))},
        outcome=["http_error" if failed else "ok" for failed in fails],
        name=["/broken" if failed else "/predict" for failed in fails],
    )
    found = analyse(folder, folder.read_run()).baseline
    assert (found.reference, found.text) == ("normal windows", "Measured against the run's normal windows: p95 20 ms.")
