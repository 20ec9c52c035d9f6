"""A run's rows are counted per second, for any order of the rows and any missing columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from loadtest.core.errors import RunFolderError
from reports.data.endpoints import MAX_ENDPOINTS, EndpointCounter
from reports.data.histogram import BINS, MIDDLE_US, bin_of, lower_us
from reports.data.instances import Instance
from reports.data.numbers import error_ratio
from reports.data.series import Series, read_series
from reports.data.window import Window
from tests.reports.folders import T0, run_record, write_rows


def series(path: Path, **rows: object) -> Series:
    folder = write_rows(path, **rows)  # type: ignore[arg-type] # columns of the test
    return read_series(folder, folder.read_run())


def test_a_bin_is_at_most_a_hundredth_wide_and_its_middle_within_half_a_percent() -> None:
    us = np.unique(np.geomspace(1, 4e9, 20_000).astype(np.int64))
    assert (np.abs(MIDDLE_US[bin_of(us)] / us - 1) <= 0.004).all()
    assert (np.diff(bin_of(us)) >= 0).all()
    assert bin_of(np.array([0, 255, 2**40])).tolist() == [0, 255, BINS - 1]
    bins = np.arange(BINS)
    assert (bin_of(lower_us(bins)) == bins).all()


def test_requests_count_in_the_second_they_started_and_answers_in_the_one_they_ended(tmp_path: Path) -> None:
    found = series(tmp_path, start_s=[2.5, 0.1, 0.9], latency_us=[100_000, 1_200_000, 50_000])
    assert found.started.tolist() == [2, 0, 1]
    assert found.ok_ended.tolist() == [1, 1, 1]
    assert found.in_flight.tolist() == [1, 0, 0]
    assert found.first_ok_us == 950_000


def test_a_request_that_ended_before_the_load_began_counts_at_its_begin(tmp_path: Path) -> None:
    """The clock of a worker on another machine may be wrong by seconds."""
    found = series(tmp_path, start_s=[-5.0, 0.5], latency_us=[1000, 1000])
    assert found.started.tolist() == found.ok_ended.tolist() == [2]
    assert found.first_ok_us == 0


def test_a_gap_is_a_gap_and_not_a_zero_latency(tmp_path: Path) -> None:
    found = series(tmp_path, start_s=[0.1, 5.1], latency_us=[1000, 1000])
    p95 = found.cells.grid(0, found.seconds).quantile(0.95)
    assert np.isnan(p95).tolist() == [False, True, True, True, True, False]


def test_requests_above_a_latency_are_counted_in_their_seconds_and_of_their_endpoint(tmp_path: Path) -> None:
    """Second 0 has one slow request of two, and second 1 has no request.

    Second 2 has two slow requests, of two endpoints, and second 3 has one fast request.
    """
    found = series(
        tmp_path,
        start_s=[0.1, 0.2, 2.1, 2.2, 3.0],
        latency_us=[1000, 9000, 9000, 9000, 1000],
        name=["/a", "/a", "/a", "/b", "/b"],
    )
    assert found.cells.above(2000).tolist() == found.cells.grid(0, 4).above(2000).tolist() == [1, 0, 2, 0]
    first, second = (found.cells.only(at) for at in (0, 1))
    assert [cells.above(2000).tolist() for cells in (first, second)] == [[1, 0, 1, 0], [0, 0, 1, 0]]
    assert [cells.grid(0, 4).requests().tolist() for cells in (first, second)] == [[2, 0, 1, 0], [0, 0, 1, 1]]
    assert found.cells.only(None) is found.cells


def test_without_load_start_the_first_row_is_time_zero(tmp_path: Path) -> None:
    folder = write_rows(tmp_path, start_s=[40.0, 41.5], latency_us=[1000, 1000], record={"load_start": None})
    found = read_series(folder, folder.read_run())
    assert found.t0_ns == int(T0.timestamp() * 1e9) + 40 * 10**9
    assert found.started.tolist() == [1, 1]


def test_what_came_before_time_zero_counts_in_its_first_second(tmp_path: Path) -> None:
    assert series(tmp_path, start_s=[-0.002, 0.5], latency_us=[1000, 1000]).started.tolist() == [2]


def test_failures_are_apart_by_outcome_status_and_endpoint(tmp_path: Path) -> None:
    found = series(
        tmp_path,
        latency_us=[1000] * 5,
        outcome=["ok", "http_error", "http_error", "timeout", "ok"],
        status=[200, 429, 503, None, 200],
        name=["/a", "/a", "/a", "/b", "/b"],
    )
    assert {status: counts.sum() for status, counts in found.by_status.items()} == {0: 1, 200: 2, 429: 1, 503: 1}
    assert found.by_endpoint.tolist() == [3, 2]
    assert found.failed_by_endpoint.tolist() == [2, 1]
    assert found.timeout_at_least_us == 1000


def test_optional_columns_that_are_missing_are_not_known(tmp_path: Path) -> None:
    found = series(tmp_path, latency_us=[1000])
    assert (found.instances, found.young, found.open_loop) == ((), None, False)


def test_instances_are_followed_by_their_headers(tmp_path: Path) -> None:
    found = series(
        tmp_path,
        start_s=[0.0, 4.0, 20.0, 30.0],
        latency_us=[4_000_000, 50_000, 60_000, 2_000_000],
        instance=["a", "a", "a", "b"],
        instance_age_ms=[500, 550, 16_560, 100],
    )
    assert found.young is not None
    assert found.young.sum() == 3  # all requests except the one that an instance aged 16.6 s answered
    a, b = found.instances
    assert (a.name, a.requests, a.first_ms[0], b.first_ms) == ("a", 3, 4000.0, [2000.0])
    assert a.ready_s == pytest.approx(3.5)  # answered at 4.0 s by an instance aged 0.5 s
    assert isinstance(b, Instance)
    assert b.first_seen_s == pytest.approx(32.0)


def test_open_loop_response_time_counts_the_lateness(tmp_path: Path) -> None:
    found = series(tmp_path, latency_us=[10_000, 10_000], late_us=[0, 990_000])
    assert found.open_loop
    assert found.cells.grid(0, 1).quantile(1.0)[0] == pytest.approx(1_000_000, rel=0.004)


def test_many_endpoints_are_bounded(tmp_path: Path) -> None:
    """There are 1,000 names that are not ids.

    The first half of the names is requested twice, the very last name always fails, and all other names become one
    line.
    """
    words = [f"/{chr(97 + at // 26 // 26)}{chr(97 + at // 26 % 26)}{chr(97 + at % 26)}" for at in range(1000)]
    names = words + words[:500]
    outcome = ["http_error" if name == words[-1] else "ok" for name in names]
    found = series(tmp_path, latency_us=[1000] * 1500, name=names, outcome=outcome)
    assert len(found.endpoints) == MAX_ENDPOINTS
    assert found.by_endpoint.sum() == 1500
    kept = {endpoint.name for endpoint in found.endpoints}
    assert kept >= {*words[:500], words[-1]}
    assert found.endpoints[-1].name == f"({1000 - MAX_ENDPOINTS + 1} other endpoints)"
    assert found.by_endpoint[-1] == 1000 - MAX_ENDPOINTS + 1


def test_a_name_that_stands_twice_in_a_dictionary_is_one_endpoint() -> None:
    """A writer of rows may list a text at two indices. `/a` then has 2 + 2 requests, and comes before `/b` with 3."""
    names = pa.DictionaryArray.from_arrays(pa.array([0, 0, 1, 1, 2, 2, 2], pa.int32()), pa.array(["/a", "/a", "/b"]))
    methods = pa.DictionaryArray.from_arrays(pa.array([0] * 7, pa.int32()), pa.array(["GET"]))
    counter = EndpointCounter()
    counter.see(names, methods, np.zeros(7, dtype=np.bool_))
    assert [endpoint.name for endpoint in counter.close().endpoints] == ["/a", "/b"]


def test_names_that_differ_in_ids_share_an_endpoint_where_there_are_too_many(tmp_path: Path) -> None:
    few = [f"step {at}" for at in range(100)]
    assert len(series(tmp_path / "few", latency_us=[1000] * 100, name=few).endpoints) == 100
    many = [f"/item/{at}" for at in range(2000)]
    (only,) = series(tmp_path / "many", latency_us=[1000] * 2000, name=many).endpoints
    assert only.name == "/item/{id}"


def test_requests_that_the_generator_could_not_send_are_no_failures_of_the_service(tmp_path: Path) -> None:
    found = series(tmp_path, latency_us=[1000] * 4, outcome=["ok", "generator", "unanswered", "wrong_answer"])
    assert (found.failed.sum(), found.generator.sum(), found.censored.sum()) == (2, 1, 1)
    assert error_ratio(found, Window(0, found.seconds)) == pytest.approx(2 / 3)


def test_a_row_weeks_away_is_refused_in_a_sentence(tmp_path: Path) -> None:
    folder = write_rows(tmp_path, start_s=[0.0, 40 * 86400.0], latency_us=[1000, 1000])
    with pytest.raises(RunFolderError, match="40 days"):
        read_series(folder, run_record("run"))
