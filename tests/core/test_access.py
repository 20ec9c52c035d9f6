"""A listener answers only this machine's own programs. The Host, the Origin, the content type and the secret decide."""

from __future__ import annotations

import pytest

from loadtest.core.access import Access, RequestHead, bearer_of, host_name

ACCESS = Access(secret="s3cret", names=("run.local", "*-run.local"))


def head(method: str = "POST", **headers: str) -> RequestHead:
    """Return a request head that is accepted, with some of its headers changed; "" leaves a header out."""
    given = {"host": "127.0.0.1:8901", "authorization": "Bearer s3cret", "content-type": "application/json"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    given.setdefault("content-length", "2")
    return RequestHead.of(method, [(name, value) for name, value in given.items() if value])


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8901", "localhost", "LOCALHOST:9", "[::1]:8901", "127.1.2.3", "run.local", "europe-west2-run.local"],
)
def test_names_that_mean_this_machine_are_answered_on_any_port(host: str) -> None:
    assert ACCESS.refusal(head(host=host), needs_secret=True) is None


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", "evil.example:8901", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0:8901"),
        *("192.168.0.1", "run.local.evil.example", "evil-run.local.example", "127.0.0.1:8901, evil.example"),
        *("a@127.0.0.1", "127.0.0.1/x", "127.0.0.1:port", "[::1", "localhost."),
    ],
)
def test_any_other_name_is_refused_before_the_secret_is_looked_at(host: str) -> None:
    refusal = ACCESS.refusal(head(host=host), needs_secret=True)
    assert refusal is not None
    assert (refusal.status, "Host" in refusal.text) == (403, True)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:3000", "http://localhost:8901"])
def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    refusal = ACCESS.refusal(head(origin=origin), needs_secret=True)
    assert refusal is not None
    assert refusal.status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_a_browser_that_says_the_request_is_another_site_s_is_believed(site: str) -> None:
    for method in ("GET", "POST"):
        refusal = ACCESS.refusal(head(method, sec_fetch_site=site), needs_secret=False)
        assert refusal is not None
        assert refusal.status == 403


def test_its_own_origin_and_an_address_that_was_typed_in_are_answered() -> None:
    assert ACCESS.refusal(head(origin="http://127.0.0.1:8901"), needs_secret=True) is None
    for site in ("none", "same-origin"):
        assert ACCESS.refusal(head("GET", sec_fetch_site=site, content_type=""), needs_secret=False) is None


@pytest.mark.parametrize(
    "word", ["", "Bearer", "Bearer wrong", "Basic s3cret", "s3cret", "Bearer s3cret, Bearer s3cret"]
)
def test_without_the_secret_nothing_changes(word: str) -> None:
    refusal = ACCESS.refusal(head(authorization=word), needs_secret=True)
    assert refusal is not None
    assert refusal.status == 401
    assert "s3cret" not in refusal.text


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"]
)
def test_what_a_form_can_send_is_refused(kind: str) -> None:
    for method in ("POST", "PUT", "PATCH"):
        refusal = ACCESS.refusal(head(method, content_type=kind), needs_secret=True)
        assert refusal is not None
        assert refusal.status == 415
    assert ACCESS.refusal(head("DELETE", content_type=kind, content_length="0"), needs_secret=True) is None


def test_json_may_carry_its_charset() -> None:
    assert ACCESS.refusal(head(content_type="application/json; charset=utf-8"), needs_secret=True) is None


def test_a_new_secret_is_long_and_never_shown() -> None:
    first, second = Access(), Access()
    assert first.secret != second.secret
    assert len(first.secret) >= 43  # 256 bits in base 64
    assert first.secret not in repr(first)


def test_names_and_tokens_are_read_strictly() -> None:
    assert (host_name("LOCALHOST:80"), host_name("[::1]:9"), host_name("x:y")) == ("localhost", "::1", None)
    assert (bearer_of("bearer  t "), bearer_of("Bearer "), bearer_of(None)) == ("t", None, None)
