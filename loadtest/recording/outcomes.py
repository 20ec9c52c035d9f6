"""Derive the outcome of a request from its status and exception, with one bounded line of text."""

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
"""Open files of the process and of the machine, local ports, socket buffers, memory: all the generator's own."""


_SERVERS_WORDS = ("Fault", "IntegrityError", "ProgrammingError", "DataError", "NotSupportedError")
"""Ends of the names of errors that carry a server's answer: XML-RPC and SOAP, and PEP 249's for databases (whose
OperationalError and InterfaceError are mostly lost connections)."""


def outcome_of(status: int | None, exception: object | None, *, transport: object | None = None) -> int:
    """Return the outcome's code: an index into `loadtest.recording.frames.OUTCOMES`.

    An answer that a scenario marked as a success is ok whatever its status; one it marked as a failure is
    http_error from status 400 on and check_failed below. Without a status the transport decides, whatever the
    scenario called the failure: timeout, generator, or connection. Clients of other protocols have no status: what
    their code calls a failure without the transport's having failed (text, a ValueError, a gRPC status that the
    server sent, a fault of XML-RPC or SOAP) is check_failed.

    Args:
        status: the status of the answer; None or 0 without one.
        exception: why the request failed, an exception or (as custom clients fire it) any text; None when it did not.
        transport: what the client itself raised, where the scenario put another exception in its place.
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
    """Return the failure as one line of at most MAX_ERROR_CHARS, without secrets and with ids grouped.

    If the scenario marked a request without an answer as a failure, the transport's reason follows its message.
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
    return f"no answer when it was interrupted: {error_text(interruption)}"


def account_for(error: BaseException) -> None:
    """Mark an exception that cuts off a request as one for which its row is written."""
    with suppress(Exception):  # a class with slots
        setattr(error, _ACCOUNTED, True)


def is_accounted(error: BaseException) -> bool:
    """Whether the request that an exception has cut off has its row."""
    return getattr(error, _ACCOUNTED, False) is True


_ACCOUNTED = "_lt_accounted"


def text_of(value: object) -> str:
    """Return the text of any object, an exception's class where it has no words, and something even if it raises."""
    for as_text in (str, repr):
        try:
            text = as_text(value)
        except Exception:  # a scenario's object may raise anything when it is asked for its text
            continue
        if text:
            return text
    return type(value).__name__


@functools.lru_cache(maxsize=4096)
def _grouped(text: str) -> str:
    """Return the recorded form of a text, cached: it takes 50 µs, and a failing service repeats itself."""
    line = " ".join(text[: 8 * MAX_ERROR_CHARS].split())
    return text_template(redact(line))[:MAX_ERROR_CHARS]


def _reasons(raised: object | None) -> Iterator[BaseException]:
    """Yield an exception and everything that caused it; libraries wrap theirs as argument, as reason, as cause."""
    waiting = [raised]
    seen: set[int] = set()  # an exception may be its own cause, by way of others
    while waiting and len(seen) < 50:
        now = waiting.pop()
        if not isinstance(now, BaseException) or id(now) in seen:
            continue
        seen.add(id(now))
        yield now
        waiting += [now.__context__, now.__cause__, *_wrapped(now)]


def _wrapped(raised: BaseException) -> Iterator[object]:
    """Yield what urllib3 (`reason`), geventhttpclient (`original`) and requests (first argument) wrap."""
    kept = vars(raised)
    yield from (kept[name] for name in ("reason", "original") if name in kept)
    yield from raised.args[:1]


def _is_timeout(reason: BaseException) -> bool:
    """Whether it is a timeout: every HTTP library has its own class, with a similar name."""
    named = isinstance(reason, TimeoutError) or "timeout" in type(reason).__name__.lower()
    return named or _grpc_code(reason) == "DEADLINE_EXCEEDED"


def _is_judgement(reason: BaseException) -> bool:
    """Whether it says that an answer was bad, and not that none came.

    Python's own errors but OSError and EOFError are raised by code that looks at an answer; a library's own class may
    be anything, and counts as the transport's unless it is known to carry the server's words.
    """
    kind = type(reason)
    if code := _grpc_code(reason):
        return code not in ("UNAVAILABLE", "CANCELLED")
    own = kind.__module__ in ("builtins", "__main__", "locust.exception")
    return kind.__name__.endswith(_SERVERS_WORDS) or (own and not isinstance(reason, (OSError, EOFError)))


def _grpc_code(reason: BaseException) -> str:
    """Return the name of the status with which a gRPC call ended; "" for anything else."""
    if not any(base.__name__ == "RpcError" for base in type(reason).__mro__):
        return ""
    try:
        return str(reason.code().name)  # type: ignore[attr-defined]  # grpc.Call's, where grpc need not be installed
    except Exception:  # a bare RpcError, raised by a test or a scenario
        return ""


def _is_shortage(reason: BaseException) -> bool:
    """Whether the load generator lacked something of its own: such a request never left it."""
    if isinstance(reason, socket.gaierror):
        # A resolver without a file descriptor says EAI_AGAIN or EAI_SYSTEM, as one whose name server is gone does.
        return reason.errno == socket.EAI_MEMORY or not _has_descriptors()
    return isinstance(reason, OSError) and reason.errno in _SHORTAGES


def _has_descriptors() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in (errno.EMFILE, errno.ENFILE)
    return True
