"""Decide what became of a request from what Locust's event tells about it."""

from __future__ import annotations

import re

from .frames import OUTCOMES

OK, HTTP_ERROR, TIMEOUT, CONNECTION, CHECK_FAILED, UNANSWERED, GENERATOR, WRONG_ANSWER = range(len(OUTCOMES))

MAX_ERROR_CHARS = 500

_SECRET = re.compile(
    r"""(?ix)
    ( (?:bearer|basic) \s+
    | (?:authorization | cookie | [\w-]*token | [\w-]*api[_-]?key | password | passwd | [\w-]*secret)
      ['"]? \s* [:=] \s* ['"]? (?:(?:bearer|basic) \s+)?
    | :// [^\s/@:]* : (?=[^\s/@]*@)
    )
    [^\s'"&@]+
    """
)
"""What leads up to a secret (kept), and the secret (left out). An error's text often quotes the request."""


def outcome_of(status: int | None, exception: BaseException | None) -> int:
    """Return the outcome's code: an index into `loadtest.recording.frames.OUTCOMES`.

    An answer that a scenario marked as a success is ok whatever its status; one it marked as a failure is
    http_error from status 400 on and check_failed below.
    """
    if exception is None:
        return OK
    if status:
        return HTTP_ERROR if status >= 400 else CHECK_FAILED
    return TIMEOUT if _is_timeout(exception) else CONNECTION


NO_ANSWER_BY_THE_END = "no answer by the end of the run"


def interruption_text(interruption: BaseException) -> str:
    """Return the error of a request whose greenlet was interrupted while it waited for the answer."""
    if type(interruption).__name__ == "GreenletExit":
        return "no answer when its user was stopped"
    return f"no answer when it was interrupted: {error_text(interruption)}"


def error_text(exception: BaseException) -> str:
    """Return the exception as one line of at most MAX_ERROR_CHARS, with anything that looks like a token left out."""
    text = " ".join((str(exception) or repr(exception)).split())
    return _SECRET.sub(r"\1[not recorded]", text)[:MAX_ERROR_CHARS]


def _is_timeout(exception: BaseException) -> bool:
    """Whether it, or what caused it, is a time-out: every HTTP library has a class of its own, named alike."""
    seen: list[BaseException] = []  # an exception may be its own cause, by way of others
    now: BaseException | None = exception
    while now is not None and now not in seen:
        if isinstance(now, TimeoutError) or "timeout" in type(now).__name__.lower():
            return True
        seen.append(now)
        inner = now.args[0] if now.args and isinstance(now.args[0], BaseException) else None
        now = inner or now.__cause__
    return False
