"""Provide a response to a scenario: status, headers, text, JSON, and control over whether it counts as a success."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator, Mapping, MutableMapping
from datetime import timedelta
from types import TracebackType
from typing import Any, NoReturn, Protocol, Self

import orjson

from ..http.response_parser import fields_of
from .refusals import ASK_FIRST, SEE, STREAMING
from .request import Request


class Recorder(Protocol):
    """The interface of the client through which a response writes its row."""

    def record(self, response: Response, error: Exception | None) -> None:
        """Record the response's request as a success, or as a failure with `error`."""

    def context_of_user(self) -> Mapping[str, Any]:
        """Return the context that the user adds to its request events."""

    def row_name(self, request: Request) -> str:
        """Return the name of the request's row."""

    def repeat(self, request: Request) -> tuple[int, bytes | None]:
        """Send a request again, and return status and body of its answer. Raise OSError if there is no answer."""


class Headers(dict[str, str]):
    """A response's headers. The case of names does not matter. Repeated headers are joined with a comma."""

    def __init__(self, raw_head: bytes) -> None:
        super().__init__()
        self._raw_head = raw_head
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

    def getlist(self, name: str) -> list[str]:
        """Return the values of a header that may be repeated, one per line."""
        wanted = name.lower().encode("latin-1")
        return [value.decode("latin-1") for key, value in fields_of(self._raw_head) if key == wanted]


class Response:
    """A response, or the information that there is none.

    With catch_response, the scenario checks the response in a `with` block. This class has the same interface as
    FastHttpUser's response. In the block, the last call of `success()` or `failure(reason)` decides. If neither was
    called, the status decides, and an exception that leaves the block counts as a failed check. After the request was
    recorded, every exception is passed on to Locust, except Locust's ResponseError, which only states that the check
    failed.

    Attributes:
        status_code: 0 if there was no answer.
        content: the body, decoded if it was compressed; None if there was no answer.
        error: why there was no answer, or why the response counts as a failure unless the scenario decides otherwise;
            else None.
        request: the request: url, method, headers, body.
        changed_meta: `request_meta`, if the scenario has read it.
    """

    __slots__ = (
        "_encoding",
        "_entered",
        "_history",
        "_raw_head",
        "_recorder",
        "_verdict",
        "changed_meta",
        "content",
        "error",
        "js",
        "request",
        "status_code",
    )

    js: Any  # Locust's `rest` mixin stores the decoded body here

    def __init__(
        self,
        recorder: Recorder,
        request: Request,
        status_code: int,
        content: bytes | None,
        raw_head: bytes,
        error: Exception | None,
        caught: bool,
    ) -> None:
        self._recorder = recorder
        self.request = request
        self.status_code = status_code
        self.content = content
        self._raw_head = raw_head
        self.error = error
        self.changed_meta: MutableMapping[str, Any] | None = None
        self._verdict: Exception | bool | None = None
        self._entered: bool | None = False if caught else None

    @property
    def client(self) -> Recorder:
        """The client that sent its request."""
        return self._recorder

    @property
    def url(self) -> str:
        """The whole URL that was requested (before any redirect)."""
        return self.request.prepared.url

    @property
    def elapsed_ms(self) -> float:
        """The time in ms from sending (or opening the connection) until the last byte, or until the client gave up."""
        return (self.request.ended_ns - self.request.started_ns) / 1e6

    @property
    def elapsed(self) -> timedelta:
        """`elapsed_ms` as a timedelta."""
        return timedelta(milliseconds=self.elapsed_ms)

    @property
    def ok(self) -> bool:
        """Whether the request was answered with a status below 400."""
        return 0 < self.status_code < 400

    @property
    def headers(self) -> Headers | None:
        """The response's headers, parsed again at every call; None if there was no answer."""
        return Headers(self._raw_head) if self.status_code else None

    @property
    def history(self) -> list[Response]:
        """The redirects that were followed to this response, oldest first."""
        return getattr(self, "_history", [])

    def set_history(self, history: list[Response]) -> None:
        """Store the redirects that were followed."""
        self._history = history

    @property
    def encoding(self) -> str | None:
        """The charset of `text`: the charset in the Content-Type, else the same guess as in requests and FastHttpUser.

        A scenario may set this property.
        """
        try:
            return self._encoding
        except AttributeError:
            self._encoding: str | None = self._guess_encoding()
            return self._encoding

    @encoding.setter
    def encoding(self, value: str | None) -> None:
        self._encoding = value

    def _guess_encoding(self) -> str | None:
        headers = self.headers
        if headers is None or self.content is None:
            return None
        from charset_normalizer import detect
        from requests.utils import get_encoding_from_headers

        return get_encoding_from_headers(headers) or detect(self.content)["encoding"]

    @property
    def text(self) -> str | None:
        """The body as text. Bytes that cannot be decoded are replaced. None if there was no answer."""
        if self.content is None or (encoding := self.encoding) is None:
            return None
        try:
            return self.content.decode(encoding, errors="replace")
        except LookupError:  # Python does not know this charset
            return self.content.decode("utf-8", errors="replace")

    def json(self) -> Any:
        """Return the body as JSON, like `json.loads(response.text)`, but integers of more than 64 bits become floats.

        Raises:
            ValueError: the body is not JSON.
            NoAnswerError: there was no answer. This error ends the task, and Locust continues with the next task.
        """
        content = self.content
        if content is None:
            raise _no_answer(self.error)
        if self.request.parsed[0].utf8 or content.isascii():
            try:
                return orjson.loads(content)
            except ValueError:  # the text contains NaN, or only the bytes show the charset
                pass
        return json_module.loads(self.text or "")

    def raise_for_status(self) -> None:
        """Raise `error`, or the failure that the scenario set, if there is one."""
        verdict = self._verdict
        if verdict is True:
            return
        if isinstance(verdict, Exception):
            raise verdict
        if self.error is not None:
            raise self.error

    def iter_content(self, chunk_size: int = 1024, decode_content: bool = True) -> Iterator[str | bytes]:
        """Yield the body, which has already been read, in pieces. The pieces are text if the body is UTF-8."""
        content = self.content or b""
        for begin in range(0, len(content), chunk_size):
            chunk = content[begin : begin + chunk_size]
            try:
                yield chunk.decode() if decode_content else chunk
            except UnicodeDecodeError:
                yield chunk

    @property
    def request_meta(self) -> MutableMapping[str, Any]:
        """The content of Locust's request event. The scenario may change this content until the `with` block ends."""
        if self.changed_meta is None:
            self.changed_meta = self.request.meta(self, self._recorder.context_of_user(), self.error)
        return self.changed_meta

    def success(self) -> None:
        """Count the response as a success, whatever its status."""
        self._judge(verdict=True)

    def failure(self, exc: object) -> None:
        """Count the response as a failure. `exc` is an exception or a message."""
        from locust.exception import CatchResponseError

        self._judge(verdict=exc if isinstance(exc, Exception) else CatchResponseError(exc))

    def _judge(self, *, verdict: Exception | bool) -> None:
        if not self._entered:
            raise _locust_error(ASK_FIRST)
        self._verdict = verdict

    def __enter__(self) -> Self:
        if self._entered is not None:  # otherwise the response is already recorded, and the block has no effect
            self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        verdict = self._verdict
        if self._entered is None:
            return False
        if verdict is not None:
            self._recorder.record(self, verdict if isinstance(verdict, Exception) else None)
            return value is None
        if value is None:
            meta = self.changed_meta
            self._recorder.record(self, self.error if meta is None else meta["exception"])
            return True
        return self._leave(value)

    def _leave(self, value: BaseException) -> bool:
        """If an exception leaves the block of a response that was not checked yet, record the response.

        Return whether the exception is suppressed.
        """
        from locust import exception

        if isinstance(value, exception.ResponseError):
            self._recorder.record(self, value)
            return True
        control_flow = (
            exception.InterruptTaskSet,
            exception.RescheduleTask,
            exception.RescheduleTaskImmediately,
            exception.StopTest,
            exception.StopUser,
        )
        failed = isinstance(value, Exception) and not isinstance(value, control_flow)
        self._recorder.record(self, value if failed and isinstance(value, Exception) else self.error)
        return False

    # The attributes that FastHttpUser's response inherits from its library.

    @property
    def data(self) -> bytes | None:
        """`content`."""
        return self.content

    @property
    def status(self) -> str:
        """`status_code` as text."""
        return str(self.status_code)

    def info(self) -> Headers | None:
        """Return `headers`."""
        return self.headers

    def isclosed(self) -> bool:
        """Return True, because the response has been read to its end."""
        return True

    def release(self) -> None:
        """Do nothing, because the connection is already free."""

    def read(self, n: int | None = None) -> NoReturn:
        """Raise an error, because responses are not streams."""
        raise _locust_error(f"read({'' if n is None else n}): {STREAMING}. {SEE}.")

    def readline(self) -> NoReturn:
        """Raise an error, because responses are not streams."""
        raise _locust_error(f"readline(): {STREAMING}. {SEE}.")

    def unzipped(self, gzip: bool = True, br: bool = False) -> NoReturn:
        """Raise an error, because `content` is already decoded."""
        del gzip, br
        raise _locust_error(f"unzipped(): `content` is already decoded. {SEE}.")

    @property
    def stream(self) -> NoReturn:
        """Raise an error, because responses are not streams."""
        raise AttributeError(f"stream: {STREAMING}. {SEE}.")


def _locust_error(text: str) -> Exception:
    from locust.exception import LocustError

    return LocustError(text)


def _no_answer(error: Exception | None) -> Exception:
    from .no_answer import NoAnswerError

    made = NoAnswerError(f"there is no answer to decode: {error}")
    made.__cause__ = error
    return made
