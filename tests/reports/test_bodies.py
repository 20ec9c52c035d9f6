"""The content of a failed answer's body is summarised in one line."""

from __future__ import annotations

import json

import pytest

from reports.render.bodies import LONGEST, MOST_ERRORS, gist_of

UNPROCESSABLE = {
    "detail": [
        {"type": "missing", "loc": ["body", "age"], "msg": "Field required", "input": {"income": 1}},
        {"type": "int_parsing", "loc": ["body", "rows", 0], "msg": "Input should be a valid integer", "input": "x"},
    ]
}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (json.dumps(UNPROCESSABLE), "body.age: Field required · body.rows.0: Input should be a valid integer"),
        ('{"detail": "Not Found"}', "Not Found"),
        ('{"error": {"code": 429, "message": "Quota exceeded"}}', "Quota exceeded"),
        ('{"title": "Out of stock", "status": 409, "detail": "Item 7 is gone"}', "Item 7 is gone"),
        ('{"code": 7}', '{"code": 7}'),
        ('["a", "b"]', "a · b"),
        ("null", "null"),
        ("Internal Server Error\n", "Internal Server Error"),
        ("<html><head><title>x</title></head><body><h1>502 Bad Gateway</h1>\n<hr>nginx", "502 Bad Gateway nginx"),
        ('{"detail": "cut off in the mid', '{"detail": "cut off in the mid'),
        ("[" * 5000, "[" * (LONGEST - 1) + "…"),
    ],
)
def test_a_body_says_what_is_wrong(body: str, said: str) -> None:
    assert gist_of(body) == said


def test_many_errors_are_counted() -> None:
    errors = [{"loc": ["body", at], "msg": "Field required"} for at in range(MOST_ERRORS + 6)]
    assert gist_of(json.dumps({"detail": errors})).endswith(f"body.{MOST_ERRORS - 1}: Field required · 6 more")
