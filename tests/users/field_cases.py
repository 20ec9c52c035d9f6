"""Locustfiles from the field (tests/cases) whose requests FastUser once sent or read differently from FastHttpUser."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import gevent
import locust  # noqa: F401 - first, because it patches sockets and threads
import pytest
from locust import User
from locust.env import Environment

from loadtest.recording.buffer import RowBuffer, attach
from loadtest.recording.frames import COLUMNS
from tests.conftest import ROOT
from tests.users.client_cases import rows_of

CASES = ROOT / "tests" / "cases"


@contextmanager
def serving(case: str) -> Iterator[str]:
    """Run the case's server, and yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, str(CASES / case / "server.py"), str(port)]) as server:
        give_up_s = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert time.monotonic() < give_up_s
                gevent.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
        server.kill()


def module_of(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"case_{path.stem}_{abs(hash(path))}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(case: str, file: str, *, users: int, enough: int, answered: Callable[[str], None] | None = None) -> list[Any]:
    """Run the locustfile's users until there are `enough` rows, and return the rows."""
    found: list[Any] = []
    with serving(case) as url:
        classes: list[Any] = [
            item
            for item in vars(module_of(CASES / case / file)).values()
            if isinstance(item, type) and issubclass(item, User) and not item.abstract
        ]
        environment = Environment(user_classes=classes, host=url)
        buffer = RowBuffer("worker")
        attach(environment, buffer)

        def stock(name: str, exception: Any, context: dict[str, Any], **_: Any) -> None:
            if "lt_recorded" not in context:
                text = buffer.error_id(str(exception or ""))
                known = {"name": buffer.name_id(name), "outcome": 4 if exception else 0, "error": text}
                buffer.add(**(dict.fromkeys(COLUMNS, 0) | known))

        environment.events.request.add_listener(stock)
        runner = environment.create_local_runner()
        runner.start(users, spawn_rate=users)
        give_up_s = time.monotonic() + 30
        while len(found) < enough:
            assert time.monotonic() < give_up_s
            gevent.sleep(0.05)
            found += rows_of(buffer)
        runner.quit()
        if answered is not None:
            with urllib.request.urlopen(f"{url}/_counts") as response:
                answered(response.read())
    return found


@pytest.mark.parametrize("file", ["locustfile.py", "same_with_fasthttpuser.py"])
def test_a_user_that_is_refused_at_the_log_in_starts_over(file: str) -> None:
    """Case 03: RescheduleTask leaves the `with` block after failure(), and nothing below it runs."""
    seen: dict[str, int] = {}
    rows("03-fastuser-swallows-interrupt", file, users=2, enough=6, answered=lambda text: seen.update(json.loads(text)))
    assert seen["/login"] >= 6
    assert "/account" not in seen


def test_json_is_read_and_written_as_fasthttpuser_does() -> None:
    """Case 14: NaN in both directions and ISO-8859-1 work with both users."""
    found = rows("14-fastuser-json", "locustfile.py", users=2, enough=6)
    assert {row["outcome"] for row in found} == {"ok"}
    assert len({row["name"] for row in found}) == 6


def test_requests_that_both_locust_users_accept_are_sent(capsys: pytest.CaptureFixture[str]) -> None:
    """Case 19: a renamed request, text params, no path, and one Content-Length.

    A list of numbers is refused and not sent.
    """
    seen: dict[str, int] = {}
    case = "19-fastuser-what-the-table-does-not-name"
    found = rows(case, "locustfile.py", users=1, enough=6, answered=lambda text: seen.update(json.loads(text)))
    assert {row["name"] for row in found} == {
        "/item/[id]", "/thing/[id]", "/meta, renamed", "params as text", "no path", "Content-Length given",
    }  # fmt: skip
    assert {row["outcome"] for row in found} == {"ok"}
    assert seen["two content-lengths"] == 0
    assert "/numbers" not in seen
    lost = [line for line in capsys.readouterr().out.splitlines() if line.startswith("LOST")]
    assert {line.split(":")[0] for line in lost} == {"LOST numbers"}
    assert all("docs/users.md" in line for line in lost)
