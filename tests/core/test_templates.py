"""Texts that differ only in ids share a template; words and versions stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.core.templates import path_template, text_template


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/users/17", "/users/{id}"),
        ("/users/17/orders/9f8e7d6c5b4a", "/users/{id}/orders/{id}"),
        ("/items/123e4567-e89b-12d3-a456-426614174000", "/items/{id}"),
        ("/o/order-10234", "/o/{id}"),
        ("/files/0x1f", "/files/{id}"),
        ("/t/eyJhbGciOi9JIUzI1NiIsInR5cCI6IkpXVCJ9", "/t/{id}"),
        ("/search?q=cats&page=3", "/search?q={value}&page={value}"),
        ("/v1/predict2", "/v1/predict2"),
        ("/predict", "/predict"),
        ("/", "/"),
        ("", ""),
        ("/deadbeef/facade", "/deadbeef/facade"),
        ("/health/live?full", "/health/live?full"),
    ],
)
def test_ids_in_paths_become_one_template(path: str, template: str) -> None:
    assert path_template(path) == template


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("order 1812 not found", "order {n} not found"),
        ("no user 123e4567-e89b-12d3-a456-426614174000", "no user {uuid}"),
        ("etag 9f8e7d6c5b4a3f21 differs", "etag {hash} differs"),
        ("connection refused", "connection refused"),
        ("10.0.0.1:8080 refused", "{n} refused"),
    ],
)
def test_error_texts_become_one_template(text: str, template: str) -> None:
    assert text_template(text) == template


@given(st.text(max_size=200))
def test_a_template_is_its_own_template(text: str) -> None:
    assert text_template(text_template(text)) == text_template(text)
    assert path_template(path_template(text)) == path_template(text)
