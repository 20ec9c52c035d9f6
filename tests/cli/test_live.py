"""The live page's listener: which requests it answers and how, and that the end of the run waits for an open page."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.cli import live
from loadtest.cli.live import LivePage
from loadtest.core.errors import FleetError
from loadtest.fleet.progress import SideSnapshot
from loadtest.recording.folder import RunFolder
from reports.live.follow import LiveRun
from tests.conftest import Until
from tests.recording.live import flushed, load_line, looked, running_record


@pytest.fixture
def page() -> Iterator[LivePage]:
    with LivePage() as running:
        yield running


def secret_of(page: LivePage) -> str:
    return page.url.partition("#key=")[2]


def ask(
    page: LivePage, method: str, path: str, *, body: str | None = None, secret: bool = True, **headers: str
) -> tuple[int, str]:
    """Return status and body. The given headers replace the headers that a browser on the page itself would send."""
    port = int(page.url.split(":")[2].partition("/")[0])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    sent = {"Authorization": f"Bearer {secret_of(page)}"} if secret else {}
    sent |= {"Content-Type": "application/json"} if body is not None else {}
    try:
        connection.request(method, path, body, sent | {name.replace("_", "-"): text for name, text in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_only_the_page_itself_is_answered(page: LivePage) -> None:
    """All data of the run require the key. A wrong Host, Origin or site is refused even with the key."""
    page.wait_for("a secret thing")
    assert ask(page, "GET", "/state?after=-1")[0] == 200
    for path in ("/state?after=-1", "/body", "/report"):
        assert ask(page, "GET", path, secret=False)[0] == 401
        assert ask(page, "GET", path, Authorization="Bearer wrong")[0] == 401
        assert ask(page, "GET", path, Host="rebound.example")[0] == 403
        assert ask(page, "GET", path, Origin="http://evil.example")[0] == 403
        assert ask(page, "GET", path, Sec_Fetch_Site="cross-site")[0] == 403
    status, shell = ask(page, "GET", "/", secret=False)
    assert status == 200
    assert "a secret thing" not in shell
    assert secret_of(page) not in shell
    assert ask(page, "GET", "/", secret=False, Host="rebound.example")[0] == 403
    assert ask(page, "GET", "/nothing")[0] == 404


def test_only_the_page_itself_stops_the_run(page: LivePage) -> None:
    """A form, a missing key, a foreign Origin, a GET and a long body change nothing.

    The button's own request stops the run.
    """
    refused = [
        ask(page, "POST", "/stop", body="{}", secret=False),
        ask(page, "POST", "/stop", body="{}", Origin="http://evil.example"),
        ask(page, "POST", "/stop", body="a=b", Content_Type="application/x-www-form-urlencoded"),
        ask(page, "POST", "/stop", body="{" + " " * 5000 + "}"),
        ask(page, "POST", "/halt", body="{}"),
        ask(page, "GET", "/stop"),
    ]
    assert [status for status, _ in refused] == [401, 403, 415, 413, 404, 404]
    assert not page.stop_asked
    assert ask(page, "POST", "/stop", body="{}")[0] == 200
    assert page.stop_asked


def test_a_question_is_answered_when_there_is_something_new(page: LivePage) -> None:
    """The listener holds a request until the state changes; the new state arrives within 0.5 s."""
    first = json.loads(ask(page, "GET", "/state?after=-1")[1])
    assert (first["state"], first["text"]) == ("starting", "starting")
    threading.Timer(0.2, page.wait_for, ["waiting for the service"]).start()
    begun_s = time.monotonic()
    told = json.loads(ask(page, "GET", f"/state?after={first['version']}")[1])
    assert told["text"] == "waiting for the service"
    assert 0.1 < time.monotonic() - begun_s < 5


def test_a_run_is_shown_second_by_second(page: LivePage, tmp_path: Path, until: Until) -> None:
    """The page gets users, instances, the nearest objective and events, then the charts and the report's parts."""
    run = LiveRun(RunFolder.create(tmp_path, running_record(30, objectives=["p95 < 1ms"])))
    page.follow(run, 30.0)
    for at, frame in enumerate(flushed(12)):
        look = looked(at + 1.0, [frame], [load_line(at)])
        run.add(look)
        page.show(look, waits_for="", ending=False)

    def told() -> dict[str, object]:
        return dict(json.loads(ask(page, "GET", "/state?after=-1")[1]))

    until(lambda: told()["analysis"] != 0, "the first analysis", 60)
    news = told()
    assert news["data"] is not None
    tiles = {tile["name"]: tile for tile in news["tiles"]}  # type: ignore[attr-defined]
    shown = tiles["time"]["small"], tiles["users"]["value"], tiles["instances"]["value"]
    # these values are from the newest event, the start of the third instance; the first one has been silent
    assert shown == ("of 0:30", "40", "2")
    assert tiles["nearest to its limit"]["value"].startswith("✗ p95 < 1ms: ")
    assert any("a new instance answered" in event for event in news["events"])  # type: ignore[attr-defined]
    body = ask(page, "GET", "/body")[1]
    assert "This run is still in progress" in body
    assert 'id="latency"' in body
    assert "<script" not in body


def test_a_new_instance_is_reported_at_once_and_the_rest_when_it_is_due(
    page: LivePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker reports each second.

    If the page waited for another second as well, it would show a cold start only after 2 s.
    """
    monkeypatch.setattr(live, "EVERY_S", 1e6)  # so the page's own updates are never due
    run = LiveRun(RunFolder.create(tmp_path, running_record(30)))
    page.follow(run, 30.0)
    told, happened = [], []
    for at, frame in enumerate(flushed(12)):
        before = page.answer_state(-1, -1), len(run.events)
        look = looked(at + 1.0, [frame])
        run.add(look)
        page.show(look, waits_for="", ending=False)
        if json.loads(page.answer_state(-1, -1))["version"] != json.loads(before[0])["version"]:
            told.append(at)
        if len(run.events) != before[1]:
            happened.append(at)
    assert len(happened) == 3  # `flushed` has three instances
    assert told == happened


def test_two_targets_have_their_own_numbers_and_their_difference(page: LivePage, tmp_path: Path) -> None:
    run = LiveRun(RunFolder.create(tmp_path, running_record(30)))
    page.follow(run, 30.0)
    look = looked(61.0, flushed(1))
    sides = (SideSnapshot(20.0, 31.0, 0), SideSnapshot(19.0, None, 12))
    look = replace(look, snapshot=replace(look.snapshot, sides=sides, failed=12))
    page.show(look, waits_for="", ending=False, note="B p95 +3 % (-1 % … +7 %)")
    news = json.loads(ask(page, "GET", "/state?after=-1")[1])
    tiles = {tile["name"]: tile["value"] for tile in news["tiles"]}
    assert (tiles["requests/s"], tiles["p95"], tiles["failed"]) == ("A 20 · B 19", "A 31.0 ms · B –", "A 0 · B 12")
    assert tiles["B against A"] == "B p95 +3 % (-1 % … +7 %)"


def test_the_end_waits_only_for_an_open_page(page: LivePage, tmp_path: Path) -> None:
    """If no page has polled recently, the run ends immediately.

    If a page is open, the run ends when that page has the report.
    """
    report = tmp_path / "report.html"
    report.write_text("<p>finished</p>", encoding="utf-8")
    assert ask(page, "GET", "/report")[0] == 404
    begun_s = time.monotonic()
    page.finish(report)
    assert time.monotonic() - begun_s < 1
    told = json.loads(ask(page, "GET", "/state?after=-1")[1])
    assert told["state"] == "done"
    fetched: list[str] = []
    threading.Timer(0.3, lambda: fetched.append(ask(page, "GET", "/report")[1])).start()
    page.finish(report)
    assert page._fetched.is_set()


def test_a_port_that_is_taken_is_a_sentence(page: LivePage) -> None:
    port = int(page.url.split(":")[2].partition("/")[0])
    with pytest.raises(FleetError, match=rf"`--live {port}`: cannot listen there .* Choose another port"):
        LivePage(port)
