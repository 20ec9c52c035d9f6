"""Durations have one grammar, for options and objectives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.core.durations import parse_duration_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("2m", 120),
        ("2min", 120),
        ("2 min", 120),
        ("1h30m", 5400),
        ("1h 30min", 5400),
        ("1.5m", 90),
        ("1.1m", 66),
        (" 10s ", 10),
        ("500ms", 0.5),
        ("1d", 86_400),
    ],
)
def test_a_length_is_read(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", " ", "s", "-1s", "1x", "1h90", "30m1h", "1m2m", "1e3s", "inf", "٣s", "1:30"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"give a duration|not a unit|needs a unit|larger units"):
        parse_duration_s(text)


@given(st.text(alphabet="0123456789.hmsin d", max_size=12))
def test_any_text_is_a_length_or_a_value_error(text: str) -> None:
    try:
        assert parse_duration_s(text) >= 0
    except ValueError:
        return
