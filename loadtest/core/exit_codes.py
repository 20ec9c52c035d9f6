"""Define the exit codes of every verb, in one table."""

from __future__ import annotations

from enum import IntEnum

from .errors import LoadTestError, UsageError


class ExitCode(IntEnum):
    """The way in which a verb ended."""

    HELD = 0
    MISSED = 1
    USAGE = 2
    UNDECIDED = 3
    UNUSABLE = 4
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.HELD: "held, or done",
    ExitCode.MISSED: "an objective was missed, or a margin was exceeded",
    ExitCode.USAGE: "wrong usage: nothing was started",
    ExitCode.UNDECIDED: "undecided: an objective had no data, a margin is too close, or the run is degraded",
    ExitCode.UNUSABLE: "the tool or the target could not be used",
    ExitCode.INTERRUPTED: "interrupted: the run until then is kept and can be reported",
}

_OF_VERDICTS = {
    "held": ExitCode.HELD,
    "unjudged": ExitCode.HELD,
    "missed": ExitCode.MISSED,
    "undecided": ExitCode.UNDECIDED,
}


def of_verdict(kind: str) -> ExitCode:
    """Return the exit code of a verdict: held, unjudged, missed or undecided."""
    return _OF_VERDICTS[kind]


def of_error(error: LoadTestError) -> ExitCode:
    """Return the exit code of one of our errors."""
    return ExitCode.USAGE if isinstance(error, UsageError) else ExitCode.UNUSABLE
