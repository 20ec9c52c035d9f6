"""Describe why a request failed: the outcome of its row, and the text."""

from __future__ import annotations

from ..http.connection import EXPIRED
from ..http.limits import GeneratorLimitError
from ..recording.outcomes import GENERATOR, error_text, outcome_of
from .redirects import REDIRECTS

SUCCESSES = frozenset({*range(200, 209), 226, 304}) | REDIRECTS
"""Statuses that FastHttpUser counts as success. A redirect that is not followed is an ordinary answer."""


class BadStatusError(Exception):
    """The service answered with an error status."""


def describe(failure: OSError, timeout_s: float) -> Exception:
    """Return the failure of a request that got no valid answer.

    If the failure was a timeout, the text states the limit.
    """
    if failure.args == (EXPIRED,):
        return TimeoutError(f"no whole response within {timeout_s:g} s")
    return failure


def status_error(status: int) -> BadStatusError | None:
    """Return why a status is a failure; None if the status is not a failure."""
    return None if status in SUCCESSES else BadStatusError(f"HTTP {status}")


def judge(status: int, error: Exception, transport: Exception | None) -> tuple[int, str]:
    """Return the outcome's code and the error's text of a failed request.

    Args:
        status: 0 if there was no answer.
        error: the recorded reason of the failure: the transport's error, or the scenario's message.
        transport: why there was no answer. A scenario's message is put before the text and does not change the outcome.
            If the scenario marks a timeout with `failure("…")`, the outcome is still a timeout, and the latency is
            still a lower bound.
    """
    if status or transport is None:
        return outcome_of(status, error), error_text(error)
    outcome = GENERATOR if isinstance(transport, GeneratorLimitError) else outcome_of(0, transport)
    text = error_text(error) if error is transport else f"{error_text(error)} ({error_text(transport)})"
    return outcome, text
