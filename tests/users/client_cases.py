"""The properties of the fast client, with real Locust objects and a server that sends exactly the given bytes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import locust  # noqa: F401 - first, because it patches sockets and threads
import numpy as np
import pytest
from gevent.event import Event
from locust import constant, task
from locust.env import Environment
from locust.exception import CatchResponseError, LocustError, StopUser
from locust.user.task import DefaultTaskSet

from loadtest.http.receive_timestamps import AVAILABLE, STAMP_TYPE, arrivals
from loadtest.recording.buffer import RECORDED_KEY, RowBuffer, attach
from loadtest.recording.frames import COLUMNS, OUTCOMES, Frame, decode_frame
from loadtest.users.client import FastClient
from loadtest.users.fast_user import FastTasks, FastUser
from loadtest.users.no_answer import NoAnswerError
from loadtest.users.pacing import next_point, phase_of, spread_throughput
from loadtest.users.performer import tally_of
from tests.http.scripted import Peer, Scripted, always, client_tls, scripted

JSON = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\nx-instance-id: one\r\n"
    b"x-instance-age-ms: 41\r\nServer-Timing: predict;dur=0.25\r\n\r\n"
    b'{"a": 1}'
)


def answer(status: int, body: bytes = b"ok", *fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture
def environment() -> Iterator[Environment]:
    made = Environment(user_classes=[], host="http://127.0.0.1:1")
    made.create_local_runner()
    yield made
    made.runner.quit()


@pytest.fixture
def buffer(environment: Environment) -> RowBuffer:
    made = RowBuffer("worker")
    attach(environment, made)
    return made


def client_of(environment: Environment, server: Scripted, **options: Any) -> FastClient:
    return FastClient(environment, f"http://127.0.0.1:{server.port}", **options)


def rows_of(buffer: RowBuffer) -> list[dict[str, Any]]:
    data = buffer.take()
    if data is None:
        return []
    frame: Frame = decode_frame(data)
    rows = [dict(zip(COLUMNS, values, strict=True)) for values in zip(*frame.columns.values(), strict=True)]
    for row in rows:
        for name in ("name", "method", "error", "instance"):
            row[name] = frame.strings[row[name]]
        row["outcome"] = OUTCOMES[row["outcome"]]
    return rows


def test_a_request_is_sent_as_http_says(environment: Environment) -> None:
    """The received bytes contain method, path, query, host, headers and body."""
    with scripted(always(JSON)) as server:
        client = client_of(environment, server, headers={"X-Key": "k"})
        client.post("/predict", json={"b": 2}, headers={"X-One": "1"})
        client.get("/list?a=1", params={"b": "x y"}, name="list")
        client.post("/form", data={"c": "ü"})
        client.post("/empty")
        client.headers["Authorization"] = "Bearer 2"
        client.delete("/thing")
        post, get, form, empty, delete = server.peers[0].requests
    assert post.startswith(b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % server.port)
    assert post.endswith(b'Content-Length: 7\r\n\r\n{"b":2}')
    for line in (
        b"X-Key: k\r\n",
        b"X-One: 1\r\n",
        b"Content-Type: application/json\r\n",
        b"Accept: application/json\r\n",
    ):
        assert post.count(line) == 1
    assert b"Accept-Encoding" not in post
    assert get.startswith(b"GET /list?a=1&b=x+y HTTP/1.1\r\n")
    assert b"Content-Length" not in get
    assert form.endswith(b"Content-Length: 8\r\n\r\nc=%C3%BC")
    assert b"Content-Length: 0\r\n" in empty
    assert b"Authorization: Bearer 2\r\n" in delete
    assert b"Authorization" not in empty


def test_an_answer_has_the_shape_of_fasthttpusers(environment: Environment) -> None:
    """The answer has status_code, ok, json, text, content, elapsed, url, and headers whose names may be in any case."""
    with scripted(always(JSON)) as server:
        response = client_of(environment, server).get("/x")
        assert (response.status_code, response.ok, response.json(), response.content) == (
            200,
            True,
            {"a": 1},
            b'{"a": 1}',
        )
        assert response.text == '{"a": 1}'
        assert response.headers["X-Instance-ID"] == response.headers.get("x-instance-id") == "one"
        assert "CONTENT-TYPE" in response.headers
        assert response.elapsed_ms > 0
        assert response.url == f"http://127.0.0.1:{server.port}/x"
        response.raise_for_status()


def test_a_request_is_one_row_with_the_data_that_the_service_reported(
    environment: Environment, buffer: RowBuffer
) -> None:
    """The row has name, method, status, outcome, bytes, instance, age and the server's own time."""
    with scripted(always(JSON)) as server:
        client = client_of(environment, server)
        client.post("/predict", json={})
        client.get("/other/7", name="/other/[id]")
    first, second = rows_of(buffer)
    shown = {key: first[key] for key in first if key not in ("start", "latency_us")}
    assert shown == {
        "late_us": -1,
        "name": "/predict",
        "method": "POST",
        "status": 200,
        "outcome": "ok",
        "error": "",
        "bytes": 8,
        "instance": "one",
        "instance_age_ms": 41,
        "server_us": 250,
        "side": 0,
    }
    assert second["name"] == "/other/[id]"
    assert first["start"] + first["latency_us"] * 1000 <= second["start"] + 1000


@pytest.mark.parametrize("listening", [False, True], ids=["quiet", "with a listener"])
@pytest.mark.parametrize("recording", [False, True], ids=["alone", "recorded"])
def test_every_request_counts_once_everywhere(environment: Environment, listening: bool, recording: bool) -> None:
    """Locust's totals, the rows and a listener of the user agree, whatever other listeners there are."""
    buffer = RowBuffer("worker")
    if recording:
        attach(environment, buffer)
    seen: list[dict[str, Any]] = []
    if listening:
        environment.events.request.add_listener(lambda **event: seen.append(event))

    def every_third_fails(peer: Peer) -> None:
        while peer.read():
            peer.send(answer(503) if len(peer.requests) % 3 == 0 else JSON)

    with scripted(every_third_fails) as server:
        client = client_of(environment, server)
        for _ in range(9):
            client.get("/a")
        for _ in range(3):
            with client.get("/b", catch_response=True) as response:
                response.success()
    tally_of(environment).flush()
    total, entry = environment.stats.total, environment.stats.entries[("/a", "GET")]
    assert (total.num_requests, total.num_failures) == (12, 3)
    assert (entry.num_requests, entry.num_failures, entry.total_content_length) == (9, 3, 6 * 8 + 3 * 2)
    assert sum(total.num_reqs_per_sec.values()) == sum(total.response_times.values()) == 12
    assert [error.occurrences for error in environment.stats.errors.values()] == [3]
    assert len(rows_of(buffer)) == (12 if recording else 0)
    assert len(seen) == (12 if listening else 0)
    assert all(event["context"][RECORDED_KEY] for event in seen)


def test_totals_are_what_locust_would_have_counted(environment: Environment, buffer: RowBuffer) -> None:
    """The totals summed from the rows equal Locust's own request-by-request totals."""
    from locust.stats import StatsEntry

    with scripted(always(JSON)) as server:
        client = client_of(environment, server)
        for _ in range(50):
            client.get("/a")
    rows = rows_of(buffer)
    ours = environment.stats.entries[("/a", "GET")]
    theirs = StatsEntry(environment.stats, "/a", "GET")
    for row in rows:
        theirs.log(row["latency_us"] / 1000, row["bytes"])
    assert ours.response_times == theirs.response_times
    for name in ("num_requests", "min_response_time", "max_response_time", "total_content_length"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.total_response_time == pytest.approx(theirs.total_response_time)


def test_a_scenario_judges_an_answer(environment: Environment, buffer: RowBuffer) -> None:
    """success() accepts an error status, failure() rejects a good status, and an exception in the block is a failed
    check.
    """
    with scripted(always(answer(404))) as server:
        client = client_of(environment, server)
        with client.get("/a", catch_response=True) as response:
            response.success()
        with client.get("/a", catch_response=True):
            pass
    with scripted(always(JSON)) as server:
        client = client_of(environment, server)
        with client.get("/a", catch_response=True) as response:
            response.failure("wrong")
        with pytest.raises(KeyError), client.get("/a", catch_response=True) as response:
            response.json()["missing"]
        with pytest.raises(LocustError, match="catch_response"):
            client.get("/a").failure("late")
        with client.get("/a", catch_response=True) as response:
            response.failure(CatchResponseError("once"))
            response.success()
    rows = rows_of(buffer)
    by = sorted((row["outcome"], row["error"]) for row in rows)
    assert by == [
        ("check_failed", "'missing'"),
        ("check_failed", "wrong"),
        ("http_error", "HTTP 404"),
        ("ok", ""),
        ("ok", ""),
        ("ok", ""),
    ]


def test_no_answer_is_a_response_too(environment: Environment, buffer: RowBuffer) -> None:
    """A refusal and a timeout have status 0 and the reason in `error`. `json()` in a with block ends the task."""

    def deaf(peer: Peer) -> None:
        while peer.read():
            pass

    with scripted(deaf) as server:
        response = client_of(environment, server).get("/slow", timeout=0.1)
        assert (response.status_code, response.content, response.ok) == (0, None, False)
        assert isinstance(response.error, TimeoutError)
        slow = client_of(environment, server, network_timeout=0.1)
        with pytest.raises(NoAnswerError), slow.get("/slow", catch_response=True) as response:
            response.json()
    client_of(environment, server).get("/gone")
    rows = rows_of(buffer)
    assert [(row["outcome"], row["status"]) for row in rows] == [("timeout", 0), ("timeout", 0), ("connection", 0)]
    assert rows[0]["error"] == "no whole response within 0.1 s"
    assert rows[0]["latency_us"] >= 100_000


def test_unsupported_uses_of_the_client_are_refused_with_advice(environment: Environment, buffer: RowBuffer) -> None:
    """Other hosts, unknown options, bad headers and bad hosts are refused. Each message contains advice."""
    with scripted(always(answer(302, b"", "Location: /b"))) as server:
        client = client_of(environment, server)
        with pytest.raises(TypeError, match=r"verify=: not supported.*docs/users.md"):
            client.request("POST", "/a", verify=False)
        with pytest.raises(ValueError, match="allow_other_hosts"):
            client.get("http://example.com/")
        with pytest.raises(ValueError, match="line break"):
            client.get("/a", headers={"X": "a\r\nY: b"})
        with pytest.raises(ValueError, match="begins with one /"):
            client.get("a")
    for host in ("ftp://x", "127.0.0.1:80", "http://"):
        with pytest.raises(ValueError, match="must be like"):
            FastClient(environment, host)


def test_many_greenlets_share_a_client(environment: Environment, buffer: RowBuffer) -> None:
    """An open-loop user's arrivals overlap. Each arrival gets a connection, which later arrivals use again."""
    waiting: list[Peer] = []
    go = Event()

    def in_step(peer: Peer) -> None:
        while peer.read():
            waiting.append(peer)
            go.wait()
            peer.send(JSON)

    with scripted(in_step) as server:
        client = client_of(environment, server)
        greenlets = [gevent.spawn(client.get, "/a") for _ in range(20)]
        while len(waiting) < 20:
            gevent.sleep(0.001)
        assert client.request_event is environment.events.request
        assert buffer.in_flight == 20
        go.set()
        gevent.joinall(greenlets, raise_error=True)
        client.get("/a")
        assert len(server.peers) == 20
    assert len(rows_of(buffer)) == 21
    assert buffer.in_flight == 0


def test_lateness_is_taken_once_per_arrival(environment: Environment, buffer: RowBuffer) -> None:
    """The first request of an open-loop arrival reports how long after its due time it was sent."""
    import time

    from loadtest.users.open_loop import DUE, take_lateness_us

    with scripted(always(JSON)) as server:
        client = client_of(environment, server, lateness=take_lateness_us)

        def arrive() -> None:
            setattr(gevent.getcurrent(), DUE, time.perf_counter() - 0.5)
            client.get("/a")
            client.get("/a")

        gevent.spawn(arrive).get()
    first, second = rows_of(buffer)
    assert 500_000 <= first["late_us"] < 5_000_000
    assert second["late_us"] == -1


def test_tls_works_where_locust_has_patched_ssl(environment: Environment, buffer: RowBuffer) -> None:
    """https works with a private authority, and with verification off.

    Without the authority, and with verification on, the request fails with a connection error.
    """
    with scripted(always(JSON), tls=True) as server:
        host = f"https://localhost:{server.port}"
        assert FastClient(environment, host, ssl_context=client_tls()).get("/a").json() == {"a": 1}
        assert FastClient(environment, host, insecure=True).get("/a").ok
        assert "CERTIFICATE_VERIFY_FAILED" in str(FastClient(environment, host).get("/a").error)
    assert sorted(row["outcome"] for row in rows_of(buffer)) == ["connection", "ok", "ok"]


class Once(FastUser):
    abstract = True
    wait_time = constant(0)

    @task
    def go(self) -> None:
        with self.rest("GET", "/a") as response:
            assert response.js == {"a": 1}
        raise StopUser


def test_the_user_runs_lean_tasks_and_locusts_rest_mixin(environment: Environment, buffer: RowBuffer) -> None:
    """`User.run` uses our class for the root task set, and Locust's `rest` works with our client."""
    with scripted(always(JSON)) as server:
        environment.host = f"http://127.0.0.1:{server.port}"
        user = Once(environment)
        user.run()
    assert isinstance(user._taskset_instance, FastTasks)
    assert [row["outcome"] for row in rows_of(buffer)] == ["ok"]


def test_a_task_that_asks_nothing_still_lets_the_others_run(environment: Environment) -> None:
    """If the wait is 0, the sleep may be left out only after a request."""

    class Idle(FastUser):
        abstract = True
        wait_time = constant(0)
        turns = 0

        @task
        def go(self) -> None:
            Idle.turns += 1

    user = Idle(environment)
    greenlet = gevent.spawn(user.run)
    for _ in range(50):
        gevent.sleep(0)
    greenlet.kill()
    assert 0 < Idle.turns < 1000
    assert isinstance(user._taskset_instance, DefaultTaskSet)


@pytest.mark.parametrize("users", [2, 10, 50, 300, 317])
def test_spread_users_lie_evenly_in_the_interval(users: int) -> None:
    """The distance between two users of a worker is at least 0.38 times the mean distance, for any number of users."""
    phases = sorted(phase_of(number, 0) for number in range(users))
    gaps = [b - a for a, b in zip(phases, [*phases[1:], phases[0] + 1], strict=True)]
    assert min(gaps) * users > 0.38
    assert max(gaps) * users < 1.9


def test_a_spread_user_keeps_its_points_and_skips_what_it_missed() -> None:
    """Points are phase + n intervals.

    A user that wakes up early does not use the same due time twice, and a slow answer skips the due times that have
    passed.
    """
    point, wait_s = next_point(10.02, float("-inf"), 0.5, 0.1)
    assert (point, wait_s) == (100, pytest.approx(0.03))
    assert next_point(10.0499, point, 0.5, 0.1) == (101, pytest.approx(0.1001))
    assert next_point(10.0501, point, 0.5, 0.1) == (101, pytest.approx(0.0999))
    assert next_point(10.42, point, 0.5, 0.1) == (104, pytest.approx(0.03))
    with pytest.raises(ValueError, match="above 0"):
        spread_throughput(0)


@pytest.mark.skipif(not AVAILABLE, reason="this kernel does not stamp what it receives")
def test_an_answer_that_waits_for_the_event_loop_is_not_the_servers_delay(
    environment: Environment, buffer: RowBuffer
) -> None:
    """The loop is busy for 0.2 s while the answer comes.

    The row contains the time at which the answer arrived, not the time at which it was read.
    """
    serving = [sys.executable, str(Path(__file__).parents[1] / "counting_server.py"), '{"delay_ms": [1]}']
    with subprocess.Popen(serving, stdout=subprocess.PIPE) as server:  # a thread here would be a greenlet of the loop
        assert server.stdout is not None
        client = FastClient(environment, f"http://127.0.0.1:{int(server.stdout.readline())}")
        client.get("/warm")  # connected, and the kernel has begun to stamp
        asking = gevent.spawn(client.get, "/late")
        gevent.sleep(0)  # the request is sent
        until_s = time.perf_counter() + 0.2
        while time.perf_counter() < until_s:
            pass
        assert asking.get().elapsed_ms >= 190
        server.kill()
    tally_of(environment).flush()
    *_, late = rows_of(buffer)
    assert late["latency_us"] < 100_000


def test_a_stamp_is_believed_only_between_the_sending_and_the_reading() -> None:
    stamps = np.array([(5, 250), (5, 50), (5, 950), (0, 0)], STAMP_TYPE)
    sent, read = np.full(4, 100), np.full(4, 900)
    assert arrivals(stamps, 5_000_000_000, sent=sent, read=read).tolist() == [250, 900, 900, 900]
