"""The account of rows: the number of missing rows is exact if a worker reported its count, and a bound if not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from loadtest.recorder.ledger import Ledger
from tests.recording.frames import T0, frame, frames


def test_rows_that_all_arrived_give_no_reason() -> None:
    """With three frames of 10 rows and a final count of 30, nothing is missing."""
    ledger = Ledger()
    ledger.joined("w1", host="here", pid=7)
    assert all(ledger.received(frame) for frame in frames(3))
    ledger.finished("w1", rows_sent=30)
    (account,) = ledger.records()
    assert (account.rows_sent, account.rows_received, account.rows_missing_at_most) == (30, 30, 0)
    assert (account.host, account.pid) == ("here", 7)
    assert ledger.reasons(start=T0) == []


def test_a_frame_is_entered_once() -> None:
    """The same frame again, or an earlier one, is refused and not counted."""
    ledger = Ledger()
    first, second = frames(2)
    assert [ledger.received(item) for item in (first, second, second, first)] == [True, True, False, False]
    assert ledger.records()[0].rows_received == 20


@pytest.mark.parametrize("lost", [{1}, {0}, {1, 2}, {0, 2}])
def test_a_gap_says_how_many_rows_it_held(lost: set[int]) -> None:
    """`rows_before` of a later frame shows how many rows the lost frames had, before the worker reports its count."""
    ledger = Ledger()
    for each in frames(4):
        if each.seq not in lost:
            ledger.received(each)
    assert ledger.records()[0].rows_missing_at_most == 10 * len(lost)
    assert ledger.reasons(start=T0) == [f"{10 * len(lost)} rows of worker w1 did not arrive"]
    ledger.finished("w1", rows_sent=40)
    assert ledger.records()[0].rows_missing_at_most == 10 * len(lost)


def test_a_lost_last_frame_is_known_from_the_final_count() -> None:
    """No later frame shows the loss, but the worker's count does."""
    ledger = Ledger()
    ledger.received(frame(rows=10))
    ledger.finished("w1", rows_sent=17)
    assert ledger.records()[0].rows_missing_at_most == 7


def test_a_frame_that_could_not_be_written_is_missing() -> None:
    """A frame that was entered and could not be written to disk counts as missing, not as received."""
    ledger = Ledger()
    first, second = frames(2)
    ledger.received(first)
    ledger.received(second)
    ledger.unwritten(second)
    assert ledger.records()[0].rows_received == 10
    assert ledger.records()[0].rows_missing_at_most == 10
    ledger.finished("w1", rows_sent=20)
    assert ledger.reasons(start=T0) == ["10 rows of worker w1 did not arrive"]


@pytest.mark.parametrize(("in_flight", "least"), [(None, 30), (12, 30), (80, 80)])
def test_a_lost_worker_is_bounded_by_two_flushes_and_what_was_in_flight(in_flight: int | None, least: int) -> None:
    """The bound has two parts.

    Two flushes of at most 25 rows each may be lost: one that is being filled, and one in transit. In addition, one row
    may be lost for each of 30 users, or for each request in flight, whichever number is larger.
    """
    ledger = Ledger()
    ledger.received(frame(rows=25))
    ledger.received(frame(seq=1, rows=5, rows_before=25))
    ledger.reported("w1", users=30, in_flight=in_flight)
    ledger.lost("w1", at=T0 + timedelta(seconds=42), why="it ended")
    assert ledger.records()[0].rows_missing_at_most == 2 * 25 + least
    (reason,) = ledger.reasons(start=T0)
    assert reason == f"worker w1 was lost at 42 s (it ended): at most {50 + least} of its rows are missing"


def test_the_first_moment_of_a_loss_stays_and_a_found_worker_is_not_lost() -> None:
    """If a lost worker is checked a second time, nothing changes.

    If the worker reports again, the loss is cancelled.
    """
    ledger = Ledger()
    ledger.joined("w1", host="here", pid=7)
    ledger.lost("w1", at=T0, why="no sign of life for 3 s")
    ledger.lost("w1", at=T0 + timedelta(seconds=9), why="it ended")
    assert (ledger.records()[0].lost_at, ledger.records()[0].lost_why) == (T0, "no sign of life for 3 s")
    ledger.found("w1")
    ledger.finished("w1", rows_sent=0)
    assert ledger.reasons(start=T0) == []


def test_the_shortest_round_trip_tells_the_clock() -> None:
    """The measurement with the smallest uncertainty is kept, even if later ones follow."""
    ledger = Ledger()
    for offset_us, uncertainty_us in [(100.0, 50.0), (-20.0, 5.0), (400.0, 300.0)]:
        ledger.clock("w1", offset_us=offset_us, uncertainty_us=uncertainty_us)
    account = ledger.records()[0]
    assert (account.clock_offset_us, account.clock_uncertainty_us) == (-20.0, 5.0)


def test_begun_is_rows_and_refusals() -> None:
    """30 requests were begun: 28 are rows, and 2 were refused.

    If only 1 was refused, one request is unaccounted for, and a sentence says so.
    """
    ledger = Ledger()
    for each in frames(3):
        ledger.received(each)
    ledger.finished("w1", rows_sent=30, begun=32, refused_rows=2)
    assert ledger.reasons(start=T0) == []
    assert ledger.records()[0].begun == 32
    ledger.finished("w1", rows_sent=30, begun=32, refused_rows=1)
    assert ledger.reasons(start=T0) == ["worker w1 began 32 requests but reported only 31 as sent or refused"]


def test_a_lost_worker_is_bounded_by_what_it_had_begun() -> None:
    """A service hangs. A worker has begun 60 requests, 55 of them in one second, and has 5 rows.

    At most 165 rows are missing: those of the 55 open requests, and two flushes of 55 rows.
    """
    ledger = Ledger()
    ledger.received(replace(frame(rows=5), begun=5))
    ledger.received(replace(frame(seq=1, rows=0, rows_before=5), begun=60))
    ledger.lost("w1", at=T0, why="it ended")
    assert ledger.records()[0].rows_missing_at_most == 55 + 2 * 55


@pytest.mark.parametrize("rows_before", [-999_999_976, 9, 10**12])
def test_a_frame_that_contradicts_those_before_it_is_refused(rows_before: int) -> None:
    """The frame claims fewer earlier rows than arrived, or more although no frame is missing, or more than any run has.

    None of the frame's numbers are counted.
    """
    ledger = Ledger()
    ledger.received(frame(rows=10))
    with pytest.raises(ValueError, match="claims"):
        ledger.received(replace(frame(seq=1, rows=1), rows_before=rows_before))
    assert ledger.records()[0].rows_received == 10


def test_a_worker_that_ends_before_the_load_gets_no_negative_time() -> None:
    """Locust's test_start comes after its workers have joined."""
    ledger = Ledger()
    ledger.joined("w1", host="here", pid=7)
    ledger.ended("w1", at=T0 - timedelta(seconds=1), why="the scenario's init failed")
    assert ledger.reasons(start=T0) == ["worker w1 ended before the load began: the scenario's init failed"]


def test_a_worker_that_ends_by_itself_is_not_lost() -> None:
    """The worker has sent all its rows and reports the reason itself, so nothing is missing."""
    ledger = Ledger()
    ledger.received(frame(rows=10))
    ledger.ended("w1", at=T0 + timedelta(seconds=3), why="the scenario called sys.exit(3) in A.buy")
    ledger.finished("w1", rows_sent=10, begun=10)
    ledger.lost("w1", at=T0 + timedelta(seconds=9), why="it ended")
    assert ledger.reasons(start=T0) == ["worker w1 ended at 3 s: the scenario called sys.exit(3) in A.buy"]
