"""A private service: every request carries the token, and no file ever holds it."""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path

import pytest

from cloudrun.tokens import IdTokens, TokenServer
from recording.catalogue import find_run
from tests.conftest import ROOT, counting_server, lt


def token_lasting(seconds: float) -> str:
    """Return a JWT that ends in so many seconds."""
    payload = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + seconds}).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.c2lnbmVk"


@pytest.mark.parametrize(
    "scenario",
    [
        "ramp300",
        pytest.param("tests/wild/http_user.py", marks=pytest.mark.slow),
        pytest.param("tests/wild/sequential_fast.py", marks=pytest.mark.slow),
    ],
)
def test_every_request_carries_the_token_and_no_file_does(
    scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our client, Locust's HttpUser and its FastHttpUser: the server refuses whoever comes without."""
    token = token_lasting(3600)
    tokens = IdTokens("https://x.run.app", fetch=lambda audience: token)
    plan = ["--users", "4", "--spawn-rate", "4", "--duration", "3s", "--runs", str(tmp_path), "--workers", "1"]
    with TokenServer(tokens) as served, counting_server(bearer=token) as server:
        for name, value in served.environment.items():
            monkeypatch.setenv(name, value)
        path = str(ROOT / scenario) if "/" in scenario else scenario
        lt("run", "-s", path, "-t", server.url, *plan)
    folder = find_run(tmp_path, "latest")
    rows = folder.read_rows(["status", "outcome"])
    assert len(rows) > 5
    assert set(rows.status) == {200}
    for base, _, names in os.walk(folder.path):
        for name in names:
            assert token.encode() not in (Path(base) / name).read_bytes(), name
