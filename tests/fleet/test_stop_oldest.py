"""`--stop-on "oldest > 30s"`: a request that waits too long ends a run, at once or after the given duration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadtest.core.errors import ObjectiveError
from loadtest.core.objectives import parse_objective
from loadtest.fleet.progress import ProgressSnapshot
from loadtest.fleet.stop_conditions import StopOn

NOW = ProgressSnapshot(0, 0, 0.0, None, None, 5, 1, 0.0, (), in_flight=12, oldest_s=0.0)


def test_the_oldest_request_ends_a_run() -> None:
    """At 30 s, the request has not waited for more than 30 s. At 31 s, it has."""
    stop = StopOn(parse_objective("oldest > 30s", live=True))
    assert stop(replace(NOW, elapsed_s=40.0, oldest_s=30.0), ()) is None
    assert stop(replace(NOW, elapsed_s=41.0, oldest_s=31.0), ()) == (
        "`--stop-on oldest > 30s`: the oldest of 12 requests in flight had waited 31 s"
    )


def test_it_has_to_hold_for_its_window() -> None:
    """With `for 5s`, an answer in between restarts the window. Without any report, nothing ends."""
    stop = StopOn(parse_objective("oldest > 2s for 5s", live=True))
    waits = {1: 3.0, 2: 4.0, 3: 0.1, 4: 2.5, 5: 3.5, 8: 6.5, 9: 7.5}
    found = [at for at, oldest_s in waits.items() if stop(replace(NOW, elapsed_s=at, oldest_s=oldest_s), ())]
    assert found == [9]
    assert stop(replace(NOW, elapsed_s=20.0, oldest_s=None), ()) is None


def test_it_is_no_objective() -> None:
    """After a run no request waits any more, so `--slo` refuses `oldest` and names the option that accepts it."""
    with pytest.raises(ObjectiveError, match="use it with --stop-on"):
        parse_objective("oldest < 30s")
