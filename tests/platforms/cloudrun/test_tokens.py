"""Tokens are renewed before they expire, reach other processes over a socket, and are never written to a file."""

from __future__ import annotations

import base64
import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.core import token_socket
from loadtest.core.errors import CloudError
from loadtest.platforms.cloudrun.tokens import (
    REFRESH_BEFORE_S,
    IdTokens,
    TokenServer,
    expiry_s,
    fetch_id_token,
)

HOUR_S = 3600.0
ASK = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect(os.environ["LT_TOKEN_SOCKET"])
    print(json.load(asked.makefile())["token"])
"""


def jwt(expires_s: float, name: str = "a") -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"exp": expires_s, "name": name}).encode()).rstrip(b"=").decode()
    return f"head.{payload}.signature"


class Source:
    """A source of tokens that live an hour from `now_s`. It counts calls, and can fail."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s
        self.asked: list[str] = []
        self.fails = False

    def fetch(self, audience: str) -> str:
        if self.fails:
            raise CloudError("no")
        self.asked.append(audience)
        return jwt(self.now_s + HOUR_S, name=str(len(self.asked)))

    def tokens(self) -> IdTokens:
        return IdTokens("https://ml.run.app", fetch=self.fetch, now=lambda: self.now_s)


def ask(path: Path) -> dict[str, object]:
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(str(path))
        answer: dict[str, object] = json.load(asked.makefile())
        return answer


def test_a_run_of_three_hours_always_holds_a_token_that_lives() -> None:
    source = Source(1_000_000.0)
    tokens = source.tokens()
    for minute in range(180):
        source.now_s = 1_000_000.0 + minute * 60
        assert tokens.token().expires_s - source.now_s >= REFRESH_BEFORE_S
    # each token is used for 3600 − 600 s = 50 min, and one more minute: at minute 50, exactly 600 s are left
    assert len(source.asked) == 4
    assert set(source.asked) == {"https://ml.run.app"}


def test_a_failed_refresh_leaves_the_token_that_still_is_good() -> None:
    source = Source(0.0)
    tokens = source.tokens()
    first = tokens.token()
    source.now_s, source.fails = HOUR_S - 60, True
    assert tokens.token() is first
    source.now_s = HOUR_S
    with pytest.raises(CloudError):
        tokens.token()


def test_another_process_gets_the_token_over_the_socket() -> None:
    source = Source(0.0)
    with TokenServer(source.tokens()) as server:
        done = subprocess.run(
            [sys.executable, "-c", ASK], env={**os.environ, **server.environment}, capture_output=True, check=True
        )
        assert done.stdout.decode().strip() == jwt(HOUR_S, name="1")
        assert list(server.environment) == [token_socket.VARIABLE]


def test_only_this_user_may_reach_the_socket_and_nothing_is_left_of_it() -> None:
    with TokenServer(Source(0.0).tokens()) as server:
        assert stat.S_IMODE(server.path.parent.stat().st_mode) == 0o700
        assert {path.name for path in server.path.parent.iterdir()} == {"tokens.sock", f"held-{os.getpid()}"}
    assert not server.path.parent.exists()


def test_who_asks_is_told_why_there_is_no_token() -> None:
    source = Source(0.0)
    with TokenServer(source.tokens()) as server:
        source.now_s, source.fails = 2 * HOUR_S, True
        assert ask(server.path) == {"error": "no"}
        source.fails = False
        assert ask(server.path)["expires_s"] == 3 * HOUR_S


def test_a_token_is_not_shown_by_repr() -> None:
    token = Source(0.0).tokens().token()
    assert token.text not in repr(token)


@pytest.mark.parametrize("text", ["", "a.b", "a.e30.c", "a.!!!.c"])
def test_an_invalid_token_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(CloudError, match="exp"):
        expiry_s(text)


def test_a_person_s_token_comes_from_gcloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    gcloud = tmp_path / "gcloud"
    gcloud.write_text(f'#!/bin/sh\n[ "$1 $2" = "auth print-identity-token" ] && echo {jwt(5)}\n')
    gcloud.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert fetch_id_token("https://ml.run.app") == jwt(5)
    gcloud.write_text("#!/bin/sh\necho not logged in >&2; exit 1\n")
    with pytest.raises(CloudError, match="not logged in"):
        fetch_id_token("https://ml.run.app")
