"""Determine the outcome of a request from its status and exception, and describe it in one line of bounded length."""

from __future__ import annotations

import errno
import functools
import os
import socket
from collections.abc import Iterator
from contextlib import suppress

from ..core.answers import WrongAnswerError
from ..core.redaction import redact
from ..core.templates import text_template
from .frames import OUTCOMES

OK, HTTP_ERROR, TIMEOUT, CONNECTION, CHECK_FAILED, UNANSWERED, GENERATOR, WRONG_ANSWER = range(len(OUTCOMES))

MAX_ERROR_CHARS = 500

NO_ANSWER_BY_THE_END = "no answer by the end of the run"

_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
"""Error codes for resources that the load generator lacks: open files of the process or the machine, local ports,
socket buffers, memory."""


_SERVERS_WORDS = ("Fault", "IntegrityError", "ProgrammingError", "DataError", "NotSupportedError")
"""If the name of an error class has one of these endings, the error contains an answer of the server. Such classes are
used by XML-RPC, by SOAP and, for databases, by PEP 249. OperationalError and InterfaceError of PEP 249 are left out,
because they are mostly lost connections."""


def outcome_of(status: int | None, exception: object | None, *, transport: object | None = None) -> int:
    """Return the outcome's code: an index into `loadtest.recording.frames.OUTCOMES`.

    An answer that a scenario marked as a success is ok, whatever its status. An answer that the scenario marked as a
    failure is http_error if its status is 400 or above, else check_failed. Without a status, the transport decides
    between timeout, generator and connection, whatever the scenario's mark is. Clients of other protocols have no
    status. If the code of such a client reports a failure although the transport worked, the outcome is check_failed.
    Such a failure is text, a ValueError, a gRPC status that the server sent, or a fault of XML-RPC or SOAP.

    Args:
        status: the status of the answer; None or 0 without an answer.
        exception: why the request failed: an exception or, from custom clients, any text; None if the request did not
            fail.
        transport: the error that the client itself raised, if the scenario replaced it by another exception.
    """
    if exception is None:
        return OK
    if isinstance(exception, WrongAnswerError):
        return WRONG_ANSWER
    if status:
        return HTTP_ERROR if status >= 400 else CHECK_FAILED
    reasons = [*_reasons(exception), *_reasons(transport)]
    if any(_is_shortage(reason) for reason in reasons):
        return GENERATOR
    if any(_is_timeout(reason) for reason in reasons):
        return TIMEOUT
    return CHECK_FAILED if all(_is_judgement(reason) for reason in reasons) else CONNECTION


def error_text(exception: object, *, transport: object | None = None) -> str:
    """Return a description of the failure in one line of at most MAX_ERROR_CHARS, without secrets and ids.

    If the scenario marked a request without an answer as a failure, the transport's reason is added after its message.
    """
    text = _grouped(text_of(exception))
    if transport is None or transport is exception:
        return text
    beside = f" ({_grouped(text_of(transport))[: MAX_ERROR_CHARS // 2]})"
    return text[: MAX_ERROR_CHARS - len(beside)] + beside


def interruption_text(interruption: BaseException) -> str:
    """Return the error of a request whose greenlet was interrupted while it waited for the answer."""
    if type(interruption).__name__ == "GreenletExit":
        return "no answer when its user was stopped"
    return f"no answer when the request was interrupted: {error_text(interruption)}"


def account_for(error: BaseException) -> None:
    """Record on an exception that cuts off a request that the row of this request is already written."""
    with suppress(Exception):  # a class with slots
        setattr(error, _ACCOUNTED, True)


def is_accounted(error: BaseException) -> bool:
    """Whether the row of the request that was cut off by this exception is already written."""
    return getattr(error, _ACCOUNTED, False) is True


_ACCOUNTED = "_lt_accounted"


def text_of(value: object) -> str:
    """Return `str` of an object; `repr` if `str` is empty or raises an error; else the name of the object's class."""
    for as_text in (str, repr):
        try:
            text = as_text(value)
        except Exception:  # an object of the scenario may raise any error when it is converted to text
            continue
        if text:
            return text
    return type(value).__name__


@functools.lru_cache(maxsize=4096)
def _grouped(text: str) -> str:
    """Return the recorded form of a text.

    The result is cached, because computing it takes 50 µs and a failing service repeats its errors.
    """
    line = " ".join(text[: 8 * MAX_ERROR_CHARS].split())
    return text_template(redact(line))[:MAX_ERROR_CHARS]


def _reasons(raised: object | None) -> Iterator[BaseException]:
    """Yield an exception and everything that caused it.

    A library may keep the cause in the arguments, in an attribute, or as Python's own `__cause__` or `__context__`.
    """
    waiting = [raised]
    seen: set[int] = set()  # an exception may be its own cause, through other exceptions
    while waiting and len(seen) < 50:
        now = waiting.pop()
        if not isinstance(now, BaseException) or id(now) in seen:
            continue
        seen.add(id(now))
        yield now
        waiting += [now.__context__, now.__cause__, *_wrapped(now)]


def _wrapped(raised: BaseException) -> Iterator[object]:
    """Yield the errors that urllib3 (`reason`), geventhttpclient (`original`) and requests (first argument) wrap."""
    kept = vars(raised)
    yield from (kept[name] for name in ("reason", "original") if name in kept)
    yield from raised.args[:1]


def _is_timeout(reason: BaseException) -> bool:
    """Whether an error is a timeout. Every HTTP library has its own timeout class, and the names are similar."""
    named = isinstance(reason, TimeoutError) or "timeout" in type(reason).__name__.lower()
    return named or _grpc_code(reason) == "DEADLINE_EXCEEDED"


def _is_judgement(reason: BaseException) -> bool:
    """Whether an error says that an answer was wrong, and not that no answer came.

    Code that examines an answer raises Python's own errors, except OSError and EOFError. The error class of a library
    may mean anything. Such errors count as errors of the transport, unless they are known to contain the server's
    message.
    """
    kind = type(reason)
    if code := _grpc_code(reason):
        return code not in ("UNAVAILABLE", "CANCELLED")
    own = kind.__module__ in ("builtins", "__main__", "locust.exception")
    return kind.__name__.endswith(_SERVERS_WORDS) or (own and not isinstance(reason, (OSError, EOFError)))


def _grpc_code(reason: BaseException) -> str:
    """Return the name of the status with which a gRPC call ended; "" for any other error."""
    if not any(base.__name__ == "RpcError" for base in type(reason).__mro__):
        return ""
    try:
        return str(reason.code().name)  # type: ignore[attr-defined] # of grpc.Call; grpc may not be installed
    except Exception:  # a plain RpcError that a test or a scenario raised
        return ""


def _is_shortage(reason: BaseException) -> bool:
    """Whether the load generator lacked a resource, so that it could not send the request."""
    if isinstance(reason, socket.gaierror):
        # The resolver reports EAI_AGAIN or EAI_SYSTEM in two cases: there is no free file descriptor, or the name
        # server does not answer.
        return reason.errno == socket.EAI_MEMORY or not _has_descriptors()
    return isinstance(reason, OSError) and reason.errno in _SHORTAGES


def _has_descriptors() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in (errno.EMFILE, errno.ENFILE)
    return True
