"""Hold one request of the fast client from its beginning until its row is written."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from ..core.clock import process_clock
from ..core.row_bounds import latency_us_of
from ..http.response_parser import ParsedHead, ResponseHead, fields_of
from ..recording.outcomes import (
    NO_ANSWER_BY_THE_END,
    OK,
    TIMEOUT,
    UNANSWERED,
    account_for,
    interruption_text,
    outcome_of,
    text_of,
)
from .failures import judge
from .prepared import PreparedRequest
from .totals import Tally, pack_timed

if TYPE_CHECKING:
    from collections.abc import MutableMapping

NO_HEAD: ParsedHead = (ResponseHead(-1, 0, 0, False, True, "", False, True), -1, -1)
"""The head of a request without an answer: status 0."""


class Request:
    """One request. In the row buffer, this object is an open request (`OpenRequest` in recording/buffer.py).

    Attributes:
        name: the name under which the request is recorded; `name_id` and `method_id` are ids of interned strings.
        given_headers: the headers of the request itself.
        given_context: `context=` of the request.
        cookies: the encoded Cookie header that was sent; b"" without cookies.
        started_ns, ended_ns: when the request was sent, and when the last byte had been read or the client gave up
            (`time.perf_counter_ns()`).
        late_us: how much later than scheduled the request was sent; −1 without a schedule.
        parsed: the parsed head of the answer; NO_HEAD without an answer.
        stamp: when the kernel received the last byte (receive_timestamps.py); b"" if this is not known. `parsed`,
            `stamp` and `ended_ns` are set when the request has ended.
    """

    __slots__ = (
        "_error",
        "_size_bytes",
        "_tally",
        "cookies",
        "ended_ns",
        "given_context",
        "given_headers",
        "late_us",
        "method_id",
        "name",
        "name_id",
        "parsed",
        "payload",
        "prepared",
        "stamp",
        "started_ns",
    )

    def __init__(
        self,
        tally: Tally,
        prepared: PreparedRequest,
        name: str,
        name_id: int,
        payload: bytes,
        headers: Mapping[str, str] | None,
        context: Mapping[str, Any] | None,
        started_ns: int,
        late_us: int,
    ) -> None:
        self._tally = tally
        self.prepared = prepared
        self.name = name
        self.name_id = name_id
        self.method_id = prepared.method_id
        self.payload = payload
        self.given_headers = headers
        self.given_context = context
        self.cookies = b""
        self.started_ns = started_ns
        self.late_us = late_us

    @property
    def method(self) -> str:
        """The method, in capitals."""
        return self.prepared.method

    @property
    def url(self) -> str:
        """The whole URL that was requested (before any redirect)."""
        return self.prepared.url

    @property
    def headers(self) -> dict[str, str]:
        """The headers that were sent, except Content-Length and cookies of the jar. Names are in lower case."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in fields_of(self.prepared.lines[:-2])}

    @property
    def body(self) -> bytes:
        """The body that was sent."""
        return self.payload

    def row(self, outcome: int, error_id: int, size_bytes: int) -> bytes:
        """Return the request's row, in the form of `pack_timed`."""
        head, age_ms, server_us = self.parsed
        return pack_timed(
            self.started_ns,
            self.ended_ns,
            self.late_us,
            self.name_id,
            self.method_id,
            head.status,
            outcome,
            error_id,
            size_bytes,
            self._tally.buffer.instance_id(head.instance) if head.instance else 0,
            age_ms,
            server_us,
            self.prepared.side,
            self.stamp,
        )

    def failed(self) -> None:
        """Record that the request has ended now without an answer."""
        self.ended_ns = perf_counter_ns()
        self.parsed, self.stamp = NO_HEAD, b""

    def answered(self, error: Exception | None, size_bytes: int) -> None:
        """Keep the data of the request's row, in case the scenario never checks the answer.

        The request is no longer in flight.
        """
        self._error, self._size_bytes = error, size_bytes
        self._tally.buffer.answered(self)

    def interrupted(self, interruption: BaseException) -> None:
        """Write the request's row, because the greenlet continues without waiting for the answer."""
        account_for(interruption)
        if self._tally.buffer.end(self):
            self.failed()
            code = TIMEOUT if outcome_of(None, interruption) == TIMEOUT else UNANSWERED
            self._write(code, interruption_text(interruption), 0)

    def close(self) -> None:
        """Write the request's row at the end of the run."""
        if not hasattr(self, "_size_bytes"):
            self.failed()
            self._write(UNANSWERED, NO_ANSWER_BY_THE_END, 0)
        elif self._error is None:
            self._write(OK, "", self._size_bytes)
        else:
            outcome, text = judge(self.parsed[0].status, self._error, self._error)
            self._write(outcome, text, self._size_bytes)

    def _write(self, outcome: int, error: str, size_bytes: int) -> None:
        self._tally.add_fired(self.row(outcome, self._tally.buffer.error_id(error), size_bytes))

    def meta(self, response: Any, context: Mapping[str, Any], error: Exception | None) -> MutableMapping[str, Any]:
        """Return the content of Locust's request event.

        The scenario may change this content before the event is fired.
        """
        return {
            "request_type": self.method,
            "name": self.name,
            "context": {**context, **(self.given_context or {})},
            "response": response,
            "exception": error,
            "start_time": (self.started_ns + process_clock().ahead_ns) / 1e9,
            "url": self.url,
            "response_length": len(response.content or b""),
            "response_time": (self.ended_ns - self.started_ns) / 1e6,
        }

    def change(self, meta: Mapping[str, Any]) -> None:
        """Apply the scenario's changes of `meta` to the row."""
        name_id = self._tally.buffer.name_id
        name = text_of(meta.get("name", self.name))
        if name and name != self.name:
            self.name, self.name_id = name, name_id(name)
        self.method_id = name_id(text_of(meta.get("request_type", self.method)))
        time_ms = meta.get("response_time")
        latency_us = latency_us_of(time_ms)  # an invalid time does not replace the measured time
        if latency_us is not None and time_ms != (self.ended_ns - self.started_ns) / 1e6:
            self.ended_ns, self.stamp = self.started_ns + latency_us * 1000, b""
