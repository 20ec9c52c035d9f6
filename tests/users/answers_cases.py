"""A successful answer is compared with the answer from before the load. A differing answer is a failed request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import locust  # noqa: F401 - first, because it patches sockets and threads
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from locust.env import Environment

from loadtest.core.answers import AnswerCheck
from loadtest.recording.buffer import RowBuffer
from loadtest.recording.buffer import attach as attach_buffer
from loadtest.users.answers import (
    BEARER_ATTRIBUTE,
    MAX_EXAMPLES,
    AnswerChecker,
    CheckedEndpoint,
    Expected,
    Reference,
    attach,
    head_digest,
)
from loadtest.users.client import FastClient
from tests.http.scripted import Peer, scripted
from tests.users.client_cases import rows_of

ENDPOINT = CheckedEndpoint("POST", "/predict", 1)


@pytest.fixture
def environment() -> Iterator[Environment]:
    made = Environment(user_classes=[])
    made.create_local_runner()
    attach_buffer(made, RowBuffer("worker"))
    yield made
    made.runner.quit()


def rows(environment: Environment) -> list[dict[str, Any]]:
    return rows_of(environment.lt_row_buffer)  # type: ignore[attr-defined] # attach has set it


def failed(environment: Environment) -> list[dict[str, Any]]:
    return [row for row in rows(environment) if row["outcome"] != "ok"]


def echo(peer: Peer) -> None:
    """Answer with the request's own body."""
    while head := peer.read():
        body = head.partition(b"\r\n\r\n")[2]
        peer.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )


class Heads:
    """Learn the head of each request, as the learning process does."""

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, bytes]] = []

    def look(self, head: bytes, body: bytes, status: int, content: bytes | None, source: Any) -> None:
        del status, content, source
        self.seen.append((head, body))


def expecting(environment: Environment, url: str, sent: Any, answer: bytes, **headers: str) -> AnswerChecker:
    """Return an attached checker that expects `answer` for a POST of `sent`."""
    heads = Heads()
    attach(environment, heads)
    FastClient(environment, url).post("/predict", json=sent, headers=headers or None)
    ((head, body),) = heads.seen
    digest = head_digest(head, getattr(environment, BEARER_ATTRIBUTE, b""))
    made = Reference([ENDPOINT], [AnswerCheck()], {digest: {body: Expected(200, answer, 0, 0)}})
    checker = AnswerChecker(Reference.decode(made.encode()), environment)
    attach(environment, checker)
    return checker


@pytest.mark.parametrize("judged", [None, "success", "block"])
def test_a_differing_answer_is_a_wrong_answer_whatever_the_scenario_says(
    environment: Environment, judged: str | None
) -> None:
    """The row, Locust's totals and the checker agree, even if the scenario always calls `success()`, as many do."""
    with scripted(echo) as server:
        url = f"http://127.0.0.1:{server.port}"
        checker = expecting(environment, url, {"a": 1}, b'{"a":2,"token":"hunter2hunter2"}')
        client = FastClient(environment, url)
        if judged is None:
            client.post("/predict", json={"a": 1})
        else:
            with client.post("/predict", json={"a": 1}, catch_response=True) as answer:
                if judged == "success":
                    answer.success()
    (row,) = failed(environment)
    assert (row["outcome"], row["status"]) == ("wrong_answer", 200)
    assert row["error"] == "answered differently under load: a, token"
    assert environment.stats.total.num_failures == 1
    assert checker.checked == [1]
    (example,) = checker.examples
    assert "hunter2" not in f"{example.differs}{example.expected}"
    assert example.request == '{"a":1}'


def test_the_expected_answer_is_a_success_and_other_requests_are_not_compared(environment: Environment) -> None:
    """A request with another body, header or cookie counts as a different request."""
    with scripted(echo) as server:
        url = f"http://127.0.0.1:{server.port}"
        checker = expecting(environment, url, {"a": 1}, b'{ "a": 1.0 }')
        client = FastClient(environment, url)
        client.post("/predict", json={"a": 1})
        assert checker.checked == [1]
        client.post("/predict", json={"a": 2})
        client.post("/predict", json={"a": 1}, headers={"X-Tenant": "b"})
        client.headers["Cookie"] = "session=1"
        client.post("/predict", json={"a": 1})
    assert checker.checked == [1]
    assert {row["outcome"] for row in rows(environment)} == {"ok"}


def test_a_renewed_token_of_this_programs_own_changes_no_request(environment: Environment) -> None:
    """The digest of the head leaves out only the value that `Authorizer` has set."""
    with scripted(echo) as server:
        url = f"http://127.0.0.1:{server.port}"
        setattr(environment, BEARER_ATTRIBUTE, b"Bearer one")
        checker = expecting(environment, url, {"a": 1}, b'{"a":1}', Authorization="Bearer one")
        setattr(environment, BEARER_ATTRIBUTE, b"Bearer two")
        client = FastClient(environment, url)
        client.post("/predict", json={"a": 1}, headers={"Authorization": "Bearer two"})
        assert checker.checked == [1]
        client.post("/predict", json={"a": 1}, headers={"Authorization": "Bearer of somebody else"})
    assert checker.checked == [1]


def test_a_scenarios_own_verdict_and_failures_stay_what_they_are(environment: Environment) -> None:
    """An answer that failed its own check is check_failed, and is not compared."""
    with scripted(echo) as server:
        url = f"http://127.0.0.1:{server.port}"
        checker = expecting(environment, url, {"a": 1}, b'{"a":2}')
        with FastClient(environment, url).post("/predict", json={"a": 1}, catch_response=True) as answer:
            answer.failure("too small")
    assert [row["outcome"] for row in failed(environment)] == ["check_failed"]
    assert checker.checked == [0]


def test_a_request_is_repeated_as_it_was(environment: Environment) -> None:
    """The repeated request has the same bytes. The rows and Locust's totals do not count it."""
    heads: list[bytes] = []

    def keep(peer: Peer) -> None:
        while head := peer.read():
            heads.append(head)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with scripted(keep) as server:
        client = FastClient(environment, f"http://127.0.0.1:{server.port}")
        response = client.post("/predict?x=1", json={"a": 1}, headers={"X-Tenant": "b"})
        assert client.repeat(response.request) == (200, b"{}")
    assert heads[0] == heads[1]
    assert len(rows(environment)) == 1


def test_examples_are_bounded_and_counts_are_not(environment: Environment) -> None:
    """A service that answers everything differently does not fill the memory."""
    answer = Expected(200, json.dumps({"a": "x" * 100_000}).encode(), 0, 0)
    checker = AnswerChecker(
        Reference([ENDPOINT], [AnswerCheck()], {head_digest(b"h", b""): {b"b": answer}}), environment
    )
    for n in range(50):
        assert checker.look(b"h", b"b", 200, b'{"a":%d}' % n, None) is not None
    assert checker.checked == [50]
    assert len(checker.examples) == MAX_EXAMPLES
    assert all(len(example.expected) <= 2_000 for example in checker.examples)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text("0123456789abcdef", min_size=4, max_size=8),
        st.dictionaries(st.binary(max_size=9), st.builds(Expected, st.just(200), st.binary(), st.just(0), st.just(0))),
    )
)
def test_a_reference_arrives_as_it_was_sent(answers: dict[str, dict[bytes, Expected]]) -> None:
    """The test uses any bytes for bodies and answers."""
    made = Reference(
        [ENDPOINT], [AnswerCheck(("id",), 0.5)], {head: bodies for head, bodies in answers.items() if bodies}
    )
    assert Reference.decode(made.encode()) == made
