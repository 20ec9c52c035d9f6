"""The status and the exception decide the outcome of a request, and its error contains no secrets."""

from __future__ import annotations

import errno
import resource
import socket
import sqlite3
import xmlrpc.client
from types import SimpleNamespace

import pytest

from loadtest.recording.outcomes import (
    CHECK_FAILED,
    CONNECTION,
    GENERATOR,
    HTTP_ERROR,
    MAX_ERROR_CHARS,
    OK,
    TIMEOUT,
    error_text,
    outcome_of,
)


class ReadTimeout(Exception):  # the names of timeouts in requests, httpx and geventhttpclient
    pass


class SomeLibrarysError(Exception):
    pass


class RpcError(Exception):  # an error in the form in which grpc raises it
    pass


class Rpc(RpcError):
    def __init__(self, code: str) -> None:
        self._code = SimpleNamespace(name=code)

    def code(self) -> SimpleNamespace:
        return self._code


def caused_by(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("status", "exception", "outcome"),
    [
        (200, None, OK),
        (503, None, OK),  # the scenario called `success()`
        (503, ValueError("503"), HTTP_ERROR),
        (400, ValueError("400"), HTTP_ERROR),
        (200, ValueError("the answer was wrong"), CHECK_FAILED),
        (None, TimeoutError(), TIMEOUT),
        (None, ReadTimeout("1 s"), TIMEOUT),
        (None, OSError(ReadTimeout("1 s")), TIMEOUT),
        (None, caused_by(ValueError("no answer"), ReadTimeout()), TIMEOUT),
        (0, ConnectionResetError(), CONNECTION),
        (0, OSError(errno.EMFILE, "Too many open files"), GENERATOR),
        (0, caused_by(ValueError("no connection"), OSError(errno.EADDRNOTAVAIL, "no port left")), GENERATOR),
        (0, ValueError(OSError(errno.ENOBUFS, "no buffers")), GENERATOR),
        (0, socket.gaierror(socket.EAI_MEMORY, "no memory"), GENERATOR),
        (0, socket.gaierror(socket.EAI_NONAME, "no such host"), CONNECTION),
        (0, socket.gaierror(socket.EAI_AGAIN, "name server gone"), CONNECTION),
        (200, OSError(errno.EMFILE, "raised by a check"), CHECK_FAILED),
        (None, "text", CHECK_FAILED),  # failures reported by a client of another protocol
        (None, ValueError("41 is odd"), CHECK_FAILED),
        (None, caused_by(ValueError("no answer"), ConnectionResetError()), CONNECTION),
        (None, EOFError(), CONNECTION),
        (None, SomeLibrarysError("closed"), CONNECTION),
        (None, xmlrpc.client.Fault(1, "no such method"), CHECK_FAILED),
        (None, sqlite3.IntegrityError("a duplicate"), CHECK_FAILED),
        (None, Rpc("DEADLINE_EXCEEDED"), TIMEOUT),
        (None, Rpc("UNAVAILABLE"), CONNECTION),
        (None, Rpc("NOT_FOUND"), CHECK_FAILED),
    ],
)
def test_an_outcome_follows_from_status_and_exception(
    status: int | None, exception: BaseException | None, outcome: int
) -> None:
    """An answer with a status below 400 is ok if the scenario does not reject it.

    Without an answer, the exception's class decides between timeout and connection.
    """
    assert outcome_of(status, exception) == outcome


def test_exceptions_that_cause_each_other_are_looked_at_once() -> None:
    """A cycle of causes does not lead to an endless loop."""
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert outcome_of(None, one) == CHECK_FAILED


@pytest.mark.parametrize(
    "quoted",
    [
        "Authorization: Bearer SECRET",
        "{'Authorization': 'Bearer SECRET', 'accept': '*/*'}",
        '{"authorization": "Basic SECRET"}',
        "the server says Bearer SECRET is too old",
        "GET /predict?access_token=SECRET&n=1 failed",
        "token: SECRET",
        "x-api-key: SECRET",
        "Cookie: SECRET",
        "client_secret=SECRET",
        "could not reach http://me:SECRET@example.com/predict",
    ],
)
def test_secrets_are_not_recorded(quoted: str) -> None:
    """If the text of an error quotes a request, credentials are left out and the rest is kept."""
    text = error_text(ValueError(quoted))
    assert "SECRET" not in text
    assert "[not recorded]" in text


def test_an_error_is_one_line_of_bounded_length() -> None:
    """Line breaks become spaces, long texts are cut, and an exception without a message is shown as its class."""
    assert error_text(ValueError("a\n  b\tc")) == "a b c"
    assert len(error_text(ValueError("x" * 10_000))) == MAX_ERROR_CHARS
    assert error_text(ValueError()) == "ValueError()"
    plain = "http://127.0.0.1:8080/predict: connection refused"
    assert error_text(ValueError(plain)) == plain


def test_a_resolver_without_descriptors_is_the_generators() -> None:
    """Without a free file descriptor, a failed lookup (EAI_AGAIN) is a failure of the load generator, not of the
    service.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        outcome = outcome_of(0, socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert outcome == GENERATOR
