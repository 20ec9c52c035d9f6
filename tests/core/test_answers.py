"""Two answers are equal if their values are equal, except ignored fields and numbers within the tolerance."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.core.answers import MAX_DIFFERENCES, WHOLE, AnswerCheck, differences

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
    max_leaves=20,
)
quick = settings(max_examples=200, deadline=None)


def fields(before: Any, now: Any, **check: Any) -> list[str]:
    encoded = (item if isinstance(item, bytes) else json.dumps(item).encode() for item in (before, now))
    return [each.field for each in differences(*encoded, AnswerCheck(**check))]


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shuffled(inner) for name, inner in reversed(value.items())}
    return [shuffled(inner) for inner in value] if isinstance(value, list) else value


@quick
@given(VALUES)
def test_the_order_of_fields_and_white_space_do_not_count(value: Any) -> None:
    """The same values are equal in any notation, even with a tolerance of 0."""
    pretty = json.dumps(shuffled(value), indent=2).encode()
    assert differences(json.dumps(value).encode(), pretty, AnswerCheck(tolerance=0)) == []


@quick
@given(st.dictionaries(st.text(min_size=1, max_size=6), VALUES, min_size=1, max_size=4), st.data())
def test_a_changed_field_is_found_and_may_be_ignored(value: dict[str, Any], data: st.DataObject) -> None:
    """The only difference is a field with another text. If this field is ignored, there is no difference."""
    name = data.draw(st.sampled_from(sorted(value)))
    changed = {**value, name: "other than anything drawn: \u2603\u2603"}
    assert len(fields(value, changed)) == 1
    assert fields(value, changed, ignore=(name,)) == []


@pytest.mark.parametrize(
    ("before", "now", "named"),
    [
        ({"a": 1}, {"a": 2}, ["a"]),
        ({"a": 1_000_000}, {"a": 1_000_001}, ["a"]),  # no tolerance: an id is not a measurement
        ({"a": 0.5}, {"a": 0.5000004}, []),
        ({"a": 0.5}, {"a": 0.50002}, ["a"]),
        ({"a": 1e9}, {"a": 1e9 + 0.5}, []),
        ({"a": 1.7e9}, {"a": 1.7e9 + 1.1}, ["a"]),  # a clock
        ({"a": 1e-9}, {"a": 2e-9}, []),  # below 1 the tolerance is absolute
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": True}, {"a": 1}, ["a"]),
        ({"a": None}, {}, ["a"]),
        ({}, {"b": 1}, ["b"]),
        ({"x": [{"y": 1}, {"y": 2}]}, {"x": [{"y": 1}, {"y": 3}]}, ["x[].y"]),
        ({"x": [1, 2]}, {"x": [1]}, ["x"]),
        ([1], [2], ["[]"]),
        (1, 2, [WHOLE]),
        ({"a": "1"}, {"a": 1}, ["a"]),
        (b'{"a": NaN}', b'{"a":NaN}', []),
        (b'{"a": NaN}', b'{"a": 1}', ["a"]),
        (b"plain text", b"plain text", []),
        (b"plain text", b"plain rest", [f"{WHOLE}, from byte 6 on"]),
        (b'{"a": 1}', b"<html>", [f"{WHOLE}, from byte 0 on"]),
        (b"", b"{}", [f"{WHOLE}, from byte 0 on"]),
    ],
)
def test_differing_fields_are_named(before: Any, now: Any, named: list[str]) -> None:
    """A difference is named by the path from the top, without positions in lists."""
    assert fields(before, now) == named


def test_a_path_ignores_one_field_and_a_name_all_of_that_name() -> None:
    """If `meta.id` is ignored, the `id` at the top is still compared."""
    before, now = {"id": 1, "meta": [{"id": 2}]}, {"id": 5, "meta": [{"id": 6}]}
    assert fields(before, now, ignore=("meta.id",)) == ["id"]
    assert fields(before, now, ignore=("id",)) == []


def test_differences_are_few_and_short_whatever_the_answers_are() -> None:
    """The answers have a thousand changed fields, long texts, and JSON that is nested deeper than Python's stack."""
    before, now = {f"f{n}": "a" * 5000 for n in range(1000)}, {f"f{n}": "b" * 5000 for n in range(1000)}
    found = differences(json.dumps(before).encode(), json.dumps(now).encode(), AnswerCheck())
    assert len(found) == MAX_DIFFERENCES
    assert all(len(each.expected) < 100 for each in found)
    deep = b"[" * 100_000
    assert len(differences(deep + b"1", deep + b"2", AnswerCheck())) == 1


@pytest.mark.parametrize("wrong", [{"tolerance": -1}, {"tolerance": math.nan}, {"tolerance": 1}, {"ignore": "id"}])
def test_a_check_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """The error comes when the check is created, which is when the scenario is loaded."""
    with pytest.raises(ValueError, match="AnswerCheck"):
        AnswerCheck(**wrong)
