"""Any event that a client fires, with any fields and headers, becomes a row with valid values or is refused by name."""

from __future__ import annotations

import decimal
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.core.row_bounds import MAX_AGE_MS, MAX_BYTES, MAX_LATENCY_MS
from loadtest.recorder.events import LeftOut, RefusedEventError, for_locust, row_of
from loadtest.recording.buffer import pack_row
from loadtest.recording.outcomes import CHECK_FAILED, CONNECTION, HTTP_ERROR, OK, TIMEOUT

quick = settings(max_examples=300, deadline=None)


class Raises:
    """A scenario's object that raises an error at every access."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")

    def __bool__(self) -> bool:
        raise RuntimeError("bool")


odd = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=8)
    | st.sampled_from(
        [
            np.float32(3),
            np.float64("nan"),
            np.int64(-5),
            np.array([1, 2]),
            np.array(4.5),
            decimal.Decimal("NaN"),
            decimal.Decimal("1.5"),
            Raises(),
            object(),
            [],
            {},
            ValueError("x"),
            TimeoutError(),
            ValueError,
            1 + 2j,
            "\ud800",
            "\x1b[31m",
        ]
    )
)
header_values = st.sampled_from(
    [
        *("inf", "-inf", "nan", "1e30", "-1", "1e400", "0x10", "", " ", "12", "12.7", "predict;dur=inf"),
        *("predict;dur=1e30", "predict;dur=-3", 'predict;dur="4.5"', "predict", "a,b;c", "predict;desc=x;dur=2"),
        *(b"7", 9, None, [], object()),
    ]
)
header_names = st.sampled_from(
    ["x-instance-id", "X-Instance-Id", "x-instance-age-ms", "X-INSTANCE-AGE-MS", "server-timing", "Server-Timing"]
)
headers = st.dictionaries(header_names, header_values) | st.lists(st.tuples(header_names, header_values)) | odd


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an event with any value in any field. Some fields are missing."""
    answers = st.builds(lambda status, found: SimpleNamespace(status_code=status, headers=found), odd, headers)
    response = draw(odd | answers)
    names = ["request_type", "name", "response_time", "response_length", "exception", "context", "start_time", "url"]
    event = {name: draw(odd) for name in names if draw(st.booleans())}
    return event | {"response": response}


@quick
@given(events())
def test_any_event_is_a_row_within_bounds_or_a_named_refusal(event: dict[str, Any]) -> None:
    """Only RefusedEventError is raised, and every number fits its column."""
    left_out = LeftOut()
    try:
        row = row_of(event, left_out)
    except RefusedEventError as refused:
        name = refused.name
    else:
        name = ""
    if name:
        assert name.startswith("response_time ")
        return
    assert 0 <= row.latency_us <= MAX_LATENCY_MS * 1000
    assert 0 <= row.bytes <= MAX_BYTES
    assert -1 <= row.instance_age_ms <= MAX_AGE_MS
    assert -1 <= row.server_us <= MAX_LATENCY_MS * 1000
    assert row.name.isprintable()
    assert row.method.isprintable()
    assert bool(row.error) <= (row.outcome != OK)
    values = (1, row.latency_us, -1, 1, 1, row.status, row.outcome, 1, row.bytes, 1, row.instance_age_ms, row.server_us)
    pack_row(*values, 0)  # in a run with one target


@quick
@given(events())
def test_locusts_totals_get_values_that_can_be_counted_and_sent(event: dict[str, Any]) -> None:
    """Locust's totals get only plain numbers and text. One numpy number would prevent the report from being sent."""
    clean = for_locust(event)
    assert clean["response_time"] is None or type(clean["response_time"]) is float
    assert type(clean["response_length"]) is int
    assert type(clean["name"]) is str


@pytest.mark.parametrize(
    ("response_time", "latency_us"),
    [(5, 5000), (5.25, 5250), (np.float32(3), 3000), (np.int64(2), 2000), (decimal.Decimal("1.5"), 1500), (0, 0)],
)
def test_numbers_of_any_kind_are_response_times(response_time: Any, latency_us: int) -> None:
    """Milliseconds become microseconds."""
    event = {"name": "a", "request_type": "X", "response_time": response_time}
    assert row_of(event, LeftOut()).latency_us == latency_us


@pytest.mark.parametrize("response_time", [None, -5, math.nan, math.inf, "12", 1e12, np.array([1, 2]), object()])
def test_an_invalid_response_time_is_refused_unless_it_was_measured(response_time: Any) -> None:
    """A row with this time would be wrong. If the recorder measured the call's latency, the row gets that latency."""
    event = {"name": "a", "request_type": "X", "response_time": response_time}
    with pytest.raises(RefusedEventError):
        row_of(event, LeftOut())
    assert row_of(event, LeftOut(), latency_us=70).latency_us == 70


def answered(status: Any, **fields: Any) -> dict[str, Any]:
    response = SimpleNamespace(status_code=status, headers=fields.pop("headers", {}), error=fields.pop("error", None))
    return {"name": "a", "request_type": "GET", "response_time": 1.0, "response": response, **fields}


@pytest.mark.parametrize(
    ("event", "outcome", "error"),
    [
        (answered(200), OK, ""),
        (answered("503", exception="text"), HTTP_ERROR, "text"),
        (answered(200, exception="no good"), CHECK_FAILED, "no good"),
        (answered(0, exception="no good", error=TimeoutError("1 s")), TIMEOUT, "no good ({n} s)"),
        (answered(0, exception=ValueError("late"), error=ConnectionResetError("reset")), CONNECTION, "late (reset)"),
        (answered(0, exception=TimeoutError("1 s"), error=None), TIMEOUT, "{n} s"),
        ({"name": "q", "request_type": "SQL", "response_time": 1, "exception": "locked"}, CHECK_FAILED, "locked"),
    ],
)
def test_a_failure_reported_by_the_scenario_keeps_the_transports_reason(
    event: dict[str, Any], outcome: int, error: str
) -> None:
    """A timeout that the scenario marks with `failure("…")` stays a timeout, with both reasons in its text."""
    row = row_of(event, LeftOut())
    assert (row.outcome, row.error) == (outcome, error)


@pytest.mark.parametrize("kind", [dict, list, tuple])
@pytest.mark.parametrize("name", ["x-instance-age-ms", "X-Instance-Age-Ms"])
def test_headers_are_found_as_mapping_and_as_pairs(kind: Any, name: str) -> None:
    """The case of the names does not matter."""
    pairs = [(name, "12.7"), ("server-timing", "db;dur=1, predict;dur=2.5")]
    row = row_of(answered(200, headers=kind(pairs)), LeftOut())
    assert (row.instance_age_ms, row.server_us) == (12, 2500)


@pytest.mark.parametrize("value", ["inf", "1e30", "-1", "nan", "garbage"])
def test_a_header_that_is_no_number_is_left_out_and_counted(value: str) -> None:
    """The row is written without the header's value."""
    left_out = LeftOut()
    row = row_of(answered(200, headers={"x-instance-age-ms": value, "server-timing": f"predict;dur={value}"}), left_out)
    assert (row.instance_age_ms, row.server_us, row.outcome) == (-1, -1, OK)
    assert len(left_out.values) == 2
