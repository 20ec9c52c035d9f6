"""Track the requests of stock users from their start, by wrapping the calls of Locust's own clients."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from time import perf_counter_ns
from typing import Any, Protocol

import gevent
import requests.exceptions as refused
from geventhttpclient.client import HTTPClient
from geventhttpclient.connectionpool import ConnectionPool
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession

from ..core.templates import path_template
from ..recording.buffer import RowBuffer
from ..recording.outcomes import account_for, text_of
from ..users.sides import current_side
from .bodies import watch_bodies

NEVER_SENT = (
    refused.MissingSchema,
    refused.InvalidSchema,
    refused.InvalidURL,
    refused.InvalidHeader,
    refused.InvalidJSONError,
    UnicodeError,
    TypeError,
)
"""Errors that a client raises when it refuses to send a request. Such an error is an error in the scenario, and no
request was sent."""

_MARK = "_lt_request"


class State(Enum):
    """The state of a request's row: not written yet, written for the request's event, or written when the run ended."""

    OPEN = "open"
    RECORDED = "recorded"
    CLOSED = "closed"


class Writer(Protocol):
    """The interface for writing the row of a request whose event never comes."""

    def interrupted(self, request: StockRequest, error: BaseException | None) -> None:
        """Write a row without an answer. `error` is what the call raised; None if the run ended first."""
        ...

    def unjudged(self, request: StockRequest, event: dict[str, Any]) -> None:
        """Write a row for an answer that the scenario never checked in a `with` block.

        `event` is the event that Locust would have fired.
        """
        ...


class StockRequest:
    """One call of a stock client.

    Attributes:
        started_ns: the start (`time.perf_counter_ns()`).
        ended_ns: when the call returned; None before it returns.
        method, name: the values known before the answer; a name that the scenario gave is kept unchanged.
        is_named: whether the scenario gave the name.
        late_us: lateness on an open-loop schedule; −1 without a schedule.
        side: which of two targets its user calls; 0 in a run with one target.
    """

    __slots__ = (
        "_event",
        "_writer",
        "ended_ns",
        "is_named",
        "late_us",
        "method",
        "name",
        "side",
        "started_ns",
        "state",
    )

    def __init__(self, writer: Writer, method: str, name: str, *, is_named: bool, late_us: int) -> None:
        self._writer = writer
        self.method = method
        self.name = name if is_named else path_template(name)
        self.is_named = is_named
        self.late_us = late_us
        self.side = current_side()
        self.state = State.OPEN
        self.ended_ns: int | None = None
        self._event: dict[str, Any] | None = None
        self.started_ns = perf_counter_ns()

    def answered(self, event: dict[str, Any]) -> None:
        """Keep the event that Locust will fire when a `with` block has checked the answer."""
        self._event = event

    def close(self) -> None:
        """Write the row at the end of the run."""
        self.state = State.CLOSED
        if self._event is None:
            self._writer.interrupted(self, None)
        else:
            self._writer.unjudged(self, self._event)


class InFlight:
    """The stock clients' requests in this process.

    A request is added to the row buffer when it begins, and is found again when its event is fired.
    """

    def __init__(self, buffer: RowBuffer, writer: Writer, lateness_us: Callable[[float], int]) -> None:
        self._buffer = buffer
        self._writer = writer
        self._lateness_us = lateness_us
        self._measured: dict[object, StockRequest] = {}  # for each greenlet, the block whose event is being fired in it
        self._calls: dict[object, StockRequest] = {}  # for each greenlet, its innermost call in progress

    def startup(self) -> None:
        """Wrap the clients' `request`, which all their other methods and subclasses call."""
        self._count_resent()
        watch_bodies()
        for session in (HttpSession, FastHttpSession):
            setattr(session, "request", self._wrapped(session.request))  # noqa: B010 - mypy: a method is assigned

    def _count_resent(self) -> None:
        """Count the additional connections, after the first, that FastHttpUser's client uses for one request.

        If a connection is closed without an answer, the client (geventhttpclient) repeats the request up to 11 times,
        and does not report it.
        """
        take, send = ConnectionPool.get_socket, HTTPClient.request
        taken: dict[object, int] = {}  # by greenlet

        @functools.wraps(take)
        def get_socket(pool: Any) -> Any:
            connection = take(pool)
            greenlet = gevent.getcurrent()
            if greenlet in taken:
                taken[greenlet] += 1
            return connection

        @functools.wraps(send)
        def request(client: Any, *args: Any, **kwargs: Any) -> Any:
            greenlet = gevent.getcurrent()
            taken[greenlet] = 0
            try:
                return send(client, *args, **kwargs)
            finally:
                self._buffer.resent += max(0, taken.pop(greenlet) - 1)

        setattr(ConnectionPool, "get_socket", get_socket)  # noqa: B010 - mypy: a method is assigned
        setattr(HTTPClient, "request", request)  # noqa: B010

    def of_event(self, event: dict[str, Any]) -> StockRequest | None:
        """Return the request that an event ends; None for a request whose start was not seen."""
        try:
            marked = getattr(event.get("response"), _MARK, None)
        except Exception:  # a response of a custom client may raise any error
            marked = None
        if marked is None:
            marked = self._measured.pop(gevent.getcurrent(), None)
        if marked is None and "url" in event:
            marked = self._calls.get(gevent.getcurrent())
            if marked is not None and marked.method != event.get("request_type"):
                return None
        return marked if isinstance(marked, StockRequest) and marked.state is not State.RECORDED else None

    @contextmanager
    def measure(self, fire: Callable[..., None], event: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Time the block and fire the event at its end, like `EventHook.measure`.

        The request is registered at the beginning of the block, so that it counts as in flight during the block.
        If the block is cut off (because its user is stopped, or by a `gevent.Timeout`), the recorder itself writes the
        row. The event that Locust would fire does not mention the interruption, and looks like a success.
        """
        method, name = text_of(event["request_type"]), text_of(event["name"])
        begun = StockRequest(
            self._writer, method, name, is_named=True, late_us=self._lateness_us(perf_counter_ns() / 1e9)
        )
        self._buffer.begin(begun)
        try:
            yield event
        except Exception as error:
            event["exception"] = error
        except BaseException as error:
            self._raised(begun, error)
            raise
        begun.ended_ns = perf_counter_ns()
        event["response_time"] = (begun.ended_ns - begun.started_ns) / 1e6
        self._measured[gevent.getcurrent()] = begun
        fire(**event)

    def _wrapped(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def request(session: Any, method: Any, url: Any, *args: Any, **kwargs: Any) -> Any:
            given = kwargs.get("name") or (args[0] if args else None) or getattr(session, "request_name", None)
            late_us = self._lateness_us(perf_counter_ns() / 1e9)
            begun = StockRequest(
                self._writer, method, given or _path_of(session, url), is_named=bool(given), late_us=late_us
            )
            self._buffer.begin(begun)
            greenlet = gevent.getcurrent()
            outer = self._calls.get(greenlet)
            self._calls[greenlet] = begun
            try:
                response = original(session, method, url, *args, **kwargs)
            except BaseException as error:
                self._raised(begun, error)
                raise
            finally:
                begun.ended_ns = perf_counter_ns()
                if outer is None:
                    del self._calls[greenlet]
                else:
                    self._calls[greenlet] = outer
            if begun.state is State.OPEN:
                self._await_verdict(begun, response)
            return response

        return request

    def _raised(self, begun: StockRequest, error: BaseException) -> None:
        account_for(error)
        if begun.state is not State.OPEN:  # a listener raised an error after the row had been written
            return
        begun.state = State.RECORDED
        if isinstance(error, NEVER_SENT):
            self._buffer.cancel(begun)
        elif self._buffer.end(begun):
            self._writer.interrupted(begun, error)

    def _await_verdict(self, begun: StockRequest, response: Any) -> None:
        """Keep the answer to a request with `catch_response` until the request's event comes or the run ends."""
        event = getattr(response, "request_meta", None)
        if isinstance(event, dict):
            setattr(event["response"], _MARK, begun)
            begun.answered(event)
            self._buffer.answered(begun)
        elif self._buffer.end(begun):  # the answer belongs to a subclass that fires no event for it
            begun.state = State.RECORDED
            self._writer.unjudged(begun, {"request_type": begun.method, "name": begun.name, "response": response})


def _path_of(session: Any, url: Any) -> str:
    """Return the name that Locust would give the request."""
    text = url.decode("utf-8", "replace") if isinstance(url, bytes) else str(url)
    base = str(getattr(session, "base_url", "") or "")
    return text.removeprefix(base) or "/" if base else text
