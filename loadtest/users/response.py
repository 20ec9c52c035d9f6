"""Give a scenario what was answered: status, headers, text, JSON, and a say in whether it counts as a success."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import orjson

from ..http.response_parser import ParsedHead, fields_of

if TYPE_CHECKING:  # the client makes responses; they only hand themselves back to it
    from .client import FastClient, Plan
    from .totals import BegunRequest

_ASK_FIRST = "pass catch_response=True and use the answer in a with block to decide whether it is a success"


Sent = tuple[
    "Plan", str, tuple[str, int] | None, int, int, int, ParsedHead, Mapping[str, Any] | None, bytes, "BegunRequest"
]
"""A request that has ended: its plan, the URL as given, `name=` with its text id, the moments of sending and of having
read the last byte (`time.perf_counter_ns()`), how late it was (µs, −1), what the answer's head said, `context=`, when
the kernel had the last byte (receive_timestamps.py; b"" for not told), what the recorder knows it by."""


class BadStatusError(Exception):
    """The service answered with a status from 400 on."""


class RedirectError(Exception):
    """The service answered with a redirect, which this client does not follow."""


class Headers(dict[str, str]):
    """An answer's headers; names are looked up whatever their case. Repeated ones are joined with a comma."""

    def __init__(self, raw_head: bytes) -> None:
        super().__init__()
        for name, value in fields_of(raw_head) if raw_head else ():
            key, text = name.decode("latin-1"), value.decode("latin-1")
            super().__setitem__(key, f"{self[key]}, {text}" if key in self else text)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Return the header's value, or `default`."""
        return super().get(name.lower(), default)


class Response:
    """One answer, or the lack of one.

    Attributes:
        status_code: 0 when there was no answer.
        content: the body as it came, b"" when there was no answer; never decompressed.
        error: why there was no answer, or why it counts as a failure unless the scenario says otherwise; else None.
        sent: the request, as its record needs it.
    """

    __slots__ = ("_raw_head", "content", "error", "sent", "status_code")

    def __init__(self, status_code: int, content: bytes, raw_head: bytes, error: Exception | None, sent: Sent) -> None:
        self.status_code = status_code
        self.content = content
        self._raw_head = raw_head
        self.error = error
        self.sent = sent

    @property
    def url(self) -> str:
        """What was asked for, as the scenario wrote it."""
        return self.sent[1]

    @property
    def elapsed_ms(self) -> float:
        """From sending (connecting, if it came to that) to the last byte or to giving up, in ms."""
        return (self.sent[4] - self.sent[3]) / 1e6

    @property
    def ok(self) -> bool:
        """Whether it was answered with a status below 400."""
        return 0 < self.status_code < 400

    @property
    def headers(self) -> Headers:
        """The answer's headers; parsed anew at every call."""
        return Headers(self._raw_head)

    @property
    def text(self) -> str:
        """The body as text, in the charset of its content-type, else UTF-8; what cannot be decoded is replaced."""
        self._must_be_plain()
        _, _, charset = self.headers.get("content-type", "").partition("charset=")
        try:
            return self.content.decode(charset.split(";")[0].strip("\" '") or "utf-8", errors="replace")
        except LookupError:  # a charset that Python does not know
            return self.content.decode("utf-8", errors="replace")

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            ValueError: it is not JSON, or compressed. Where there was no answer: `error` itself, which a `with`
                block of catch_response takes as the request's failure and not as the scenario's.
        """
        if not self.status_code and self.error is not None:
            raise self.error
        try:
            return orjson.loads(self.content)
        except ValueError:
            self._must_be_plain()
            raise

    def raise_for_status(self) -> None:
        """Raise `error` if there is one."""
        if self.error is not None:
            raise self.error

    def success(self) -> None:
        """Refuse: only an answer asked for with catch_response can be judged."""
        raise RuntimeError(_ASK_FIRST)

    def failure(self, reason: object) -> None:
        """Refuse: only an answer asked for with catch_response can be judged."""
        del reason
        raise RuntimeError(_ASK_FIRST)

    def _must_be_plain(self) -> None:
        coding = self.headers.get("content-encoding", "identity")
        if coding != "identity":
            raise ValueError(
                f"the body is {coding}-encoded, which this client does not decode: it asks for none; leave out "
                "Accept-Encoding, or use locust.FastHttpUser"
            )


class CaughtResponse(Response):
    """An answer that the scenario judges in a `with` block; it is recorded when the block ends.

    In the block `success()` and `failure(reason)` decide, the last call wins. Without either, an exception in the
    block is a failure of the check and goes on to Locust; otherwise the status decides.
    """

    __slots__ = ("_client", "_entered", "_verdict", "js")

    js: Any  # Locust's `rest` mixin puts the decoded body here

    def __init__(  # spelled out: calling the other one would cost 0.1 µs of a request's 15
        self,
        client: FastClient,
        status_code: int,
        content: bytes,
        raw_head: bytes,
        error: Exception | None,
        sent: Sent,
    ) -> None:
        self.status_code = status_code
        self.content = content
        self._raw_head = raw_head
        self.error = error
        self.sent = sent
        self._client = client
        self._verdict: Exception | bool | None = None
        self._entered = False

    def __enter__(self) -> Self:
        self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        verdict = self._verdict
        if value is None and verdict is None:
            self._client.record(self, self.error)
            return True
        if verdict is not None:
            self._client.record(self, verdict if isinstance(verdict, Exception) else None)
        elif isinstance(value, Exception) and value is not self.error:
            self._client.record(self, value)
            return False
        else:
            self._client.record(self, self.error)
        return value is None or isinstance(value, Exception)

    def success(self) -> None:
        """Count it as a success whatever its status."""
        self._judge(verdict=True)

    def failure(self, reason: object) -> None:
        """Count it as a failure; `reason` is an exception or a message."""
        from locust.exception import CatchResponseError

        self._judge(verdict=reason if isinstance(reason, Exception) else CatchResponseError(reason))

    def _judge(self, *, verdict: Exception | bool) -> None:
        if not self._entered:
            raise RuntimeError(_ASK_FIRST)
        self._verdict = verdict
