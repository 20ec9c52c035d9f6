"""Following a run from outside reads only new data, and keeps no more in memory than its window."""

from __future__ import annotations

from pathlib import Path

from loadtest.fleet.progress import WINDOW_S, Follower
from loadtest.recording.folder import RunFolder
from loadtest.recording.frames import encode_frame
from loadtest.recording.run import Outcome
from tests.recording.frames import T0, frames, record

LINE = {"planned_users": "", "in_flight": "", "cpu_ratio": "0.100", "loop_lag_ms": "0.3", "refused": 0}


def test_a_growing_spool_is_counted_once(tmp_path: Path) -> None:
    """An incomplete frame is read as soon as its other half has arrived.

    Requests and failures are totals since the beginning; only the window drops old rows.
    """
    folder = RunFolder.create(tmp_path, record(load_start=None, outcome=Outcome.COMPLETE))
    follower = Follower(folder)
    look = follower.look(0.0)
    snapshot, new = look.snapshot, look.new
    assert (snapshot.requests, snapshot.users, snapshot.p95_ms, snapshot.elapsed_s, new) == (0, None, None, None, ())

    encoded = [encode_frame(frame) for frame in frames(3, failed=2)]
    with folder.spool.open("ab", buffering=0) as spool:
        spool.write(encoded[0] + encoded[1][:20])
        look = follower.look(1.0)
        snapshot, new = look.snapshot, look.new
        assert (snapshot.requests, snapshot.failed, len(new)) == (10, 2, 1)
        assert snapshot.p50_ms == 6.5  # the percentile of the successful requests, which took 3 … 10 ms
        spool.write(encoded[1][20:] + encoded[2])
        look = follower.look(2.0)
        snapshot, new = look.snapshot, look.new
        assert (snapshot.requests, snapshot.failed, len(new)) == (30, 6, 2)
        assert snapshot.requests_per_s == 30 / WINDOW_S
    look = follower.look(2.5 + WINDOW_S)
    snapshot, new = look.snapshot, look.new
    assert (snapshot.requests, snapshot.requests_per_s, snapshot.p50_ms, new) == (30, 0.0, None, ())
    assert not follower._recent


def test_load_lines_give_the_users_and_the_busy_workers(tmp_path: Path) -> None:
    """The newest line of each worker counts. A worker above 0.9 of a core or 50 ms of lag is named."""
    folder = RunFolder.create(tmp_path, record(load_start=T0))
    follower = Follower(folder)
    follower.look(0.0)
    folder.append_load([LINE | {"time_s": 1, "worker": "w1", "users": 5}])
    assert follower.look(1.0).snapshot.users == 5
    folder.append_load(
        [
            LINE | {"time_s": 2, "worker": "w1", "users": 7, "cpu_ratio": "0.950"},
            LINE | {"time_s": 2, "worker": "w2", "users": 4, "loop_lag_ms": "80.0"},
            LINE | {"time_s": 2, "worker": "w3", "users": 0, "loop_lag_ms": "8000.0", "own_code_ms": "8000.0"},
        ]
    )
    with folder.load.open("a", encoding="utf-8") as file:
        file.write("3,w1,,9")  # a line that is being written
    snapshot = follower.look(2.0).snapshot
    assert snapshot.users == 11
    assert snapshot.elapsed_s is not None
    assert [text.split(":")[0] for text in snapshot.saturated] == [
        "worker w1 uses 95% of a core",
        "worker w2 was 80 ms late",
        "worker w3 was blocked for 8000 ms by a listener of the scenario, so no user could run during that time",
    ]


def test_requests_in_flight_are_reported_and_a_silent_workers_users_are_not(tmp_path: Path) -> None:
    """The numbers of requests in flight of all workers are added.

    The age is the age of the oldest request, and it grows.

    After 6 s without a line, a worker is left out.
    """
    folder = RunFolder.create(tmp_path, record(load_start=T0))
    follower = Follower(folder)
    folder.append_load(
        [
            LINE | {"time_s": 1, "worker": "w1", "users": 5, "in_flight": 3, "oldest_s": "0.4"},
            LINE | {"time_s": 1, "worker": "w2", "users": 4, "in_flight": 4, "oldest_s": "12.0"},
        ]
    )
    snapshot = follower.look(1.0).snapshot
    assert (snapshot.users, snapshot.in_flight, snapshot.oldest_s) == (9, 7, 12.0)
    folder.append_load([LINE | {"time_s": 6, "worker": "w1", "users": 5, "in_flight": 0, "oldest_s": "0.0"}])
    snapshot = follower.look(6.5).snapshot
    assert (snapshot.users, snapshot.in_flight, snapshot.oldest_s) == (9, 4, 17.5)
    snapshot = follower.look(7.5).snapshot
    assert (snapshot.users, snapshot.in_flight, snapshot.oldest_s) == (5, 0, 0.0)
