"""Ids in paths and in error texts are grouped; words and versions are not."""

from __future__ import annotations

import base64
import secrets
import string
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.core.templates import MAX_NAME_CHARS, path_template, text_template

quick = settings(max_examples=150, deadline=None)


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/users/17", "/users/{id}"),
        ("/users/17/orders/0", "/users/{id}/orders/{id}"),
        ("/users/550e8400-e29b-41d4-a716-446655440000/edit", "/users/{id}/edit"),
        ("/commit/9fceb02d0ae598e95dc970b74767f19372d61af8", "/commit/{id}"),
        ("/c/9fceb02d", "/c/{id}"),
        ("/mongo/507f1f77bcf86cd799439011", "/mongo/{id}"),
        ("/ulid/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/ulid/{id}"),
        ("/yt/dQw4w9WgXcQdQw4w9Wg", "/yt/{id}"),
        ("/day/2026-11-26", "/day/{date}"),
        ("/day/20261126", "/day/{date}"),
        ("/at/2026-11-26T10:00:00Z", "/at/{date}"),
        ("/files/7.json", "/files/{id}.json"),
        ("/app.3f2a9c1b.js", "/app.{id}.js"),
        ("/user-123/x", "/user-{id}/x"),
        ("/orders/ORD-2026-000123", "/orders/ORD-{id}-{id}"),
        ("/sku/SKU00123", "/sku/SKU{id}"),
        ("/mail/ann@example.com", "/mail/{id}"),
        ("/host/10.0.0.17", "/host/{id}"),
        ("/near/-0.1278/51.50745", "/near/{id}/{id}"),
        ("/search?q=shoes&page=2", "/search?q=shoes&page={page}"),
        ("/search?session=550e8400-e29b-41d4-a716-446655440000", "/search?session={session}"),
        ("/a?text=one%20long%20text%20of%20a%20person", "/a?text={text}"),
        ("/a#part-2", "/a"),
        ("http://127.0.0.1:8080/users/17", "http://127.0.0.1:8080/users/{id}"),
        ("/files/0x1f", "/files/{id}"),
        ("/o/order-10234", "/o/order-{id}"),
        ("/search?q=cats&page=3", "/search?q=cats&page={page}"),
        ("/health/live?full", "/health/live?full"),
        ("/", "/"),
        ("", ""),
    ],
)
def test_ids_become_a_template(path: str, endpoint: str) -> None:
    """There is one case per rule."""
    assert path_template(path) == endpoint


@pytest.mark.parametrize(
    "path",
    [
        "/v1/predict",
        "/v1/predict2",
        "/deadbeef/facade",
        "/v2/predict",
        "/api/v1beta1/models",
        "/v1.2/x",
        "/1.2.3/notes",
        "/oauth2/token",
        "/sha256",
        "/i18n/de",
        "/.well-known/openid-configuration",
        "/getUserProfileDetailsByName",
        "/OAuth2AuthorizationServer",
        "/how-to-write-a-load-test",
        "/facade/decade",
        "/covid-1",
        "/a_b_c",
        "/Straße",
        "/favicon.ico",
        "/x?flag&v=a",
        "/users/{id}",
        "/internationalization",
        "/user_profile_settings",
        "/LONGCONSTANTNAMEHERE",
        "/utf-8",
        "/s3/k8s",
    ],
)
def test_words_and_versions_stay(path: str) -> None:
    """None of these words is an id."""
    assert path_template(path) == path


@quick
@given(st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=15), min_size=1, max_size=5))
def test_ordinary_words_are_never_grouped(words: list[str]) -> None:
    """The words include paths of small letters, and slugs that consist of such words."""
    for path in ("/" + "/".join(words), "/" + "-".join(words), "/" + "_".join(words)):
        if len(path) <= MAX_NAME_CHARS:
            assert path_template(path) == path


@quick
@given(
    st.integers(0, 10**18).map(str)
    | st.uuids().map(str)
    | st.binary(min_size=16, max_size=32).map(bytes.hex)
    | st.dates().map(str).filter(lambda day: "1900" <= day < "2100")
)
def test_any_two_ids_of_a_kind_are_one_endpoint(ident: str) -> None:
    """For any id, the path becomes one of two endpoints: the endpoint with an id, or the endpoint with a date."""
    assert path_template(f"/things/{ident}/parts") in ("/things/{id}/parts", "/things/{date}/parts")


def test_base64_is_grouped_nearly_always() -> None:
    """Of 2,000 random 24-byte tokens (URL-safe base64, 32 characters) at least 98 % are recognised as ids."""
    tokens = [base64.urlsafe_b64encode(secrets.token_bytes(24)).decode() for _ in range(2000)]
    assert sum(path_template(f"/t/{token}") == "/t/{id}" for token in tokens) >= 1960


@quick
@given(st.text(max_size=400))
def test_any_path_has_a_template_and_it_is_its_own(path: str) -> None:
    """No text raises an error or grows without bound, and grouping a grouped text changes nothing."""
    once = path_template(path)
    assert len(once) <= MAX_NAME_CHARS
    if "://" not in path:
        assert path_template(once) == once or len(once) == MAX_NAME_CHARS


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("order 17 not found", "order {n} not found"),
        (f"no session {uuid.UUID(int=5)}", "no session {id}"),
        ("<Thing object at 0x7f3a2b1c> failed", "<Thing object at {id}> failed"),
        ("row 9fceb02d0ae598e9 is locked since 2026-11-26T10:00:00Z", "row {id} is locked since {date}"),
        ("took 1.5 s of 2,000", "took {n} s of {n}"),
        ("user_12345 is gone", "user_{n} is gone"),
    ],
)
def test_errors_that_differ_in_ids_are_one_kind(text: str, kind: str) -> None:
    """There is one case per rule."""
    assert text_template(text) == kind


@pytest.mark.parametrize(
    "text",
    [
        "HTTP 503",
        "500 Server Error: Internal Server Error for url: /predict",
        "BadStatusCode(code=404)",
        "[Errno 104] Connection reset by peer",
        "no whole answer within 1.5 s",
        "127.0.0.1:8080 refused",
        "HTTPConnectionPool(host='localhost', port=8080): Max retries exceeded",
        "KeyError: 'price'",
        "HTTP/1.1 400",
    ],
)
def test_numbers_that_tell_errors_apart_stay(text: str) -> None:
    """Statuses, error codes, ports and limits are not changed."""
    assert text_template(text) == text


@quick
@given(st.text(max_size=300))
def test_any_error_has_a_kind_and_it_is_its_own(text: str) -> None:
    """Grouping a grouped text changes nothing."""
    once = text_template(text)
    assert text_template(once) == once
