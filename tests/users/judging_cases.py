"""A scenario's verdict on an answer, and exceptions that leave its `with` block, next to the transport's own reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import locust  # noqa: F401 - first, because it patches sockets and threads
import pytest
from gevent import GreenletExit
from locust import FastHttpUser, TaskSet, constant, task
from locust.env import Environment
from locust.exception import (
    CatchResponseError,
    InterruptTaskSet,
    RescheduleTask,
    RescheduleTaskImmediately,
    ResponseError,
    StopUser,
)

from loadtest.recording.buffer import RowBuffer, attach
from loadtest.users.client import FastClient
from loadtest.users.fast_user import FastUser
from tests.http.scripted import Peer, Script, scripted
from tests.users.client_cases import rows_of


@pytest.fixture
def environment() -> Iterator[Environment]:
    made = Environment(user_classes=[])
    made.create_local_runner()
    attach(made, RowBuffer("worker"))
    yield made
    made.runner.quit()


def rows(environment: Environment) -> list[dict[str, Any]]:
    return rows_of(environment.lt_row_buffer)  # type: ignore[attr-defined] # attach has set it


def with_status(status: int) -> Script:
    def script(peer: Peer) -> None:
        while peer.read():
            peer.send(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}" % status)

    return script


def deaf(peer: Peer) -> None:
    while peer.read():
        pass


LEAVING: list[BaseException] = [
    RescheduleTask(),
    RescheduleTaskImmediately(),
    StopUser(),
    InterruptTaskSet(),
    GreenletExit(),
    KeyError("mine"),
    AssertionError("mine"),
    KeyboardInterrupt(),
]
BEFORE: dict[str, Callable[[Any], object]] = {
    "no verdict": lambda answer: None,
    "failure": lambda answer: answer.failure("refused"),
    "success": lambda answer: answer.success(),
}


@pytest.mark.parametrize("leaving", LEAVING, ids=repr)
@pytest.mark.parametrize("before", BEFORE)
def test_exceptions_that_leave_the_block_are_passed_on_and_the_request_has_its_row(
    environment: Environment, leaving: BaseException, before: str
) -> None:
    """The exception is raised again unchanged.

    The row has the verdict, else the status, else the exception (unless it is control flow).
    """
    with scripted(with_status(401)) as server:
        client = FastClient(environment, f"http://127.0.0.1:{server.port}")

        def visit() -> None:
            with client.get("/login", catch_response=True) as answer:
                BEFORE[before](answer)
                raise leaving

        with pytest.raises(type(leaving)) as caught:
            visit()
    assert caught.value is leaving
    (row,) = rows(environment)
    flow = not isinstance(leaving, KeyError | AssertionError)
    error = {"failure": "refused", "success": "", "no verdict": "HTTP 401" if flow else str(leaving)}[before]
    assert (row["outcome"], row["error"]) == ("ok" if before == "success" else "http_error", error)


def test_a_response_error_is_the_verdict_and_ends_at_the_block(environment: Environment) -> None:
    """As in Locust, `raise ResponseError(…)` is the same as failure(…), but `raise CatchResponseError(…)` is not."""
    with scripted(with_status(200)) as server:
        client = FastClient(environment, f"http://127.0.0.1:{server.port}")
        with client.get("/a", catch_response=True):
            raise ResponseError("wrong")
        with pytest.raises(CatchResponseError), client.get("/a", catch_response=True):
            raise CatchResponseError("worse")
    assert [(row["outcome"], row["error"]) for row in rows(environment)] == [
        ("check_failed", "wrong"),
        ("check_failed", "worse"),
    ]


def test_raise_for_status_leaves_the_block(environment: Environment) -> None:
    """No code below a refused log-in runs, and the row's error is the refused status."""
    with scripted(with_status(401)) as server:
        client = FastClient(environment, f"http://127.0.0.1:{server.port}")
        with pytest.raises(Exception, match="HTTP 401"), client.get("/a", catch_response=True) as answer:
            answer.raise_for_status()
    assert [(row["outcome"], row["error"]) for row in rows(environment)] == [("http_error", "HTTP 401")]


@pytest.mark.parametrize("leaving", [None, ValueError("mine"), RescheduleTask()], ids=repr)
def test_a_timeout_stays_a_timeout_whatever_the_scenario_reports(
    environment: Environment, leaving: Exception | None
) -> None:
    """After failure("…") or an exception in the scenario's code, the outcome is still `timeout`, with the reason and
    the message.
    """
    with scripted(deaf) as server:
        client = FastClient(environment, f"http://127.0.0.1:{server.port}", network_timeout=0.1)
        with client.get("/a", catch_response=True) as answer:
            answer.failure("too slow for us")
        if leaving is not None:
            with pytest.raises(type(leaving)), client.get("/a", catch_response=True):
                raise leaving
    client = FastClient(environment, f"http://127.0.0.1:{server.port}")  # nothing listens there any more
    with client.get("/a", catch_response=True) as answer:
        answer.failure("down")
    with client.get("/a", catch_response=True) as answer:
        answer.success()
    found = [(row["outcome"], row["error"]) for row in rows(environment)]
    assert found[0] == ("timeout", "too slow for us (no whole response within 0.1 s)")
    assert found[-2] == ("connection", "down ([Errno 111] Connection refused)")
    assert found[-1] == ("ok", "")  # as in FastHttpUser
    if isinstance(leaving, ValueError):
        assert found[1] == ("timeout", "mine (no whole response within 0.1 s)")
    elif leaving is not None:
        assert found[1] == ("timeout", "no whole response within 0.1 s")


def test_an_answer_that_is_never_judged_is_recorded_as_it_came(environment: Environment) -> None:
    """For catch_response without a `with` block, there is a row at the end of the run with the answer's data."""
    with scripted(with_status(503)) as server:
        client = FastClient(environment, f"http://127.0.0.1:{server.port}")
        client.get("/a", catch_response=True)
    assert environment.lt_row_buffer.close_open() == 1  # type: ignore[attr-defined]
    assert [(row["outcome"], row["status"]) for row in rows(environment)] == [("http_error", 503)]


@pytest.mark.parametrize("base", [FastHttpUser, FastUser])
def test_nothing_below_a_refused_log_in_runs(environment: Environment, base: type) -> None:
    """RescheduleTask, interrupt() and StopUser are raised in the block, inside real tasks. /account is never
    requested.
    """

    class Inner(TaskSet):
        @task
        def visit(self) -> None:
            with self.client.post("/interrupt", catch_response=True) as answer:
                answer.failure("refused")
                self.interrupt()
            self.client.get("/account")

    def body(user: Any) -> None:
        turn = len(paths())
        with user.client.post("/login", catch_response=True) as answer:
            answer.failure("refused")
            if turn > 3:
                raise StopUser
            raise RescheduleTask
        user.client.get("/account")

    with scripted(with_status(401)) as server:

        def paths() -> list[str]:
            return [request.split(b" ")[1].decode() for peer in server.peers for request in peer.requests]

        host = f"http://127.0.0.1:{server.port}"
        fields = {"abstract": True, "host": host, "wait_time": constant(0), "tasks": [body, Inner]}
        user: Any = type("Member", (base,), fields)(environment)
        gevent.spawn(user.run).get(timeout=20)
        assert {"/login", "/interrupt"} >= set(paths())
        assert "/login" in paths()
