"""Published percentiles equal numpy's, to the microsecond, for any order and number of rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadtest.recording.folder import RunFolder
from reports.data.exact import Distribution, Population, Who, distributions
from reports.data.series import read_series
from tests.reports.folders import write_rows

WHOLE = Population(0, 10**6)


def exact(folder: RunFolder, population: Population = WHOLE) -> Distribution:
    return distributions(folder, read_series(folder, folder.read_run()), [population])[0][0]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 4_000_000), min_size=1, max_size=300))
def test_percentiles_equal_numpys_default_method(
    tmp_path_factory: pytest.TempPathFactory, latencies: list[int]
) -> None:
    folder = write_rows(tmp_path_factory.mktemp("run"), latency_us=latencies)
    found = exact(folder)
    for quantile in found.quantiles:
        assert quantile.value_ms * 1000 == pytest.approx(np.quantile(latencies, quantile.q_ratio), abs=1e-3)
    assert (found.min_ms, found.max_ms) == (min(latencies) / 1000, max(latencies) / 1000)
    assert found.mean_ms == pytest.approx(np.mean(latencies) / 1000)


def test_only_successful_requests_count_and_the_failed_have_their_own(tmp_path: Path) -> None:
    outcome = ["ok"] * 50 + ["http_error"] * 20 + ["timeout"] * 30
    folder = write_rows(tmp_path, latency_us=[1000] * 50 + [2000] * 20 + [9000] * 30, outcome=outcome)
    assert exact(folder).max_ms == 1.0
    failed = exact(folder, Population(0, 100, who=Who.FAILED))
    assert (failed.requests, failed.max_ms) == (20, 2.0)
    assert exact(folder, Population(0, 100, who=Who.TIMEOUT)).min_ms == 9.0


def test_each_endpoint_has_the_percentiles_of_its_own_requests(tmp_path: Path) -> None:
    """Endpoints have three requests each, in any order. The middle request is the median."""
    names = [f"/{at % 20}" for at in range(60)]
    latency = [1000 * (at % 20) + 10 * (at // 20) for at in range(60)]
    folder = write_rows(tmp_path, latency_us=latency, name=names)
    series = read_series(folder, folder.read_run())
    _, endpoints = distributions(folder, series, [WHOLE])
    medians = {endpoint.name: found.at(0.5) for endpoint, found in zip(series.endpoints, endpoints, strict=True)}
    assert {name: median and median.value_ms for name, median in medians.items()} == {
        f"/{at}": pytest.approx(at + 0.01) for at in range(20)
    }


def test_a_population_without_requests_has_no_numbers(tmp_path: Path) -> None:
    folder = write_rows(tmp_path, latency_us=[1000])
    nothing = exact(folder, Population(500, 600))
    assert (nothing.requests, nothing.quantiles, nothing.max_ms, nothing.mean_ms) == (0, (), None, None)
    assert nothing.at(0.95) is None


def test_the_interval_encloses_the_truth_about_19_times_in_20(tmp_path: Path) -> None:
    # 200 samples of a uniform 0…1 s, whose p95 is 950 ms. Binomial ranks at 95 % lie within 3 sd of 190 of 200.
    inside = 0
    for seed in range(60):
        latency = np.random.default_rng(seed).integers(0, 1_000_000, 200)
        p95 = exact(write_rows(tmp_path / str(seed), latency_us=latency.tolist())).at(0.95)
        assert p95 is not None
        assert p95.high_ms is not None
        inside += p95.low_ms <= 950 <= p95.high_ms
    assert 51 <= inside <= 60


def test_too_few_requests_have_no_upper_end(tmp_path: Path) -> None:
    p99 = exact(write_rows(tmp_path, latency_us=list(range(1000, 51_000, 1000)))).at(0.99)
    assert p99 is not None
    assert p99.high_ms is None
