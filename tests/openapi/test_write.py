"""A scenario is generated from a service's document, and the service answers its requests."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from loadtest.core.errors import TargetError, UsageError
from loadtest.openapi.document import Document, parse, read_document
from loadtest.openapi.wire import Answer, HttpWire
from loadtest.openapi.write import Written, write_scenario
from tests.openapi.model_servers import MODEL_SERVERS
from tests.openapi.more_services import MORE
from tests.openapi.odd_services import ODD
from tests.openapi.services import SERVICES

SENT = 100
"""Number of requests that each generated scenario sends in these tests, through its own tasks."""


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an app, by ASGI or (for Flask) by WSGI, on a free loopback port, and yield its URL."""
    if hasattr(app, "wsgi_app"):
        with _serving_flask(app) as url:
            yield url
        return
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


@contextmanager
def _serving_flask(app: Any) -> Iterator[str]:
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: Any) -> None:
            pass

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(20)


class Client:
    """A client that sends the requests of a task, and counts them."""

    def __init__(self, url: str) -> None:
        self.url, self.wire = url, HttpWire()
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.failures: list[str] = []

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return lambda path, **arguments: self._send(method.upper(), path, **arguments)

    def _send(
        self, method: str, path: str, *, name: str | None = None, catch_response: bool = False, **arguments: Any
    ) -> Any:
        answer = self.wire.send(method, self.url + path, **arguments)
        self.statuses[f"{method} {name or path.partition('?')[0]}", answer.status] += 1
        return Context(self, answer)


class Context:
    """The answer, in the form that `catch_response` returns."""

    def __init__(self, client: Client, answer: Answer) -> None:
        self.client, self.answer, self.status_code = client, answer, answer.status

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def json(self) -> Any:
        return json.loads(self.answer.body)

    def failure(self, why: str) -> None:
        self.client.failures.append(why)


def play(written: Written, count: int = SENT) -> Client:
    """Run the tasks of a generated scenario in turn, without Locust."""
    client = Client(written.document.base or "")
    tasks: list[Any] = []

    def task(given: Any) -> Any:
        if callable(given):
            tasks.append(given)
            return given
        return task

    user = type("FastUser", (), {"client": client})
    names = {"task": task, "FastUser": user, "spread_throughput": lambda rate: None}
    source = "\n".join(
        line for line in written.source.splitlines() if not line.startswith(("from locust", "from loadtest"))
    )
    exec(compile(source, "scenario.py", "exec"), names)
    visitor: Any = names["Visitor"]
    for turn in range(count):
        tasks[turn % len(tasks)](visitor())
    return client


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "API_KEY": "sesame",
        "API_TOKEN": "sesame",
        "API_USER": "ada",
        "API_PASSWORD": "sesame",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "make",
    [*SERVICES.values(), *MORE.values(), *MODEL_SERVERS.values(), *ODD.values()],
    ids=lambda make: make.__name__,
)
def test_the_service_answers_what_is_written_for_it(make: Callable[[], Any]) -> None:
    """99 of 100 requests of the generated tasks get a 2xx, and the answers match the document."""
    with serving(make()) as url:
        written = write_scenario(read_document(url, target=None, wire=HttpWire()), wire=HttpWire())
        client = play(written)
    good = sum(count for (_, status), count in client.statuses.items() if 200 <= status < 300)
    assert good >= 0.99 * SENT, client.statuses
    assert client.failures == []


def test_the_same_seed_draws_the_same_requests() -> None:
    with serving(SERVICES["plain"]()) as url:
        document = read_document(url, target=None, wire=HttpWire())
        sources = {write_scenario(document, wire=HttpWire(), seed=seed).source for seed in (1, 1, 2)}
    assert len(sources) == 2  # the file contains the seed


def test_operations_that_change_something_are_left_out_and_never_tried() -> None:
    """A shop's DELETE, and its POST that creates an item, are listed with the reason. The service received neither."""
    app = SERVICES["path_parameters"]()
    with serving(app) as url:
        written = write_scenario(read_document(url, target=None, wire=HttpWire()), wire=HttpWire())
        play(written)
        assert app.state.writes == []
        assert {each.operation.name for each in written.left_out} == {"DELETE /items/{item_id}", "POST /items"}
        assert "DELETE /items/{item_id}: DELETE changes existing data" in written.source
        taken = write_scenario(written.document, wire=HttpWire(), include=["POST /items"])
    assert "POST /items" in {each.operation.name for each in taken.sent}
    assert app.state.writes


def test_ids_come_from_what_the_service_lists() -> None:
    """Only the ids 17, 23 and 99 exist, and all requests of one path have the same name."""
    with serving(SERVICES["path_parameters"]()) as url:
        written = write_scenario(read_document(url, target=None, wire=HttpWire()), wire=HttpWire())
        client = play(written)
    assert "(17, 23, 99)" in written.source
    assert client.statuses["GET /items/{item_id}", 200] == SENT / 4


def test_a_missing_credential_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("API_KEY")
    with serving(SERVICES["api_key"]()) as url:
        written = write_scenario(read_document(url, target=None, wire=HttpWire()), wire=HttpWire())
    (left_out,) = written.left_out
    assert left_out.operation.name == "POST /sentiment"
    assert "set API_KEY in the environment" in left_out.why
    assert "sesame" not in written.source


def test_a_document_cannot_become_code(tmp_path: Path) -> None:
    """Titles, ids, names and defaults that would close a string do not become code."""
    with serving(MORE["hostile"]()) as url:
        written = write_scenario(read_document(url, target=None, wire=HttpWire()), wire=HttpWire())
        play(written)
    assert not Path("/tmp/lt-openapi-owned").exists()


def test_a_file_without_a_server_is_written_untried(tmp_path: Path) -> None:
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(SERVICES["plain"]().openapi()))
    document = read_document(str(path), target=None, wire=HttpWire())
    assert document.base is None
    written = write_scenario(document, wire=None)
    assert [each.works for each in written.sent] == [None, None]
    assert "(not tried)" in written.source


@pytest.mark.parametrize(
    ("target", "where", "server", "base"),
    [
        (None, "http://127.0.0.1:8000/openapi.json", "https://api.example.com/v1", "http://127.0.0.1:8000/v1"),
        (None, "http://127.0.0.1:8000/openapi.json", "/api/v1", "http://127.0.0.1:8000/api/v1"),
        (None, "http://127.0.0.1:8000/docs/openapi.json", "", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:9000", None, "https://api.example.com/v1", "http://127.0.0.1:9000/v1"),
        ("http://127.0.0.1:9000/mine", None, "https://api.example.com/v1", "http://127.0.0.1:9000/mine"),
        (None, None, "https://api.example.com/v1", "https://api.example.com/v1"),
        (None, None, "/v1", None),
    ],
)
def test_the_host_is_the_user_s_and_the_path_the_document_s(
    target: str | None, where: str | None, server: str, base: str | None
) -> None:
    from loadtest.openapi.document import _base

    assert _base({"servers": [{"url": server}]} if server else {}, where, target) == base


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b'{"swagger": "2.0", "paths": {}}', "convert it to OpenAPI 3"),
        (b"{", "contains no OpenAPI 3 document"),
        (b"openapi: 3.0.0\ninfo: &a [*a]", "contains no OpenAPI 3 document"),
        (b"\xff\xfe\x00", "contains no OpenAPI 3 document"),
        (b"[" * 100_000, "contains no OpenAPI 3 document"),
        (b"openapi: 3.1.0\npaths: [1]", "contains no OpenAPI 3 document"),
    ],
)
def test_an_invalid_document_is_reported(text: bytes, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse(text, "x.json")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_an_answer_that_is_no_json_has_no_value(body: bytes) -> None:
    """Any such answer has no value, no matter how deeply it is nested."""
    assert Answer(200, body).json is None
    assert (Answer(200, b"[1]").json, Answer(404, b"[1]").json) == ([1], None)


def test_a_service_without_a_document_gets_the_ways_out() -> None:
    with serving(FastAPI(openapi_url=None)) as url, pytest.raises(TargetError, match="offers no OpenAPI document"):
        read_document(url, target=None, wire=HttpWire())


def test_a_dead_service_is_reported() -> None:
    with pytest.raises(TargetError, match=r"no answer \(Connection refused\)"):
        read_document("http://127.0.0.1:9", target=None, wire=HttpWire())


def test_nothing_to_send_is_reported() -> None:
    spec = {"openapi": "3.1.0", "paths": {"/x": {"delete": {}}, "/y": "nonsense", "z": {"get": {}}}}
    with pytest.raises(UsageError, match="nothing to send"):
        write_scenario(Document(spec, "x.json", None), wire=None)
    with pytest.raises(UsageError, match="describes no operation"):
        write_scenario(Document({"openapi": "3.1.0", "paths": {}}, "x.json", None), wire=None)
    with pytest.raises(UsageError, match="no such operation"):
        write_scenario(Document(spec, "x.json", None), wire=None, include=["GET /nowhere"])
