"""FastUser is compared with FastHttpUser: the same calls send and read the same, or are refused with a sentence."""

from __future__ import annotations

import gzip
import inspect
import json
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import locust  # noqa: F401 - first, because it patches sockets and threads
import pytest
from locust import FastHttpUser
from locust.contrib.fasthttp import FastHttpSession, FastResponse, ResponseContextManager
from locust.env import Environment
from locust.exception import LocustError, StopTest

from loadtest.users.client import FastClient
from loadtest.users.fast_user import FastUser
from loadtest.users.refusals import USER_ATTRIBUTES
from loadtest.users.response import Response
from tests.conftest import ROOT
from tests.http.scripted import Peer, Scripted, scripted

DOCS = (ROOT / "docs" / "users.md").read_text(encoding="utf-8")


@pytest.fixture
def environment() -> Iterator[Environment]:
    made = Environment(user_classes=[])
    made.create_local_runner()
    yield made
    made.runner.quit()


class Events:
    """The content of Locust's request events."""

    def __init__(self, environment: Environment) -> None:
        self.seen: list[dict[str, Any]] = []
        environment.events.request.add_listener(lambda **event: self.seen.append(event))

    def take(self) -> list[dict[str, Any]]:
        seen, self.seen[:] = [*self.seen], []
        return seen


def users_of(environment: Environment, port: int, path: str = "", **attributes: Any) -> list[Any]:
    """Return a FastHttpUser and a FastUser of the same host."""
    host = f"http://127.0.0.1:{port}{path}"
    made = []
    for base in (FastHttpUser, FastUser):
        made.append(type("Made", (base,), {"abstract": True, "host": host, **attributes})(environment))
    return made


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def answering(*answers: bytes) -> Callable[[Peer], None]:
    """Answer the requests of every connection with these answers in turn, and with 200 {} after them."""

    def script(peer: Peer) -> None:
        left = list(answers)
        while peer.read():
            peer.send(left.pop(0) if left else OK)

    return script


SENT = ("content-type", "content-length", "authorization", "cookie", "x-a")
"""Headers that both users must send with the same value. User-agent, accept and accept-encoding are not among them
(docs/users.md)."""


def asked(server: Scripted) -> list[tuple[Any, ...]]:
    """Return method, target, body and the headers listed in SENT of every request, and forget the requests."""
    found = []
    for peer in server.peers:
        for request in peer.requests:
            head, _, body = request.partition(b"\r\n\r\n")
            line, *fields = head.decode("latin-1").split("\r\n")
            headers = sorted((name.lower(), value) for name, _, value in (field.partition(": ") for field in fields))
            assert [name for name, _ in headers].count("content-length") < 2
            kept = [pair for pair in headers if pair[0] in SENT]
            if body[:1] in (b"{", b"["):  # JSON: the same value in fewer bytes
                body, kept = json.loads(body), [pair for pair in kept if pair[0] != "content-length"]
            found.append((line, kept, body))
        peer.requests.clear()
    return found


CALLS: dict[str, Callable[[Any], Any]] = {
    "get": lambda c: c.get("/a"),
    "get with a query": lambda c: c.get("/a?b=1#part"),
    "get of the host itself": lambda c: c.get("", name="host"),
    "get of a query alone": lambda c: c.get("?a=1"),
    "blanks and letters beyond ASCII": lambda c: c.get("/a b/ü?q=ß&r=%7e%20"),
    "params as text": lambda c: c.get("/a", params="a=1&b=2"),
    "params on a query": lambda c: c.get("/a?x=1", params={"b": "x y", "c": [1, 2], "d": None}),
    "params as pairs": lambda c: c.get("/a", params=[("a", "1"), ("a", "ü")]),
    "head": lambda c: c.head("/a"),
    "options": lambda c: c.options("/a"),
    "delete": lambda c: c.delete("/a"),
    "delete with a body": lambda c: c.delete("/a", json={"x": 1}),
    "get with a body": lambda c: c.get("/a", data=b"x"),
    "patch": lambda c: c.patch("/a", data="text"),
    "patch json": lambda c: c.patch("/a", json={"a": 1}),
    "put": lambda c: c.put("/a", data=b"bytes"),
    "put json": lambda c: c.put("/a", json=[1]),
    "post nothing": lambda c: c.post("/a"),
    "post empty": lambda c: c.post("/a", data=""),
    "post an empty list": lambda c: c.post("/a", data=[]),
    "post text": lambda c: c.post("/a", data="ü"),
    "post text of a type": lambda c: c.post("/a", data="<a/>", headers={"content-type": "text/xml"}),
    "post bytes": lambda c: c.post("/a", data=b"\x00\xff"),
    "post a form": lambda c: c.post("/a", data={"a": "x y", "b": [1, 2], "c": "ü"}),
    "post a form of a type": lambda c: c.post("/a", data={"a": 1}, headers={"Content-Type": "x/y"}),
    "post an empty json": lambda c: c.post("/a", json={}),
    "post json of a type": lambda c: c.post("/a", json=1, headers={"Content-Type": "application/vnd.api+json"}),
    "data before json": lambda c: c.post("/a", "d", {"j": 1}),
    "a given content-length": lambda c: c.post("/a", data=b"abc", headers={"Content-Length": "3"}),
    "a given content-length, small": lambda c: c.post("/a", data={"a": 1}, headers={"content-length": "99"}),
    "headers": lambda c: c.get("/a", headers={"X-A": "1"}),
    "auth": lambda c: c.get("/a", auth=("me", "pässword")),
    "any method": lambda c: c.request("report", "/a"),
    "positional words of request": lambda c: c.request("POST", "/a", "a name", b"body"),
    "allow_redirects": lambda c: c.get("/a", allow_redirects=False),
    "stream=False": lambda c: c.get("/a", stream=False),
    "max_redirects": lambda c: c.get("/a", max_redirects=2),
    "a whole URL": lambda c: c.get(c.base_url + "/a?b=1"),
}


@pytest.mark.parametrize("call", CALLS)
def test_the_same_call_sends_the_same(environment: Environment, call: str) -> None:
    """Method, target, body, the headers that describe it, and the name in the event are equal."""
    events = Events(environment)
    with scripted(answering()) as server:
        told = []
        for user in users_of(environment, server.port):
            CALLS[call](user.client)
            (event,) = events.take()
            name = event["name"] or "/"  # FastHttpUser records get("") without a name
            told.append((asked(server), event["request_type"].upper(), name, event["url"].partition("#")[0]))
    theirs, ours = told
    assert theirs[:3] == ours[:3]


def test_json_says_the_same(environment: Environment) -> None:
    """For everything that json.dumps accepts, the received value equals FastHttpUser's, including NaN and infinity."""
    values = [
        {"x": float("nan")},
        [float("inf"), -float("inf"), None],
        {"a": None, "b": "null"},
        {1: "a", None: 2, 2.5: 3},
        2**70,
        "ü\ud800",
        (1, [2.5, {"c": False}]),
    ]
    with scripted(answering()) as server:
        theirs, ours = users_of(environment, server.port)
        for value in values:
            bodies = []
            for user in (theirs, ours):
                user.client.post("/a", json=value)
                sent = asked(server)[0][2]
                bodies.append(json.dumps(json.loads(sent) if isinstance(sent, bytes) else sent))
            assert bodies[0] == bodies[1] == json.dumps(json.loads(json.dumps(value)))
    with pytest.raises(TypeError, match="set"):
        ours.client.post("/a", json={"a": {1, 2}})


def test_files_arrive_as_the_same_parts(environment: Environment) -> None:
    """The parts have the same names, file names, types and bytes, even if there is a field of `data` as well."""
    import email

    given = {"one": ("a.txt", b"A"), "two": ("b.bin", BytesIO(b"\x00\xff"), "x/y"), "three": b"bare"}
    with scripted(answering()) as server:
        parts = []
        for user in users_of(environment, server.port):
            user.client.post("/a", data={"f": "v", "g": [1, 2]}, files=given)
            given["two"] = ("b.bin", BytesIO(b"\x00\xff"), "x/y")
            _, headers, body = asked(server)[0]
            kind = dict(headers)["content-type"]
            message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
            parts.append(
                [
                    (
                        part.get_param("name", header="content-disposition"),
                        part.get_filename(),
                        part.get("content-type"),
                        part.get_payload(decode=True),
                    )
                    for part in message.get_payload()  # type: ignore[union-attr]
                ]
            )
    assert parts[0] == parts[1]
    assert len(parts[1]) == 6


def page(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]).encode() + b"\r\n\r\n" + body


ANSWERS = {
    "NaN": page(b'{"score": NaN, "b": -Infinity}', "Content-Type: application/json"),
    "ISO-8859-1": page('{"city": "Zürich"}'.encode("latin-1"), "Content-Type: application/json; charset=iso-8859-1"),
    "ISO-8859-1, and UTF-8 by chance": page('"Ã¼"'.encode("latin-1"), "Content-Type: text/plain"),
    "UTF-8": page('{"city": "Zürich"}'.encode(), "Content-Type: application/json"),
    "UTF-8, no type": page('{"city": "Zürich, Genève, Köln"}'.encode()),
    "UTF-16": page('{"a": "b"}'.encode("utf-16"), 'Content-Type: application/json; charset="utf-16"'),
    "text": page(b"hello", "Content-Type: text/html"),
    "empty": page(b"", "Content-Type: application/json"),
    "gzip": page(gzip.compress(b'{"a": 1}'), "Content-Encoding: gzip", "Content-Type: application/json"),
    "deflate": page(zlib.compress(b'{"a": 1}'), "Content-Encoding: deflate", "Content-Type: application/json"),
    "deflate, bare": page(zlib.compress(b'{"a": 1}')[2:-4], "Content-Encoding: deflate"),
    "not gzip": page(b"nothing of it", "Content-Encoding: gzip"),
    "repeated headers": page(b"{}", "X-A: 1", "X-A: 2"),
    "404": page(b'{"detail": "x"}', "Content-Type: application/json", status="404 Not Found"),
    "300": page(b"choose", status="300 Multiple Choices"),
    "304": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "226": page(b"x", status="226 IM Used"),
    "302 to nowhere": page(b"x", status="302 Found"),
}


def read_of(response: Any) -> dict[str, Any]:
    """Return everything that a scenario reads from a response."""
    found: dict[str, Any] = {name: getattr(response, name) for name in ("status_code", "ok", "text", "encoding")}
    try:
        found["json"] = repr(response.json())
    except ValueError as error:
        found["json"] = isinstance(error, json.JSONDecodeError)
    found["content"] = bytes(response.content or b"")
    found["headers"] = sorted((name.lower(), value) for name, value in response.headers.items())
    found["lists"] = [response.headers.getlist(name) for name in ("x-a", "X-A", "nothing")]
    found["history"] = len(response.history)
    found["failed"] = response.error is not None if getattr(response, "error", None) else False
    return found


@pytest.mark.parametrize("case", ANSWERS)
def test_the_same_answer_reads_the_same(environment: Environment, case: str) -> None:
    """Both users read the same status, text, encoding, JSON, content and headers, and agree on what is a failure."""
    events = Events(environment)
    with scripted(answering(ANSWERS[case])) as server:
        theirs, ours = users_of(environment, server.port)
        read, failed, sizes = [], [], []
        for user in (theirs, ours):
            response = user.client.get("/a")
            (event,) = events.take()
            failed.append(event["exception"] is not None)
            if case != "not gzip":  # FastHttpUser raises an error when this is read
                read.append(read_of(response))
                sizes.append(event["response_length"])
    assert failed[0] == failed[1]
    if read:
        if case == "repeated headers":
            read[0]["headers"] = read[1]["headers"]  # FastHttpUser returns the first line twice; both lists are equal
        assert read[0] == read[1]
        assert sizes[0] == sizes[1]


def test_no_answer_reads_as_in_fasthttpuser(environment: Environment) -> None:
    """The status is 0, and missing values are None. success() in a block makes it a success; `ok` is False here."""
    events = Events(environment)
    with scripted(answering()) as server:
        pass
    found = []
    for user in users_of(environment, server.port):
        response = user.client.get("/a")
        found.append((response.status_code, response.content, response.text, response.headers, response.error is None))
        with user.client.get("/a", catch_response=True) as response:
            response.success()
        found[-1] += tuple(event["exception"] is None for event in events.take())
        with pytest.raises(Exception):  # noqa: B017 - FastHttpUser raises a TypeError about None, ours ends the task
            response.json()
    assert found[0] == found[1] == (0, None, None, None, False, False, True)
    assert "`ok`" in DOCS


def redirect(status: int, location: str, *fields: str) -> bytes:
    return page(b"moved", f"Location: {location}", *fields, status=f"{status} Moved")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["get", "post", "head", "put"])
def test_a_redirect_to_the_same_host_is_followed_as_fasthttpuser_does(
    environment: Environment, status: int, method: str
) -> None:
    """Both users send the same requests in the same order, write one row under the first name, and return the last
    answer.
    """
    events = Events(environment)
    options = {"data": b"body"} if method in ("post", "put") else {}
    found = []
    for kind in (0, 1):
        first = redirect(status, "../b?c=1", "Set-Cookie: s=1; Path=/")
        if method == "head":
            first = first[: first.index(b"\r\n\r\n") + 4].replace(b"Content-Length: 5\r\n", b"")
        with scripted(answering(first)) as server:
            user = users_of(environment, server.port)[kind]
            response = getattr(user.client, method)("/x/a", auth=("me", "x"), **options)
            (event,) = events.take()
            found.append((asked(server), event["name"], event["exception"], response.status_code))
            assert len(response.history) == 1
    assert found[0] == found[1]


def test_redirects_end_at_their_limit_and_can_be_taken_as_answers(environment: Environment) -> None:
    """The limits are `max_redirects` of the class, and allow_redirects=False."""
    events = Events(environment)
    for kind in (0, 1):
        with scripted(answering(*[redirect(302, "/a")] * 10)) as server:
            user = users_of(environment, server.port, max_redirects=2)[kind]
            user.client.get("/a")
            assert events.take()[0]["exception"] is not None
            assert len(asked(server)) == 3
            assert user.client.get("/a", allow_redirects=False).status_code == 302
            assert events.take()[0]["exception"] is None


def test_cookies_are_kept_and_sent_as_fasthttpuser_does(environment: Environment) -> None:
    """Cookies are set by an answer or by the scenario, and deleted by an answer.

    A request's own Cookie header has priority.
    """
    answers = [
        page(b"{}", "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2; Path=/in; Secure"),
        OK,
        OK,
        page(b"{}", "Set-Cookie: a=gone; Path=/; Max-Age=0"),
    ]
    found = []
    for kind in (0, 1):
        with scripted(answering(*answers)) as server:
            client = users_of(environment, server.port)[kind].client
            for path in ("/", "/in/x", "/other", "/", "/in/y"):
                client.get(path)
            client.get("/in/z", headers={"Cookie": "mine=1"})
            found.append((asked(server), sorted(cookie.name for cookie in client.cookiejar)))
    assert found[0] == found[1]
    assert [dict(headers).get("cookie") for _, headers, _ in found[1][0]] == [
        None, "a=1", "a=1", "a=1", None, "mine=1",
    ]  # fmt: skip


def test_names_are_given_as_in_fasthttpuser(environment: Environment) -> None:
    """The order of priority is name=, rename_request, request_name and request_meta."""
    events = Events(environment)
    with scripted(answering()) as server:
        found = []
        for user in users_of(environment, server.port):
            client = user.client
            with client.rename_request("/item/[id]"):
                client.get("/item/7")
                client.get("/item/8", name="mine")
            client.get("/item/9")
            client.request_name = "/thing/[id]"
            client.get("/thing/8")
            client.request_name = None
            with client.get("/meta", catch_response=True, context={"a": 1}) as answer:
                answer.request_meta["name"] = "/meta, renamed"
                answer.request_meta["request_type"] = "MINE"
                answer.request_meta["response_time"] = 1234.5
                answer.request_meta["response_length"] = 7
                answer.request_meta["context"]["b"] = 2
                answer.request_meta["more"] = 3
            with client.get("/meta", catch_response=True) as answer:
                answer.request_meta["exception"] = ValueError("mine")
            seen = events.take()
            found.append([(event["name"], event["request_type"], repr(event["exception"])) for event in seen])
            edited = seen[4]
            assert (edited["response_time"], edited["response_length"], edited["more"]) == (1234.5, 7, 3)
            assert edited["context"].items() >= {"a": 1, "b": 2}.items()
    assert found[0] == found[1]


def test_rest_works_as_in_fasthttpuser(environment: Environment) -> None:
    """The cases are an answer's `js`, a failed assertion, an answer that is not JSON, a missing key, and no answer.

    Each call of `rest` or `rest_` fires one request event.
    """
    events = Events(environment)
    found = []
    for kind in (0, 1):
        with scripted(answering(page(b'{"a": 1}'), page(b'{"a": 2}'), page(b"no json"), page(b"{}"))) as server:
            user = users_of(environment, server.port)[kind]
            with user.rest("GET", "/a") as response:
                assert response.js == {"a": 1}
            with user.rest_("POST", "/b", json={"x": 1}) as response:
                assert response.js["a"] == 1, "wrong a"
            with user.rest("GET", "/c"):
                pass
            with user.rest("GET", "/d") as response:
                response.js["missing"]
        with user.rest("GET", "/gone") as response:
            assert response.js is None
        seen = events.take()
        found.append([(event["name"], str(event["exception"])[:20]) for event in seen[:3]])
        assert [event["exception"] is None for event in seen] == [True, False, False, False, False]
    assert found[0] == found[1]


def public(of: type) -> set[str]:
    return {name for name in dir(of) if not name.startswith("_")}


REFUSED_IN_SESSION: dict[str, Callable[[FastClient], object]] = {
    "client": lambda client: client.client,
    "iter_lines": lambda client: client.iter_lines("/a"),
}
REFUSED_IN_RESPONSE: dict[str, Callable[[Response], object]] = {
    "read": lambda response: response.read(10),
    "readline": lambda response: response.readline(),
    "stream": lambda response: response.stream,
    "unzipped": lambda response: response.unzipped(),
}
REFUSED_OPTIONS = {"stream": True, "max_retries": 3, "debug_stream": BytesIO(), "to_string": True}


def test_everything_public_of_the_session_is_there_or_refused(environment: Environment) -> None:
    """Every name of the installed FastHttpSession is present, or refused with a sentence and a line in the docs."""
    with scripted(answering()) as server:
        theirs, ours = (user.client for user in users_of(environment, server.port))
        names = public(type(theirs)) | {name for name in vars(theirs) if not name.startswith("_")}
        for name in sorted(names):
            if name in REFUSED_IN_SESSION:
                with pytest.raises((TypeError, AttributeError), match=r"docs/users\.md"):
                    REFUSED_IN_SESSION[name](ours)
                assert f"`{name}" in DOCS or f".{name}" in DOCS, name
            else:
                getattr(ours, name)
                assert callable(getattr(theirs, name)) == callable(getattr(ours, name))


def test_every_parameter_of_a_request_is_taken_or_refused(environment: Environment) -> None:
    """The test reads the parameters of the installed `request`, of its verbs, and of the functions that these call."""
    from geventhttpclient.useragent import UserAgent
    from locust.contrib import fasthttp

    names: set[str] = set()
    for function in (FastHttpSession.request, FastHttpSession.get, FastHttpSession.post, UserAgent.urlopen):
        names |= set(inspect.signature(function).parameters)
    names -= {"self", "kw", "kwargs", "method", "url", "payload"}
    source = inspect.getsource(fasthttp)
    for line in source[source.index("class PostKwargs") : source.index("class RESTKwargs") + 200].splitlines():
        word = line.strip().partition(":")[0]
        if line.startswith("        ") and word.isidentifier():
            names.add(word)
    harmless: dict[str, Any] = dict.fromkeys(names) | {"catch_response": False, "stream": False, "context": {}}
    harmless |= {"allow_redirects": True, "to_string": False}
    with scripted(answering()) as server:
        client = users_of(environment, server.port)[1].client
        for name in sorted(names):
            client.request("GET", "/a", **{name: harmless[name]})
            if name in REFUSED_OPTIONS:
                with pytest.raises(TypeError, match=rf"{name}=.*docs/users\.md"):
                    client.request("GET", "/a", **{name: REFUSED_OPTIONS[name]})
                assert f"`{name}=" in DOCS, name
        for name in ("verify", "cert", "proxies", "cookies", "hooks", "nonsense"):
            with pytest.raises(TypeError, match=rf"{name}=.*docs/users\.md"):
                client.get("/a", **{name: 1})
    assert {"name", "data", "json", "headers", "auth", "params", "files", "max_redirects"} <= names


@pytest.mark.parametrize("theirs", [FastResponse, ResponseContextManager])
def test_everything_public_of_a_response_is_there_or_refused(environment: Environment, theirs: type) -> None:
    """Every name of the installed FastResponse and ResponseContextManager is tested on an answer in its `with`
    block.
    """
    with scripted(answering()) as server:
        stock, ours = (user.client for user in users_of(environment, server.port))
        with stock.get("/a", catch_response=True) as their_answer, ours.get("/a", catch_response=True) as answer:
            names = public(theirs) | {name for name in vars(their_answer) if not name.startswith("_")}
            for name in sorted(names):
                if name in REFUSED_IN_RESPONSE:
                    with pytest.raises((LocustError, AttributeError), match=r"docs/users\.md"):
                        REFUSED_IN_RESPONSE[name](answer)
                    assert f"`{name}" in DOCS, name
                else:
                    getattr(answer, name)
            assert [*answer.iter_content(1)] == ["{", "}"]
            assert answer.request.url == their_answer.request.url
            assert answer.request.method == their_answer.request.method
        with stock.get("/a") as their_answer, ours.get("/a") as answer:  # does nothing in both
            assert their_answer.status_code == answer.status_code
        for judge in (lambda r: r.success(), lambda r: r.failure("x")):
            for client in (stock, ours):
                with pytest.raises(LocustError, match="catch_response"):
                    judge(client.get("/a"))


def test_everything_public_of_the_user_is_there_or_refused(environment: Environment) -> None:
    """Every attribute of the installed FastHttpUser is supported, or refused when the class or the user is created."""
    for name in sorted(public(FastHttpUser)):
        assert hasattr(FastUser, name), name
    other = {"max_retries": 1, "concurrency": 3, "proxy_host": "x", "proxy_port": 1, "client_pool": object()}
    assert other.keys() == USER_ATTRIBUTES.keys()
    for name, value in other.items():
        assert USER_ATTRIBUTES[name][0] == getattr(FastHttpUser, name)
        with pytest.raises(TypeError, match=rf"Mine\.{name}.*docs/users\.md"):
            type("Mine", (FastUser,), {name: value, "abstract": True})
        made = type("Mine", (FastUser,), {"abstract": True, "host": "http://127.0.0.1:1"})
        setattr(made, name, value)
        with pytest.raises(StopTest, match=rf"{name}.*docs/users\.md"):
            made(environment)
        assert f"`{name}" in DOCS, name
    for name in ("insecure", "default_headers", "ssl_context_factory", "max_redirects", "allow_other_hosts"):
        assert f"`{name}" in DOCS, name


@pytest.mark.parametrize("data", [[1, 2, 3], (b"a",), {1, 2}, 5, 1.5, [("a", "1")], object()], ids=repr)
def test_a_body_that_is_none_is_refused(environment: Environment, data: Any) -> None:
    """FastHttpUser and HttpUser raise an error for a list of numbers. Nothing is sent for any such value."""
    with scripted(answering()) as server:
        client = users_of(environment, server.port)[1].client
        with pytest.raises(TypeError, match=r"data= is .*docs/users\.md"):
            client.post("/a", data=data)
        client.post("/a", data=BytesIO(b"file"))
        client.post("/a", data=iter([b"it", "er"]))
        assert [body for _, _, body in asked(server)] == [b"file", b"iter"]
        with pytest.raises(ValueError, match=r"Transfer-Encoding.*docs/users\.md"):
            client.post("/a", data=b"x", headers={"transfer-encoding": "chunked"})


def test_credentials_in_the_host_are_sent_but_never_shown(environment: Environment) -> None:
    """As in FastHttpUser, every request has Basic authorization, and base_url and events contain no credentials."""
    events = Events(environment)
    with scripted(answering()) as server:
        found = []
        for base in (FastHttpUser, FastUser):
            host = f"http://me:s%40cret@127.0.0.1:{server.port}"
            user: Any = type("Made", (base,), {"abstract": True, "host": host})(environment)
            user.client.get("/a")
            found.append((asked(server), user.client.base_url, user.client.auth_header, events.take()[0]["url"]))
    assert found[0] == found[1]
    assert "cret" not in found[1][1] + found[1][3]
