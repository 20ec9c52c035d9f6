"""A token is sent to a private service, and no token is sent to a public one.

If it is not known whether a service is private and there is no token, a warning says so.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from pathlib import Path

import pytest

from loadtest.cli.console import TerminalConsole
from loadtest.core.errors import CloudError
from loadtest.platforms.cloudrun.describe import Described
from loadtest.platforms.cloudrun.platform import admitted
from loadtest.recording.run import TargetRecord

TOKEN = "head." + base64.urlsafe_b64encode(json.dumps({"exp": time.time() + 3600}).encode()).decode() + ".signed"


def service(*, public: bool | None, kind: str = "cloud") -> Described:
    target = TargetRecord(kind=kind, url="https://canary---ml.run.app", service="ml")
    return Described(target=target, public=public, probe="http", ready=True, message="", audience="https://ml.run.app")


@pytest.fixture
def logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake gcloud that returns TOKEN while the file `in` exists. This machine has no other credentials."""
    gcloud = tmp_path / "gcloud"
    gcloud.write_text(f"#!/bin/sh\n[ -e {tmp_path}/in ] && echo {TOKEN} || {{ echo not logged in >&2; exit 1; }}\n")
    gcloud.chmod(0o755)
    (tmp_path / "in").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    return tmp_path / "in"


def test_a_private_service_gets_a_token_by_a_socket_that_ends_with_the_run(logged_in: Path) -> None:
    with admitted(service(public=False), TerminalConsole()) as environment:
        (path,) = environment.values()
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect(path)
            assert json.load(asked.makefile())["token"] == TOKEN
    assert not Path(path).exists()


@pytest.mark.parametrize(("public", "kind"), [(True, "cloud"), (None, "emulator"), (False, "emulator")])
def test_a_service_that_everyone_may_call_gets_no_token(logged_in: Path, public: bool | None, kind: str) -> None:
    """A local Cloud Run lets everyone in, whatever its policy says, and a real token must not be sent to it."""
    with admitted(service(public=public, kind=kind), TerminalConsole()) as environment:
        assert environment == {}


def test_the_want_of_a_token_ends_a_run_only_where_one_is_needed_for_certain(
    logged_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logged_in.unlink()
    with pytest.raises(CloudError, match="not logged in"), admitted(service(public=False), TerminalConsole()):
        pass
    with admitted(service(public=None), TerminalConsole()) as environment:
        assert environment == {}
    assert "there is no token for the service; calling the service without a token" in " ".join(
        capsys.readouterr().err.split()
    )
