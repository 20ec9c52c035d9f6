"""Messages of workers: everything that is invalid is refused by name, and no type or size raises any other error."""

from __future__ import annotations

from array import array
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.recorder.admission import AdmissionError, check_greeting, check_report
from loadtest.recorder.messages import join_proof
from loadtest.recording.frames import Frame, encode_frame
from tests.recording.frames import T0, frame

NOW_NS = int(T0.timestamp() * 1e9) + 30_000_000_000

quick = settings(max_examples=200, deadline=None)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def report(**changes: Any) -> dict[str, Any]:
    return {
        "worker": "w1",
        "frame": encode_frame(replace(frame(rows=3), begun=4)),
        "rows_sent": 3,
        "begun": 4,
        "time_s": 1_700_000_000,
        "users": 2,
        "in_flight": 1,
        "oldest_s": 0.5,
        "cpu_ratio": 0.1,
        "loop_lag_ms": 0.2,
        "machine_cpu_ratio": None,
        "refused": 0,
        "task_errors": [{"where": "task", "exception": "KeyError", "count": 1, "traceback": "a\n\x1b[31mb"}],
        "refusals": [{"name": "response_time is None", "count": 2, "lost": True}],
        "custom_methods": ["MQTT"],
    } | changes


def test_a_sound_report_is_taken() -> None:
    """The frame of the report is decoded, and characters that move a terminal's cursor are removed from its texts."""
    found = check_report(report(), worker="w1", now_ns=NOW_NS)
    assert found.frame is not None
    assert (found.frame.rows, found.begun, found.users) == (3, 4, 2)
    assert found.task_errors[0].traceback == "a\n[31mb"


@quick
@given(st.sampled_from(sorted(report())), anything)
def test_any_value_in_any_place_is_taken_or_refused(name: str, value: object) -> None:
    """Only AdmissionError is raised."""
    with suppress(AdmissionError):
        check_report(report(**{name: value}), worker="w1", now_ns=NOW_NS)


@quick
@given(anything)
def test_anything_at_all_is_refused(data: object) -> None:
    """Data of any form is never accepted as a report or a greeting by chance."""
    with pytest.raises(AdmissionError):
        check_report(data, worker="w1", now_ns=NOW_NS)
    with pytest.raises(AdmissionError):
        check_greeting(data, client_id="c", secret="s")


def forged(**columns: list[int]) -> Frame:
    sound = replace(frame(rows=3), begun=9)
    changed = {name: array(sound.columns[name].typecode, values) for name, values in columns.items()}
    return replace(sound, columns={**sound.columns, **changed})


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"rows_sent": -999_999_976}, "rows_sent is not a count"),
        ({"begun": 2**60}, "begun is not a count"),
        ({"users": 10**9}, "users is not a count"),
        ({"users": True}, "users is not a count"),
        ({"cpu_ratio": float("nan")}, "cpu_ratio is not a number"),
        ({"worker": "w2"}, "report in another worker's name"),
        ({"frame": "text"}, "frame is not bytes"),
        ({"frame": b"x" * 70_000_000}, "frame too large"),
        ({"frame": encode_frame(frame("w2", rows=1))}, "frame in another worker's name"),
        ({"frame": encode_frame(frame(rows=1, rows_before=-5))}, "frame's rows_before is not a count"),
        ({"frame": encode_frame(forged(latency_us=[1, 2, -5000]))}, "frame's latency_us is out of bounds"),
        ({"frame": encode_frame(forged(start=[0, 0, 0]))}, "frame's start is out of bounds"),
        ({"frame": encode_frame(forged(name=[0, 0, 0]))}, "frame has a row without name or method"),
        (
            {"frame": encode_frame(replace(frame(rows=1), begun=1, strings=("", "/a", "GET", "x" * 10_000, "i")))},
            "frame has a text that is too long or not printable",
        ),
        (
            {"frame": encode_frame(replace(frame(rows=1), begun=1, strings=("", "/a\x1b[2J", "GET", "e", "i")))},
            "frame has a text that is too long or not printable",
        ),
        ({"task_errors": [{"where": 5}]}, "task_errors does not have the right form"),
        ({"task_errors": [{}] * 1000}, "task_errors is not a list"),
    ],
)
def test_forgeries_are_refused_by_name(changes: dict[str, Any], name: str) -> None:
    """The forgeries are values below zero, other workers' names, huge frames, absurd texts, and wrong types."""
    with pytest.raises(AdmissionError) as refused:
        check_report(report(**changes), worker="w1", now_ns=NOW_NS)
    assert refused.value.name == name


def greeting(**changes: Any) -> dict[str, Any]:
    return {"worker": "w1", "host": "h", "pid": 7, "versions": {"python": "3.11"}, "proof": ""} | changes


def test_a_worker_that_knows_the_secret_joins() -> None:
    """The proof is valid for this client alone. Without a secret, no proof is required."""
    assert check_greeting(greeting(), client_id="c", secret="").worker == "w1"
    proof = join_proof("s3cret", "c")
    assert check_greeting(greeting(proof=proof), client_id="c", secret="s3cret").pid == 7
    for other in (greeting(), greeting(proof=join_proof("s3cret", "d")), greeting(proof=5)):
        with pytest.raises(AdmissionError, match="wrong join secret"):
            check_greeting(other, client_id="c", secret="s3cret")
