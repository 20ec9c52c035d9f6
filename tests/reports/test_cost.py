"""The cost of a run, checked by examples worked by hand, and only if Cloud Run's price list applies.

https://cloud.google.com/run/pricing, request-based billing, read 2026-08: tier 1: $0.000024 a vCPU-second, $0.0000025 a
GiB-second; $0.40 a million requests; free a month: 180,000 vCPU-seconds, 360,000 GiB-seconds, 2 million requests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from loadtest.core.cloud_metrics import BILLABLE_TIME, REQUEST_COUNT
from loadtest.recording.folder import RunFolder
from loadtest.recording.rows import METRICS_SCHEMA
from loadtest.recording.run import Limits, TargetRecord
from reports import model
from reports.summary.build import build_report
from tests.reports.folders import T0_NS, write_rows

LIMITS = Limits(cpu=1, memory_mib=512)


def cloud_run_of(
    path: Path, *, ok: int, failed: int, prices: Mapping[str, object], **columns: Sequence[object]
) -> RunFolder:
    """A run of two minutes against Cloud Run in tier 1."""
    target = TargetRecord(kind="cloud", url="https://ml.run.app", service="ml", region="us-central1", limits=LIMITS)
    count = ok + failed
    return write_rows(
        path,
        latency_us=[1000] * count,
        start_s=[at * 119.5 / count for at in range(count)],
        outcome=["ok"] * ok + ["http_error"] * failed,
        record={"target": target, "prices": dict(prices)},
        **columns,
    )


def billed(folder: RunFolder, *minutes: tuple[float, float]) -> None:
    """Store billed instance-seconds: for each minute, its beginning (in minutes after the load's start) and seconds."""
    rows = [
        {
            "metric": BILLABLE_TIME,
            "kind": "DELTA",
            "unit": "s",
            "labels": "{}",
            "start": T0_NS + round(minute * 60e9),
            "end": T0_NS + round((minute + 1) * 60e9),
            "value": value,
        }
        for minute, value in minutes
    ]
    folder.write_metrics(pa.Table.from_pylist(rows, METRICS_SCHEMA))


def cost_of(folder: RunFolder, prices: Mapping[str, object] | None = None) -> model.Cost | None:
    return build_report([folder.path], prices=prices).runs[0].cost


def test_a_run_costs_the_minutes_that_were_billed_and_its_requests(tmp_path: Path) -> None:
    folder = cloud_run_of(tmp_path, ok=1_800, failed=200, prices={})
    billed(folder, (-3, 50.0), (0, 800.0), (1, 1200.0))  # the first minute ended before the run, so it is not counted
    cost = cost_of(folder)
    assert cost is not None
    assert cost.instance_s == 2000
    # 2000 × (0.000024 + 0.5 × 0.0000025) + 2,000 × 0.40 / 10⁶ = 0.0505 + 0.0008
    assert cost.run_usd == pytest.approx(0.0513)
    assert cost.per_1000_predictions_usd == pytest.approx(0.0513 / 1.8)
    assert "list prices of 2026-08-01, tier 1 (us-central1), request-based billing" in cost.assumptions
    assert "free tier not counted" in cost.assumptions


def counted(folder: RunFolder, *minutes: tuple[float, float]) -> None:
    """Add the service's own count of requests to the series, one point per minute."""
    stored = folder.metrics_table()
    assert stored is not None
    rows = [
        {
            "metric": "run.googleapis.com/request_count",
            "kind": "DELTA",
            "unit": "1",
            "labels": "{}",
            "start": T0_NS + round(minute * 60e9),
            "end": T0_NS + round((minute + 1) * 60e9),
            "value": value,
        }
        for minute, value in minutes
    ]
    folder.write_metrics(pa.concat_tables([stored, pa.Table.from_pylist(rows, METRICS_SCHEMA)]))


def test_a_neighbours_minutes_are_not_the_runs(tmp_path: Path) -> None:
    """The service answered 8,000 requests in these minutes. 2,000 of them came from this run, so the run is charged a
    quarter of the 2,000 s.
    """
    folder = cloud_run_of(tmp_path, ok=2_000, failed=0, prices={})
    billed(folder, (0, 800.0), (1, 1200.0))
    counted(folder, (0, 4_000.0), (1, 4_000.0))
    cost = cost_of(folder)
    assert cost is not None
    assert cost.instance_s == pytest.approx(500)
    assert any("2000 that Cloud Monitoring billed (an upper bound)" in said for said in cost.assumptions)


def test_minutes_at_the_runs_edge_make_the_bill_an_upper_bound_where_nothing_tells_whose_they_are(
    tmp_path: Path,
) -> None:
    """700 of 1,700 s are in the minutes that begin 30 s before the run and end 30 s after it."""
    folder = cloud_run_of(tmp_path, ok=2_000, failed=0, prices={})
    billed(folder, (-0.5, 300.0), (0.5, 1_000.0), (1.5, 400.0))
    cost = cost_of(folder)
    assert cost is not None
    assert cost.instance_s == 1_700
    (said,) = [said for said in cost.assumptions if "as Cloud Monitoring billed them" in said]
    assert "an upper bound: 700 of them are in points that begin before the run or end after it" in said
    counted(folder, (-0.5, 500.0), (0.5, 1_000.0), (1.5, 500.0))
    known = cost_of(folder)
    assert known is not None
    assert not any("upper bound" in said for said in known.assumptions)


def test_idle_minimum_instances_are_in_the_cost(tmp_path: Path) -> None:
    """Two instances are kept for 120 s each and served for 100 s in total.

    The other 140 s are idle, at $0.0000025 a vCPU and $0.00000125 for 512 MiB.
    """
    with_two = cloud_run_of(tmp_path / "two", ok=2_000, failed=0, prices={})
    run = with_two.read_run()
    run.target.limits.min_instances = 2
    with_two.write_run(run)
    without = cloud_run_of(tmp_path / "none", ok=2_000, failed=0, prices={})
    for folder in (with_two, without):
        billed(folder, (0, 50.0), (1, 50.0))
    two, none = cost_of(with_two), cost_of(without)
    assert two is not None
    assert none is not None
    assert two.run_usd - none.run_usd == pytest.approx(140 * (0.0000025 + 0.5 * 0.0000025))


def test_a_bill_in_which_the_run_does_not_occur_is_not_used(tmp_path: Path) -> None:
    folder = cloud_run_of(tmp_path, ok=2_000, failed=0, prices={}, instance=["a"] * 2_000)
    billed(folder, (0, 0.0), (1, 0.0))
    counted(folder, (0, 0.0), (1, 0.0))
    cost = cost_of(folder)
    assert cost is not None
    assert cost.instance_s == pytest.approx(119.44, abs=0.01)
    assert any("one of the clocks is wrong" in said for said in cost.assumptions)


def test_a_bill_without_its_last_minute_is_not_used_as_the_whole_bill(tmp_path: Path) -> None:
    folder = cloud_run_of(tmp_path, ok=2_000, failed=0, prices={}, instance=["a"] * 2_000)
    billed(folder, (0, 800.0))
    cost = cost_of(folder)
    assert cost is not None
    # From the first to the last answer of the only instance: 119.44 s (2,000 requests, evenly over 119.5 s).
    assert cost.instance_s == pytest.approx(119.44, abs=0.01)
    assert "known up to 60 s only: fetch it again with `lt metrics`" in cost.assumptions[0]


def test_the_prices_that_a_run_was_made_with_price_its_report_and_others_may_be_given(tmp_path: Path) -> None:
    folder = cloud_run_of(tmp_path, ok=1_000, failed=0, prices={"vcpu_usd_per_s": 0.001, "memory_usd_per_gib_s": 0})
    billed(folder, (0, 100.0), (1, 100.0))
    dear, half = cost_of(folder), cost_of(folder, {"vcpu_usd_per_s": 0.0005})
    assert dear is not None
    assert half is not None
    assert dear.run_usd == pytest.approx(200 * 0.001 + 1_000 * 0.40 / 1e6)
    assert half.run_usd == pytest.approx(200 * 0.0005 + 1_000 * 0.40 / 1e6)
    free = cost_of(folder, {"free_tier": True})
    assert free is not None
    assert free.run_usd == 0


def test_a_run_of_which_nothing_is_known_has_no_cost(tmp_path: Path) -> None:
    """Missing series do not mean a cost of zero."""
    assert cost_of(cloud_run_of(tmp_path, ok=100, failed=0, prices={})) is None


@pytest.mark.parametrize(
    ("kind", "url", "priced"),
    [
        ("cloud", "https://ml-abc-nw.a.run.app", True),
        ("emulator", "http://127.0.0.1:8080", True),
        ("url", "https://ml-abc-nw.a.run.app", True),
        ("url", "http://127.0.0.1:8080", False),
        ("url", "https://run.app.example.com", False),
        ("local", "http://127.0.0.1:8080", False),
    ],
)
def test_only_cloud_run_and_its_emulator_have_a_price(kind: str, url: str, priced: bool) -> None:
    """Naming instances in headers does not mean that Cloud Run bills the service."""
    assert TargetRecord(kind=kind, url=url).capabilities.priced is priced


def test_settings_that_cloud_run_does_not_take_are_the_reason_on_the_card(tmp_path: Path) -> None:
    target = TargetRecord(kind="emulator", url="http://x", limits=Limits(cpu=0.06, memory_mib=512, concurrency=80))
    folder = write_rows(tmp_path, latency_us=[1000], start_s=[0.0], record={"target": target})
    (run,) = build_report([folder.path]).runs
    assert run.cost is None
    assert "0.06 vCPU" in run.not_priced


def test_every_revision_that_answered_is_named(tmp_path: Path) -> None:
    """Two of three revisions answered requests in the run's two minutes.

    The third answered requests only before that.
    """
    folder = cloud_run_of(tmp_path, ok=120, failed=0, prices={})
    rows = [
        {
            "metric": REQUEST_COUNT,
            "kind": "DELTA",
            "unit": "1",
            "labels": json.dumps({"revision_name": name, "response_code": "200"}),
            "start": T0_NS + round(minute * 60e9),
            "end": T0_NS + round((minute + 1) * 60e9),
            "value": 60.0,
        }
        for name, minute in (("ml-00001", -3), ("ml-00002", 0), ("ml-00003", 1))
    ]
    folder.write_metrics(pa.Table.from_pylist(rows, METRICS_SCHEMA))
    assert build_report([folder.path]).runs[0].revisions == ["ml-00002", "ml-00003"]
