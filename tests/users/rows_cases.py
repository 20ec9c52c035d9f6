"""Rows reach users in the requested order. These tests need Locust in the process."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st
from locust.exception import StopUser

from loadtest import rows
from loadtest.core.data_files import DataFileError
from loadtest.users.row_blocks import BLOCK_ROWS, Allocation, Hub


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of 250 rows, and a process that has not given out any of them."""
    monkeypatch.setattr("loadtest.users.rows.HUB", Hub())
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"id": n}) + "\n" for n in range(250)))
    return file


def test_sequential_begins_again_at_the_end(path: Path) -> None:
    assert [row["id"] for row in islice(rows(path, "sequential"), 600)] == [n % 250 for n in range(600)]


def test_shuffle_gives_every_row_in_an_order_of_its_seed(path: Path) -> None:
    one, same, other = ([row["id"] for row in islice(rows(path, "shuffle", seed=s), 2000)] for s in (1, 1, 2))
    assert one == same != other
    assert set(one) == set(range(250))
    assert one[:250] != sorted(one[:250])


def test_once_gives_each_row_to_one_of_many_users_and_then_ends_them(path: Path) -> None:
    """Twenty greenlets share the rows. When there are no more rows, Locust's own exception ends each greenlet."""
    data, got, ended = rows(path, "once"), [], []

    def user() -> None:
        try:
            while True:
                got.append(next(data)["id"])
                gevent.sleep(0)
        except StopUser:
            ended.append(True)

    gevent.joinall([gevent.spawn(user) for _ in range(20)], timeout=30)
    assert sorted(got) == list(range(250))
    assert len(ended) == 20


@given(st.integers(0, 1000), st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1)), max_size=60))
def test_no_row_is_given_twice_and_what_was_not_sent_is_counted(total: int, asked: list[tuple[str, float]]) -> None:
    """For any order of calls, ranges do not overlap, and the sent and unsent rows together are the whole file."""
    allocation, given_out, sent = Allocation(Path("f"), "", total), [], {}
    for worker, used_ratio in asked:
        begin, end = allocation.take(worker)
        given_out += list(range(begin, end))
        sent[worker] = sent.get(worker, 0) + int((end - begin) * used_ratio)
        allocation.use(worker, sent[worker])
    assert given_out == list(range(min(total, len(asked) * BLOCK_ROWS)))
    assert allocation.record().rows_not_sent_at_most == total - sum(sent.values())


def test_a_worker_cannot_report_more_used_rows_than_it_got() -> None:
    allocation = Allocation(Path("f"), "", 1000)
    allocation.take("a")
    for lie in (10**12, -5):
        allocation.use("a", lie)
        assert 900 <= allocation.record().rows_not_sent_at_most <= 1000


@pytest.mark.parametrize(("order", "name"), [("backwards", "rows.jsonl"), ("once", "missing.csv")])
def test_a_mistake_is_reported_when_the_scenario_is_loaded(path: Path, order: str, name: str) -> None:
    with pytest.raises(DataFileError):
        rows(path.with_name(name), order)  # type: ignore[arg-type]


def test_two_files_of_one_name_are_refused(path: Path, tmp_path: Path) -> None:
    rows(path, "once")
    other = tmp_path / "elsewhere" / path.name
    other.parent.mkdir()
    other.write_bytes(path.read_bytes())
    with pytest.raises(DataFileError, match="has the same name"):
        rows(other, "once")
