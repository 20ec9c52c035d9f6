"""Get request and answer from the event of one of Locust's own HTTP clients, for the comparison of answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import requests
from locust.contrib.fasthttp import FastResponse

NOT_SAID = frozenset({"content-length", "connection", "host"})
"""Headers that are not compared. The client computes these headers from other parts of the request, which are
compared."""


class StockAnswer(NamedTuple):
    """One answer of HttpUser's or FastHttpUser's client, in the form that `AnswerWatch.look` needs."""

    head: bytes
    body: bytes
    status: int
    content: bytes


def stock_answer(event: Mapping[str, Any]) -> StockAnswer | None:
    """Return request and answer; None for other clients, failed requests, streams and unreadable bodies."""
    response = event.get("response")
    if event.get("exception"):
        return None
    if isinstance(response, requests.Response):
        content = response._content if isinstance(response._content, bytes) else None
        request: Any = response.request
    elif isinstance(response, FastResponse):
        content = getattr(response, "_cached_content", None)
        request = response.request
    else:
        return None
    body = request.body if request is not None else None
    if isinstance(body, str):
        body = body.encode()
    if request is None or not isinstance(content, bytes | bytearray) or not isinstance(body, bytes | None):
        return None
    lines = sorted(
        f"{_text(name).lower()}: {_text(value)}"
        for name, value in (request.headers.items() if request.headers else ())
        if _text(name).lower() not in NOT_SAID
    )
    head = "\n".join([f"{request.method} {request.url}", *lines]).encode()
    return StockAnswer(head, body or b"", int(response.status_code), bytes(content))


def repeater(event: Mapping[str, Any], client: Any) -> Callable[[], tuple[int, bytes | None]]:
    """Return a function that sends an event's request again with the same client.

    The function raises an error if there is no answer.
    """
    response: Any = event["response"]
    request = response.request
    if isinstance(response, requests.Response):

        def send() -> tuple[int, bytes | None]:
            settings = client.merge_environment_settings(request.url, {}, None, None, None)
            again = requests.Session.send(client, request, timeout=60, **settings)
            return again.status_code, again.content

    else:

        def send() -> tuple[int, bytes | None]:
            headers = dict(request.headers.items())
            again = client.client.urlopen(request.url, method=request.method, headers=headers, payload=request.payload)
            return again.status_code, again.content

    return send


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
