"""The recorder in a worker, with Locust: every request that was begun becomes one row, with any client and scenario."""

from __future__ import annotations

import contextlib
import functools
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.event
import gevent.pool
import locust  # first: it patches sockets and threads
import pytest
import requests
from gevent.monkey import get_original
from geventhttpclient.client import HTTPClient
from geventhttpclient.connectionpool import ConnectionPool
from geventhttpclient.response import HTTPSocketResponse
from locust import FastHttpUser, HttpUser
from locust.env import Environment
from locust.exception import RescheduleTask, StopUser
from locust.rpc import Message
from locust.rpc.zmqrpc import BaseSocket, Client, Server

from loadtest.core.clock import AnchoredClock
from loadtest.recorder import cut_off as untold_requests
from loadtest.recorder import task_errors
from loadtest.recorder.gate import Gate
from loadtest.recorder.hooks import listen_first, observe
from loadtest.recorder.in_flight import InFlight
from loadtest.recorder.master_socket import guard_master_socket
from loadtest.recorder.messages import HELLO, REFUSED, SCENARIO, UNLOADABLE, join_proof
from loadtest.recorder.request_recorder import RequestRecorder
from loadtest.recorder.task_errors import TaskErrors
from loadtest.recording.buffer import RowBuffer, attach
from loadtest.recording.frames import OUTCOMES, decode_frame
from loadtest.users.fast_user import FastUser
from tests.misbehaving import Misbehaving

USERS = [HttpUser, FastHttpUser, FastUser]
WRAPPED = [
    (owner, name, getattr(owner, name))
    for owner, name in (
        (ConnectionPool, "get_socket"),
        (HTTPClient, "request"),
        (HTTPSocketResponse, "read"),
        (HTTPSocketResponse, "readline"),
        (locust.clients.HttpSession, "request"),
        (locust.contrib.fasthttp.FastHttpSession, "request"),
        (requests.Response, "iter_content"),
    )
]


class Recording:
    """A recorded environment without a fleet."""

    def __init__(self) -> None:
        self.environment = Environment()
        self.errors = TaskErrors("w")
        observe(self.environment.events, lambda name, error: void(self.errors.add(error, where="listener", task=name)))
        self.runner = self.environment.create_local_runner()
        self.buffer = RowBuffer("w")
        attach(self.environment, self.buffer)
        self.recorder = RequestRecorder(self.buffer, AnchoredClock(), lambda _: -1)
        listen_first(self.environment.events.request, self.recorder.heard, self.recorder.in_flight.measure)
        self.recorder.in_flight.startup()

    def client(self, kind: type[Any], url: str, **attributes: Any) -> Any:
        user_class = type("Theirs", (kind,), {"abstract": False, "host": url, **attributes})
        return user_class(self.environment).client

    def rows(self) -> list[tuple[str, str, str]]:
        """Return name, outcome and error of every row, after checking that begun = rows + open + refused."""
        found = []
        while (data := self.buffer.take()) is not None:
            frame = decode_frame(data)
            columns, strings = frame.columns, frame.strings
            for at in range(frame.rows):
                outcome = OUTCOMES[columns["outcome"][at]]
                found.append((strings[columns["name"][at]], outcome, strings[columns["error"][at]]))
        waiting = len(self.buffer.open) + len(self.buffer.unjudged)
        assert self.buffer.begun == self.buffer.rows_sent + waiting + self.recorder.refusals.lost
        return found


def void(_: object) -> None:
    """Ignore a value."""


@pytest.fixture
def recording() -> Iterator[Recording]:
    found = Recording()
    yield found
    found.runner.quit()
    for owner, name, original in WRAPPED:
        setattr(owner, name, original)


@pytest.fixture(scope="module")
def server() -> Iterator[Misbehaving]:
    found = Misbehaving()
    yield found
    found.close()


@pytest.mark.parametrize("kind", USERS)
def test_the_first_body_of_each_kind_of_failed_answer_is_kept(
    recording: Recording, server: Misbehaving, kind: type[Any]
) -> None:
    """One body is kept per endpoint and status.

    The body must be text, its secrets are masked, and its length is limited.

    No body is kept of a successful request, or of a request whose body was not read.
    """
    client = recording.client(kind, server.url)
    client.get("/says/422/Field%20age%20is%20missing", name="/predict")
    client.get("/says/422/the%20second", name="/predict")
    client.get("/says/500/password=hunter2%20failed", name="/predict")
    client.get("/says/422/" + "x" * 5000, name="/long")
    client.get("/says/500/%01%02%03%04", name="/bytes")
    client.get("/says/503/", name="/empty")
    client.get("/says/200/fine", name="/ok")
    client.get("/close", name="/closed")
    with client.get("/says/200/wrong%20answer", name="/checked", catch_response=True) as response:
        response.failure("checked")
    kept = {(body["name"], body["status"]): body["body"] for body in recording.recorder.bodies.take()}
    assert kept == {
        ("/predict", 422): "Field age is missing",
        ("/predict", 500): "password=[not recorded] failed",
        ("/long", 422): "x" * 1999 + "…",
        ("/checked", 200): "wrong answer",
    }
    client.get("/says/422/the%20third", name="/predict")
    assert recording.recorder.bodies.take() == []
    assert len(recording.rows()) == 10
    assert recording.recorder.refusals.records() == []


def test_a_body_that_is_streamed_is_left_to_the_scenario(recording: Recording, server: Misbehaving) -> None:
    """A body can be kept only if it was read. So a body that is unread when the request ends is not kept.

    FastHttpUser's client itself reads the body if the status is 400 or above.
    """
    client = recording.client(HttpUser, server.url)
    with client.get("/says/500/all%20of%20it", name="/streamed", stream=True, catch_response=True) as response:
        response.failure("no")
    recording.rows()
    assert recording.recorder.bodies.take() == []


@pytest.mark.parametrize("kind", USERS)
def test_every_behaviour_of_a_target_is_one_row(recording: Recording, server: Misbehaving, kind: type[Any]) -> None:
    """Answers, statuses, closed and reset connections, and garbage: each is one row, and no request stays open."""
    client = recording.client(kind, server.url)
    paths = ["/ok", "/status/503", "/status/429", "/close", "/reset", "/garbage", "/users/17"]
    for path in paths:
        client.get(path, name=path if path != "/users/17" else None)
    rows = recording.rows()
    outcomes = dict(
        zip([*paths[:-1], "/users/{id}"], ["ok", *["http_error"] * 2, *["connection"] * 3, "ok"], strict=True)
    )
    assert len(rows) == len(paths)
    assert {name: outcome for name, outcome, _ in rows} == outcomes
    assert not recording.buffer.open


@pytest.mark.parametrize("kind", USERS)
def test_a_user_that_is_stopped_leaves_an_unanswered_row(
    recording: Recording, server: Misbehaving, kind: type[Any]
) -> None:
    """The request is in flight while the user waits. After the kill, its row is `unanswered` with its age."""
    client = recording.client(kind, server.url)
    waiting = gevent.spawn(client.get, "/hang")
    with gevent.Timeout(10):
        while not server.counts["/hang"]:
            gevent.sleep(0.01)
    server.counts.clear()
    assert recording.buffer.in_flight == 1
    waiting.kill()
    assert recording.rows() == [("/hang", "unanswered", "no answer when its user was stopped")]
    assert recording.buffer.in_flight == 0


@pytest.mark.parametrize("kind", USERS)
def test_requests_that_still_wait_at_the_end_are_closed_once(
    recording: Recording, server: Misbehaving, kind: type[Any]
) -> None:
    """close_open writes the row, and a later kill writes no further row."""
    client = recording.client(kind, server.url)
    waiting = gevent.spawn(client.get, "/hang", name="it")
    with gevent.Timeout(10):
        while not recording.buffer.in_flight:
            gevent.sleep(0.01)
    assert recording.buffer.close_open() == 1
    waiting.kill()
    assert recording.rows() == [("it", "unanswered", "no answer by the end of the run")]


@pytest.mark.parametrize("kind", USERS)
def test_a_timeout_of_the_scenarios_own_is_a_timeout(
    recording: Recording, server: Misbehaving, kind: type[Any]
) -> None:
    """`with gevent.Timeout(…)` surrounds a call that hangs; FastHttpUser itself reports this as a failure."""
    client = recording.client(kind, server.url)
    with contextlib.suppress(gevent.Timeout), gevent.Timeout(0.1):
        client.get("/hang")
    ((_, outcome, _),) = recording.rows()
    assert outcome == "timeout"


@pytest.mark.parametrize("kind", USERS)
def test_verdicts_of_with_blocks_are_one_row_each(recording: Recording, server: Misbehaving, kind: type[Any]) -> None:
    """The verdicts are success(), failure(), a timeout marked as a failure, and an answer that is not judged."""
    attributes = {} if kind is HttpUser else {"network_timeout": 0.2}
    client = recording.client(kind, server.url, **attributes)
    options: dict[str, Any] = {"timeout": 0.2} if kind is HttpUser else {}
    with client.get("/status/500", catch_response=True, name="500") as answer:
        answer.success()
    with client.get("/ok", catch_response=True, name="ok") as answer:
        answer.failure("not mine")
    with client.get("/hang", catch_response=True, name="late", **options) as answer:
        answer.failure("too slow")
    client.get("/ok", catch_response=True, name="unjudged")
    rows = {name: (outcome, error) for name, outcome, error in recording.rows()}
    assert {name: outcome for name, (outcome, _) in rows.items()} == {
        "500": "ok",
        "ok": "check_failed",
        "late": "timeout",
    }
    assert rows["late"][1].startswith("too slow (")
    assert recording.buffer.in_flight == 0
    recording.buffer.close_open()
    assert recording.rows() == [("unjudged", "ok", "")]


@pytest.mark.parametrize("kind", USERS)
@pytest.mark.parametrize("judged", [False, True])
def test_a_body_that_breaks_off_is_no_failed_check(
    recording: Recording, server: Misbehaving, kind: type[Any], judged: bool
) -> None:
    """A delay in the body is a timeout, and a close in it is a connection error, even if `failure()` is called."""
    attributes = {} if kind is HttpUser else {"network_timeout": 0.3}
    client = recording.client(kind, server.url, **attributes)
    options: dict[str, Any] = {"timeout": 0.3} if kind is HttpUser else {}
    paths = ["/stalls", "/short"]
    for path in paths:
        if not judged:
            client.get(path, **options)
            continue
        with client.get(path, catch_response=True, **options) as answer:
            answer.failure("no good")
    rows = recording.rows()
    assert [(name, outcome) for name, outcome, _ in rows] == [("/stalls", "timeout"), ("/short", "connection")]
    assert all(error.startswith("no good (") for _, _, error in rows) == judged


@pytest.mark.parametrize("kind", [HttpUser, FastHttpUser])
def test_a_body_that_breaks_off_as_the_scenario_reads_it_is_no_failed_check(
    recording: Recording, server: Misbehaving, kind: type[Any]
) -> None:
    """With `stream=True` the scenario reads the body.

    The row keeps the transport's reason in addition to the scenario's message.
    """
    attributes = {} if kind is HttpUser else {"network_timeout": 0.3}
    client = recording.client(kind, server.url, **attributes)
    options: dict[str, Any] = {"timeout": 0.3} if kind is HttpUser else {}
    for path in ("/stalls", "/short"):
        with client.get(path, catch_response=True, stream=True, **options) as answer:
            try:
                assert len(answer.content) == 100
            except Exception as error:
                answer.failure(f"no good: {type(error).__name__}")
    assert [outcome for _, outcome, _ in recording.rows()] == ["timeout", "connection"]


@pytest.mark.parametrize("kind", USERS)
@pytest.mark.parametrize("raised", [TimeoutError("older than 1 s"), ConnectionResetError("the body says reset")])
def test_an_error_raised_by_a_check_is_a_failed_check(
    recording: Recording, server: Misbehaving, kind: type[Any], raised: OSError
) -> None:
    """A scenario rejects a complete answer with an error of a kind that transports raise."""
    client = recording.client(kind, server.url)
    with client.get("/ok", catch_response=True) as answer:
        answer.failure(raised)
    assert [outcome for _, outcome, _ in recording.rows()] == ["check_failed"]


@pytest.mark.parametrize("kind", USERS)
@pytest.mark.parametrize("raised", [RescheduleTask, StopUser, KeyError])
def test_no_listener_costs_a_row(
    recording: Recording, server: Misbehaving, kind: type[Any], raised: type[Exception]
) -> None:
    """Case 01: one listener before and one after ours raise errors.

    The rows and Locust's own totals contain every request.
    """

    def start_over(exception: Any, **_: Any) -> None:
        if exception:
            raise raised

    recording.environment.events.request._handlers.insert(0, start_over)
    recording.environment.events.request.add_listener(start_over)
    client = recording.client(kind, server.url)
    for _ in range(5):
        with contextlib.suppress(raised):
            client.get("/status/500")
        client.get("/ok")
    assert Counter(outcome for _, outcome, _ in recording.rows()) == {"http_error": 5, "ok": 5}
    assert recording.environment.stats.total.num_requests == 10
    assert recording.environment.stats.total.num_failures == 5


def test_custom_events_are_rows_or_refusals_and_their_begin_is_not_known(recording: Recording) -> None:
    """An event becomes a row even if its exception is a text. An event without a time is refused.

    The method is listed among those whose requests are known only when they end.
    """
    fire = recording.environment.events.request.fire
    fire(request_type="MQTT", name="/topic/17", response_time=2.0, response_length=0, exception="text")
    fire(request_type="MQTT", name="x", response_time=None, response_length=0, exception=None)
    assert recording.rows() == [("/topic/17", "check_failed", "text")]
    assert [(record.name, record.count, record.lost) for record in recording.recorder.refusals.records()] == [
        ("response_time is None", 1, True)
    ]
    assert recording.recorder.custom_methods == {"MQTT"}
    assert recording.environment.stats.total.num_requests == 2


def test_events_of_another_thread_become_rows_in_the_loops_own(recording: Recording) -> None:
    """A client library has system threads. Two threads that add new names at the same time would swap them."""
    fire = recording.environment.events.request.fire
    told: list[int] = []

    def tell() -> None:
        for number in range(50):
            fire(request_type="LIB", name=f"name-{number}", response_time=number, response_length=0, exception=None)
            told.append(number)

    get_original("_thread", "start_new_thread")(tell, ())
    give_up_s = time.monotonic() + 10
    while len(told) < 50:
        assert time.monotonic() < give_up_s
        get_original("time", "sleep")(0.001)  # the loop does not run in the meantime
    assert len(recording.buffer) == 0
    with gevent.Timeout(10):
        while len(recording.buffer) < 50:
            gevent.sleep(0.01)
    assert [name for name, _, _ in recording.rows()] == [f"name-{number}" for number in range(50)]


def test_a_measured_block_is_known_from_its_begin(recording: Recording) -> None:
    """`events.request.measure`: a block ends, fails or is renamed.

    A block that is cut off is `unanswered`, whereas Locust counts a success.
    """
    hook = recording.environment.events.request
    with hook.measure("grpc", "/ok"):
        assert recording.buffer.in_flight == 1
    with hook.measure("grpc", "/bad"):
        raise ConnectionResetError
    with hook.measure("grpc", "/before") as event:
        event["name"] = "/after"
    with contextlib.suppress(gevent.Timeout), gevent.Timeout(0.01), hook.measure("grpc", "/late"):
        gevent.sleep(10)

    def wait() -> None:
        with hook.measure("grpc", "/stopped"):
            gevent.sleep(10)

    waiting = gevent.spawn(wait)
    gevent.sleep(0)
    waiting.kill()
    assert [(name, outcome) for name, outcome, _ in recording.rows()] == [
        ("/ok", "ok"),
        ("/bad", "connection"),
        ("/after", "ok"),
        ("/late", "timeout"),
        ("/stopped", "unanswered"),
    ]
    assert not recording.recorder.custom_methods


class Custom(locust.User):
    """A user with its own client, which reports a request after its end.

    `where` selects the place at which the request is reported.
    """

    where = "after"
    wait_time = locust.constant(0)

    @locust.task
    def call(self) -> None:
        fire = functools.partial(
            self.environment.events.request.fire, request_type="X", name="it", response_time=1.0, response_length=0
        )
        if self.where == "asleep":
            gevent.sleep(10)
        try:
            gevent.event.Event().wait(10)
        finally:
            if self.where == "finally":
                fire(exception=None)
        fire(exception=None)


@pytest.mark.parametrize(
    ("where", "untold", "rows"), [("after", 1, []), ("finally", 0, ["unanswered"]), ("asleep", 0, [])]
)
def test_a_custom_clients_request_is_recorded_or_counted_when_its_user_is_stopped(
    recording: Recording, where: str, untold: int, rows: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request reported in a `finally` is an `unanswered` row.

    A request that is not reported is counted, but a pause is not.
    """
    for owner, name in (*untold_requests.WATCHED, *untold_requests.STARTED):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    found: list[object] = []
    untold_requests.watch_tasks(found.append)
    user = type("Waiting", (Custom,), {"where": where})(recording.environment)
    group = gevent.pool.Group()
    greenlet = user.start(group)
    gevent.sleep(0.05)
    greenlet.kill()
    assert len(found) == untold
    assert [outcome for _, outcome, _ in recording.rows()] == rows


class LogsIn(locust.TaskSet):
    def on_start(self) -> None:
        gevent.event.Event().wait(10)

    @locust.task
    def call(self) -> None:
        pass


@pytest.mark.parametrize(("place", "untold"), [("user", 1), ("task set", 1), ("asleep", 0)])
def test_a_custom_clients_request_in_on_start_is_counted_when_its_user_is_stopped(
    recording: Recording, place: str, untold: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locust catches the exception that cuts off `on_start`. The request is nevertheless counted, but only once."""
    for owner, name in (*untold_requests.WATCHED, *untold_requests.STARTED):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    found: list[object] = []
    untold_requests.watch_tasks(found.append)
    fields: dict[str, Any] = {
        "user": {"on_start": lambda _: gevent.event.Event().wait(10), "tasks": [LogsIn]},
        "task set": {"tasks": [LogsIn]},
        "asleep": {"on_start": lambda _: gevent.sleep(10), "tasks": [LogsIn]},
    }
    user = type("Waiting", (locust.User,), {"wait_time": locust.constant(0), **fields[place]})(recording.environment)
    greenlet = user.start(gevent.pool.Group())
    gevent.sleep(0.05)
    greenlet.kill()
    assert found == [user] * untold


def test_a_request_that_fast_http_user_repeats_is_counted(recording: Recording, server: Misbehaving) -> None:
    """There is one row, and the further requests that the server read are counted as `resent`."""
    recording.client(FastHttpUser, server.url).get("/close?again")
    assert len(recording.rows()) == 1
    assert recording.buffer.resent == server.counts["/close?again"] - 1 > 0


def test_a_request_that_the_client_refuses_to_send_is_none(recording: Recording) -> None:
    """A URL without a host is an error of the scenario, and no request was begun."""
    client = recording.client(HttpUser, "http://127.0.0.1:1")
    with pytest.raises(requests.exceptions.InvalidURL):
        client.get("http://")
    assert recording.rows() == []
    assert recording.buffer.begun == 0


def test_errors_are_counted_by_place_with_the_first_traceback() -> None:
    """Two KeyErrors of one task are one kind, a secret in them is not kept, and the same exception counts once."""
    errors = TaskErrors("w")
    for _ in range(2):
        try:
            raise KeyError("token=SECRET")
        except KeyError as error:
            errors.add(error)
            errors.add(error)
    (record,) = errors.records()
    assert (record.where, record.exception, record.count) == ("task", "KeyError", 2)
    assert "SECRET" not in record.model_dump_json()
    assert "recorder_cases.py" in record.traceback
    assert [record["count"] for record in errors.take()] == [2]
    assert errors.take() == []


def test_a_name_that_cannot_be_resolved_is_a_failed_request_and_no_error_of_the_scenario(recording: Recording) -> None:
    """gevent looks names up in threads. It reports a failed lookup to its hub, even if the client catches the error."""
    errors, hub = TaskErrors("w"), gevent.get_hub()
    before = hub.handle_error
    task_errors.watch_users(errors, void)
    try:
        recording.client(HttpUser, "http://name.invalid").get("/")
        gevent.sleep(0.01)
    finally:
        hub.handle_error = before
    assert [outcome for _, outcome, _ in recording.rows()] == ["connection"]
    assert errors.records() == []


def test_kinds_of_errors_are_bounded() -> None:
    """A scenario whose messages never repeat fills 100 kinds of failures and one kind for all others.

    No count is lost.
    """
    errors = TaskErrors("w")
    for number in range(300):
        errors.add(ValueError(f"{'x' * number}"))
    assert len(errors.records()) <= task_errors.MAX_KINDS + 1
    assert sum(record.count for record in errors.records()) == 300


def test_in_flight_forgets_greenlets(recording: Recording, server: Misbehaving) -> None:
    """Nothing is kept of calls that have ended."""
    client = recording.client(HttpUser, server.url)
    client.get("/ok")
    found: InFlight = recording.recorder.in_flight
    assert not found._calls


class Master:
    """The part of a master that the gate uses. It records the calls of the gate."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.sent: list[tuple[str, str]] = []
        self.server = self

    def handle_message(self, client_id: str, msg: Message) -> None:
        self.heard.append(f"{client_id} {msg.type}")
        if msg.type == "crash":
            raise KeyError("of Locust's own")

    def get_worker_index(self, client_id: str) -> int:
        return len(client_id)

    def send_message(self, kind: str, data: object, client_id: str) -> None:
        self.sent.append((client_id, kind))

    def send_to_client(self, msg: Message) -> None:
        self.sent.append((msg.node_id, msg.type))


def gate_of(master: Master, secret: str = "") -> tuple[Gate, list[str], list[tuple[str, str]]]:
    greeted: list[str] = []
    refused: list[tuple[str, str]] = []
    gate = Gate(
        master,  # type: ignore[arg-type] # it has everything that is used
        secret=secret,
        on_greeting=lambda client_id, greeting: greeted.append(f"{client_id} {greeting.worker}"),
        on_refusal=lambda client_id, name, _: refused.append((client_id, name)),
    )
    gate.startup()
    return gate, greeted, refused


def hello(client_id: str, worker: str, proof: str = "") -> Message:
    return Message(HELLO, {"worker": worker, "host": "h", "pid": 1, "versions": {}, "proof": proof}, client_id)


def test_a_worker_is_locusts_once_it_has_greeted() -> None:
    """A worker's `client_ready` is answered and held back. After the handshake every message passes."""
    master = Master()
    gate, greeted, refused = gate_of(master)
    for msg in (
        Message("client_ready", "2", "a"),
        Message("stats", {}, "a"),
        hello("a", "w1"),
        Message("stats", {}, "a"),
    ):
        gate.handle_message("a", msg)
    assert (greeted, refused) == (["a w1"], [])
    assert master.heard == ["a client_ready", "a stats"]
    assert master.sent == [("a", "ack")]


def test_a_plain_worker_gets_nothing_and_is_sent_away() -> None:
    """A plain worker never sends the handshake. It is therefore refused once, and Locust does not see it."""
    master = Master()
    gate, _, refused = gate_of(master)
    gate.handle_message("p", Message("client_ready", "2", "p"))
    gate.look()
    assert refused == []
    gate.look(patience_s=0)
    gate.handle_message("p", Message("client_ready", "2", "p"))
    assert [client for client, _ in refused] == ["p"]
    assert master.heard == []
    assert [kind for _, kind in master.sent] == ["ack", REFUSED, "quit"]


@pytest.mark.parametrize("proof", ["", "0" * 64, join_proof("s3cret", "other")])
def test_a_worker_without_the_secret_is_refused(proof: str) -> None:
    """A worker is refused without a proof, with a wrong proof, and with another worker's proof."""
    master = Master()
    gate, greeted, refused = gate_of(master, "s3cret")
    gate.handle_message("a", hello("a", "w1", proof))
    assert (greeted, refused) == ([], [("a", "wrong join secret")])
    gate.handle_message("b", hello("b", "w1", join_proof("s3cret", "b")))
    assert greeted == ["b w1"]


@pytest.mark.parametrize("kind", ["locustfile", SCENARIO, UNLOADABLE])
def test_only_processes_that_know_the_secret_get_the_scenario(kind: str) -> None:
    """Requests before joining are answered only with a proof.

    The answer to a request without a proof contains no scenario.
    """
    master = Master()
    gate, _, refused = gate_of(master, "s3cret")
    for proof in (None, "", "\N{LATIN SMALL LETTER E WITH ACUTE}", join_proof("s3cret", "other")):
        gate.handle_message("a", Message(kind, {"proof": proof}, "a"))
    gate.handle_message("a", Message(kind, None, "a"))
    assert master.heard == []
    assert [name for _, name in refused] == [f"message {kind} without the join secret"] * 5
    assert {sent for _, sent in master.sent} == ({SCENARIO} if kind == SCENARIO else set())
    gate.handle_message("a", Message(kind, {"proof": join_proof("s3cret", "a")}, "a"))
    assert master.heard == [f"a {kind}"]


@pytest.mark.parametrize("begin", [b"POST /", b"GET /a", b"\x16\x03\x01"])
def test_no_bytes_of_a_browser_are_a_message_to_the_master(begin: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """ZMTP 1.0 has no handshake: it would read a request's first byte as the length of a name, and the rest as
    messages.
    """
    for owner, name in ((BaseSocket, "__init__"), (Server, "recv_from_client")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    request = begin + b"A" * (begin[0] + 1 - len(begin)) + b"\x05\0evil"

    def heard() -> list[bytes] | None:
        server = Server("127.0.0.1", 0)
        with socket.create_connection(("127.0.0.1", server.port)) as browser:
            browser.sendall(request)
            found = server.socket.recv_multipart() if server.socket.poll(500) else None
        worker = Client("127.0.0.1", server.port, "w1")
        worker.send(Message("hello", None, "w1"))
        assert server.socket.poll(5000)
        assert server.recv_from_client()[0] == "w1"
        worker.close(0)
        server.close(0)
        return found

    assert heard() == [request[2 : begin[0] + 1], b"evil"]  # Locust's own
    guard_master_socket()
    assert heard() is None


def test_no_message_ends_the_masters_loop() -> None:
    """Another worker's name, a taken name, a missing type and an error in Locust's code are refused or counted."""
    master = Master()
    gate, _, refused = gate_of(master)
    gate.handle_message("a", hello("a", "w1"))
    gate.handle_message("b", hello("b", "w1"))
    gate.handle_message("a", Message("stats", {}, "b"))
    gate.handle_message("a", Message(None, {}, "a"))
    gate.handle_message("a", Message("crash", {}, "a"))
    assert [name for _, name in refused] == [
        "a worker of this name has joined before",
        "message in another worker's name",
        "message without a type",
        "message crash: KeyError",
    ]
