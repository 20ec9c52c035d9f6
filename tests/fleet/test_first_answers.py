"""A run ends if an endpoint always fails and further answers could not change that."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import pytest

from loadtest.fleet.first_answers import FIRST, WITHIN_S, FirstAnswers
from loadtest.fleet.progress import ProgressSnapshot, recent_of
from loadtest.recording.frames import COLUMNS, OUTCOMES, Frame
from tests.recording.frames import T0_NS

NOW = ProgressSnapshot(0, 0, 0.0, None, None, None, 1, 0.0, ())


@dataclass(frozen=True)
class Sent:
    """A request: when it was sent, how long its answer took, and how it ended."""

    at_s: float
    took_s: float = 0.1
    status: int = 200
    outcome: str = "ok"
    name: str = "/predict"
    error: str = ""
    side: int = 0


def failed(at_s: float, status: int = 422, *, name: str = "/predict", side: int = 0) -> Sent:
    return Sent(at_s, status=status, outcome="http_error", name=name, error=f"HTTP {status}", side=side)


def frame_of(*requests: Sent) -> Frame:
    strings = ("", "POST", *dict.fromkeys(text for each in requests for text in (each.name, each.error) if text))
    values = {
        "start": [T0_NS + round(each.at_s * 1e9) for each in requests],
        "latency_us": [round(each.took_s * 1e6) for each in requests],
        "name": [strings.index(each.name) for each in requests],
        "method": [1] * len(requests),
        "status": [each.status for each in requests],
        "outcome": [OUTCOMES.index(each.outcome) for each in requests],
        "error": [strings.index(each.error) for each in requests],
        "side": [each.side for each in requests],
    }
    columns = {name: array(code, values.get(name, [0] * len(requests))) for name, code in COLUMNS.items()}
    return Frame(worker="w1", seq=0, rows=len(requests), rows_before=0, strings=strings, columns=columns)


def ends_with(*frames: tuple[Sent, ...]) -> str | None:
    """Return the sentence with which these frames end a run, with one look per frame; None if the run goes on."""
    first = FirstAnswers()
    return next((why for rows in frames if (why := first(NOW, (recent_of(frame_of(*rows), 0.0),)))), None)


def test_an_endpoint_whose_first_answers_all_fail_ends_the_run() -> None:
    why = ends_with((failed(0), failed(1), failed(2)))
    assert (
        why
        == f"the first {FIRST} answers of POST /predict all failed with HTTP 422 (`--no-check` lets the run continue)"
    )


def test_failed_answers_add_up_over_frames() -> None:
    assert ends_with((failed(0),), (failed(1),)) is None
    assert ends_with((failed(0),), (failed(1),), (failed(2),)) is not None


def test_one_success_among_the_first_answers_lets_the_run_go_on() -> None:
    """A service that fails sometimes is exactly what a load test is for."""
    assert ends_with((failed(0), failed(1), Sent(2)), tuple(failed(3 + at) for at in range(20))) is None


def test_one_endpoint_of_several_is_enough() -> None:
    good = tuple(Sent(at, name="/ok") for at in range(9))
    why = ends_with((*good, *(failed(at, 404, name="/gone") for at in range(3))))
    assert why is not None
    assert "POST /gone all failed with HTTP 404" in why


def test_answers_to_requests_that_were_sent_before_the_first_answer_count_as_one() -> None:
    """A hundred users call a service at once when it has just started.

    All their requests fail once, and no later request fails.
    """
    burst = tuple(failed(0, 500) for _ in range(100))
    assert ends_with(burst, (Sent(1),)) is None
    assert ends_with(burst, (failed(1, 500), failed(2, 500))) is not None


@pytest.mark.parametrize("status", [408, 425, 429, 502, 503, 504])
def test_a_service_that_is_full_or_starting_is_measured(status: int) -> None:
    assert ends_with(tuple(failed(at, status) for at in range(9))) is None


@pytest.mark.parametrize("outcome", ["timeout", "connection", "unanswered", "generator"])
def test_requests_without_an_answer_do_not_count_against_the_scenario(outcome: str) -> None:
    """The tutorial's timeout of 1 s cuts off every request that waits for a cold start."""
    assert ends_with(tuple(Sent(at, status=0, outcome=outcome, error=outcome) for at in range(9))) is None


def test_a_client_without_statuses_is_not_judged() -> None:
    """While its service starts, a gRPC client's UNAVAILABLE looks like a rejected answer without a status."""
    assert ends_with(tuple(Sent(at, status=0, outcome="check_failed", error="UNAVAILABLE") for at in range(9))) is None


def test_an_answer_that_the_scenario_rejects_is_a_failed_one_and_its_reason_is_said() -> None:
    rejected = tuple(Sent(at, outcome="check_failed", error="no score in it") for at in range(3))
    why = ends_with(rejected)
    assert why is not None
    assert "all failed with the scenario's check: no score in it" in why


def test_a_wrong_answer_is_a_result_and_ends_nothing() -> None:
    """`--check-answers` counts wrong answers, so a run must not end at the first one."""
    assert ends_with(tuple(Sent(at, outcome="wrong_answer", error="score") for at in range(9))) is None


def test_an_endpoint_that_comes_late_ends_nothing() -> None:
    """By that time, the rest of the run is worth more than the answers of this endpoint."""
    late = tuple(failed(WITHIN_S + 1 + at, name="/rare") for at in range(9))
    assert ends_with((Sent(0),), late) is None


def test_the_time_counts_from_the_first_answer_not_from_the_load() -> None:
    """A scenario may begin with a pause, and a cold start may take a while."""
    assert ends_with(tuple(failed(2 * WITHIN_S + at) for at in range(3))) is not None


def test_each_of_two_targets_is_looked_at_alone() -> None:
    good = tuple(Sent(at, side=1) for at in range(3))
    why = ends_with((*good, *(failed(at, 404, side=2) for at in range(3))))
    assert why is not None
    assert "POST /predict of B" in why
