"""One function parses the service's own time from Server-Timing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.core.server_timing import MAX_US, server_us, us_of_ms


def test_the_entry_is_read_in_microseconds() -> None:
    """`predict;dur=` is in ms. The time may be anywhere in the list, it may be quoted, and it may be absent."""
    assert server_us("predict;dur=1.2345") == 1235
    assert server_us('db;dur=3, predict;desc="x";dur="2"') == 2000
    assert server_us("db;dur=3") is server_us("predict") is server_us("") is None


@pytest.mark.parametrize("number", ["soon", "inf", "-inf", "nan", "1e30", "-1", "-0.0001", "", "1e309"])
def test_a_number_that_is_no_duration_is_rejected(number: str) -> None:
    with pytest.raises(ValueError):
        server_us(f"predict;dur={number}")


@given(st.text())
def test_whatever_a_header_holds_is_a_duration_none_or_a_value_error(value: str) -> None:
    for text in (value, f"predict;{value}", f"predict;dur={value}"):
        try:
            found = server_us(text)
        except ValueError:
            continue
        assert found is None or 0 <= found <= MAX_US


def test_bytes_and_text_are_read_in_the_same_way() -> None:
    assert us_of_ms(b"1.5") == us_of_ms("1.5") == 1500
