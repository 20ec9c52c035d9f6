"""Secrets are never written, whatever text contains them, and the rest of the text is kept."""

from __future__ import annotations

import json
import time
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.core.redaction import MARK, redact

quick = settings(max_examples=150, deadline=None)

secrets = st.text(st.sampled_from("ABCDEFGHJKMNPQRSTUVWXYZ23456789"), min_size=12, max_size=24)
names = st.sampled_from(
    [
        "token",
        "access_token",
        "x-csrf-token",
        "password",
        "Passwd",
        "client_secret",
        "api_key",
        "X-Api-Key",
        "apikey",
        "sessionid",
        "session_id",
        "refresh_token",
        "private_key",
        "DB_PASSWORD",
        "X-Goog-Signature",
        "Authorization",
    ]
)


@quick
@given(names, secrets, st.integers(0, 9))
def test_no_way_of_writing_a_named_secret_keeps_it(name: str, secret: str, way: int) -> None:
    """The value is removed from JSON, Python, headers as lines and as pairs, queries and shell options.

    The text around it stays.
    """
    text = [
        json.dumps({"user": "ann", name: secret, "n": 1}),
        json.dumps(json.dumps({name: secret})),
        repr({"user": "ann", name: secret}),
        repr([("accept", "*/*"), (name, secret)]),
        repr({name.encode(): secret.encode()}),
        f"{name}: {secret}\r\naccept: */*",
        f"{name} = {secret}, and more",
        f"GET /a?{urlencode({'q': 'shoes', name: secret})}&page=2 failed",
        f"--{name}={secret} --users 3",
        f"{name}='{secret} with blanks' then",
    ][way]
    found = redact(f"before {text} after")
    assert secret not in found
    assert MARK in found
    assert found.startswith("before ")


@quick
@given(secrets, st.sampled_from(["Bearer", "bearer", "Basic", "BASIC"]), st.sampled_from(["", "Authorization: "]))
def test_credentials_of_a_scheme_go(secret: str, scheme: str, name: str) -> None:
    """The credentials are removed with or without the header's name in front of them."""
    assert secret not in redact(f"the server said {name}{scheme} {secret} has ended")


@quick
@given(secrets, st.text(st.sampled_from("abc:%!"), max_size=6))
def test_credentials_in_a_url_go(secret: str, more: str) -> None:
    """A user name with a password, or a token alone, is removed if it is in front of the host. The host is kept."""
    for userinfo in (f"me:{more}{secret}", secret, f"me:{secret}@{more}"):
        found = redact(f"could not reach https://{userinfo}@example.com/predict")
        assert secret not in found
        assert found.endswith("@example.com/predict")


@pytest.mark.parametrize(
    "text",
    [
        "Cookie: a=SECRET; b=SECRET",
        "Set-Cookie: sid=SECRET; Path=/",
        "{'cookie': 'a=SECRET; b=SECRET'}",
        'Authorization: Digest username="me", response="SECRET"',
        "-----BEGIN RSA PRIVATE KEY-----\nSECRET\nSECRET\n-----END RSA PRIVATE KEY-----",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiSECRETifQ.SECRETc2lnbmF0dXJl",
        "ghp_SECRETSECRETSECRET",
        "https://x.blob.core.windows.net/a?sv=1&sig=SECRET%3D",
        "b'authorization': b'Bearer SECRET'",
        r'"{\"password\": \"SECRET \\\" SECRET\"}"',
    ],
)
def test_known_forms_of_secrets_go(text: str) -> None:
    """Cookies, digests, keys and tokens with a known form are removed."""
    assert "SECRET" not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8080/predict: connection refused",
        "completion_tokens=12, max_tokens: 100, tokenizer: bpe",
        "HTTP 500: author unknown",
        "KeyError: 'price'",
        'File "/srv/app.py", line 7, in buy\n    raise ValueError("sold out")',
        "mail ann@example.com",
        "basic authentication is off",
    ],
)
def test_text_without_secrets_is_unchanged(text: str) -> None:
    """Addresses, counts of tokens, tracebacks and prose are unchanged."""
    assert redact(text) == text


@quick
@given(st.text(max_size=200))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    """Redacting any text raises no error, and redacting its result again changes nothing."""
    once = redact(text)
    assert redact(once).count(MARK) == once.count(MARK)


@pytest.mark.parametrize("piece", ["a", "token", "password='", "'", "\\", "://", "cookie: a=b; ", "Bearer ", "eyJ"])
def test_long_texts_do_not_hang(piece: str) -> None:
    """Redacting any body of 200 kB takes a few seconds at most, not hours."""
    begin_s = time.process_time()
    redact(piece * (200_000 // len(piece)))
    assert time.process_time() - begin_s < 20
