"""The heatmap counts every successful request once, and an endpoint's own lines come from its rows alone."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from reports.data import rules
from reports.model import RunSummary
from reports.render.charts import payload
from reports.summary.build import build_report
from tests.reports.folders import write_rows

SECONDS = 300
COUNT = 6_000
NAMES = ("/fast", "/slow", "/rare")


@pytest.fixture(scope="module")
def rows() -> dict[str, np.ndarray]:
    random = np.random.default_rng(11)
    which = random.choice(3, COUNT, p=(0.6, 0.38, 0.02))
    return {
        "which": which,
        "start_s": np.sort(random.uniform(0, SECONDS - 5, COUNT)),
        "latency_us": (np.array((2_000, 80_000, 900_000))[which] * random.lognormal(0, 0.3, COUNT)).astype(int),
        "failed": (random.random(COUNT) < 0.05) & (which == 1),
        "bytes": 40 + 100 * which,
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, rows: dict[str, np.ndarray]) -> RunSummary:
    folder = write_rows(
        tmp_path_factory.mktemp("heat"),
        latency_us=rows["latency_us"].tolist(),
        start_s=rows["start_s"].tolist(),
        name=[NAMES[at] for at in rows["which"]],
        outcome=["http_error" if failed else "ok" for failed in rows["failed"]],
        status=[500 if failed else 200 for failed in rows["failed"]],
        error=["HTTP 500" if failed else None for failed in rows["failed"]],
        bytes=rows["bytes"].tolist(),
    )
    return build_report([folder.path]).runs[0]


def test_every_successful_request_is_in_one_cell(run: RunSummary, rows: dict[str, np.ndarray]) -> None:
    """A request's start and latency decide its cell. The latency is exact to 0.8 %, the width of a bin."""
    heatmap = run.heatmap
    assert heatmap is not None
    counts = np.array(heatmap.counts)
    ok = ~rows["failed"]
    assert counts.sum() == ok.sum()
    assert counts.shape[0] == rules.HEATMAP_ROWS == len(heatmap.edges_ms) - 1
    assert counts.shape[1] <= rules.HEATMAP_COLUMNS
    per_stretch = np.bincount((rows["start_s"][ok] // heatmap.step_s).astype(int), minlength=counts.shape[1])
    assert counts.sum(axis=0).tolist() == per_stretch.tolist()
    edges_us = 1000 * np.array(heatmap.edges_ms)
    latency = rows["latency_us"][ok]
    assert edges_us[0] <= latency.min()
    assert edges_us[-1] >= latency.max()
    for band in range(len(counts)):
        surely = ((latency > edges_us[band] * 1.01) & (latency < edges_us[band + 1] / 1.01)).sum()
        perhaps = ((latency > edges_us[band] / 1.01) & (latency < edges_us[band + 1] * 1.01)).sum()
        assert surely <= counts[band].sum() <= perhaps


def test_an_endpoint_s_lines_are_those_of_its_own_rows(run: RunSummary, rows: dict[str, np.ndarray]) -> None:
    by_name = {endpoint.name: endpoint for endpoint in run.endpoints}
    for at, name in enumerate(NAMES):
        series = by_name[name].series
        assert series is not None
        assert series.step_s == 1
        mine = (rows["which"] == at) & ~rows["failed"]
        second = rows["start_s"].astype(int)
        answered = np.bincount(second[mine], minlength=len(series.columns["ok_per_s"]))
        assert series.columns["ok_per_s"][:-1] == answered[:-1].tolist()
        busiest = int(np.argmax(answered))
        latencies = np.sort(rows["latency_us"][mine & (second == busiest)]) / 1000
        exact = latencies[math.ceil(0.5 * len(latencies)) - 1]
        assert series.columns["p50_ms"][busiest] == pytest.approx(exact, rel=0.005)
    failed = by_name["/slow"].series
    assert failed is not None
    assert sum(failed.columns["failed_per_s"]) == rows["failed"].sum()  # type: ignore[arg-type] # there is no gap among them
    assert "failed_per_s" not in (by_name["/fast"].series or failed).columns


def test_an_endpoint_s_bytes_are_counted(run: RunSummary, rows: dict[str, np.ndarray]) -> None:
    for endpoint in run.endpoints:
        assert endpoint.mean_bytes == 40 + 100 * NAMES.index(endpoint.name)
        sent = (rows["which"] == NAMES.index(endpoint.name)).sum()
        assert endpoint.bytes_per_s == pytest.approx(endpoint.mean_bytes * sent / run.duration_s)


def test_one_endpoint_alone_has_no_lines_of_its_own(tmp_path: Path) -> None:
    folder = write_rows(tmp_path, latency_us=[1000] * 200)
    report = build_report([folder.path])
    assert report.runs[0].endpoints[0].series is None
    assert payload(report)["endpoints"] == []


def test_latencies_that_are_all_alike_have_a_heatmap_too(tmp_path: Path) -> None:
    (run,) = build_report([write_rows(tmp_path, latency_us=[1000] * 200).path]).runs
    assert run.heatmap is not None
    assert np.array(run.heatmap.counts).sum() == 200
    assert run.heatmap.edges_ms[0] < run.heatmap.edges_ms[-1]


def test_a_run_without_a_success_has_none(tmp_path: Path) -> None:
    folder = write_rows(tmp_path, latency_us=[1000] * 20, outcome=["connection"] * 20)
    report = build_report([folder.path])
    assert report.runs[0].heatmap is None
    assert "heatmap" not in {chart["id"] for chart in payload(report)["charts"]}
