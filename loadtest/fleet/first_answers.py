"""End a run early if all first answers of an endpoint fail, because the rest of such a run would be wasted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..recording.frames import OUTCOMES, SIDES, Frame
from .progress import ProgressSnapshot, Recent

if TYPE_CHECKING:  # imported only when the first rows arrive, so that `lt run` prints its first line sooner
    import numpy as np

FIRST = 3
"""A run ends after this many failed answers without a success. If a service fails 1 % of its requests by
chance, the rule ends one run in a million."""

WITHIN_S = 30.0
"""Only answers within this time after the first answer of the run are counted. The rule does not end a run after this
time, because more of the run would then be wasted."""

MAX_ENDPOINTS = 200

LOAD_STATUSES = (408, 425, 429, 502, 503, 504)
"""Statuses of a service that is starting or overloaded; such a service may answer the same request successfully a
moment later."""

_NO_ANSWER = [OUTCOMES.index(name) for name in ("timeout", "connection", "unanswered", "generator")]
_FAILED = [OUTCOMES.index(name) for name in ("http_error", "check_failed")]


@dataclass(frozen=True, slots=True)
class FailingEndpoint:
    """An endpoint whose first answers all failed.

    Attributes:
        side: A or B in a run against two targets, else "".
        status: the status of the first answer.
        error: the message of the scenario's check; "" for an HTTP error.
    """

    side: str
    method: str
    name: str
    status: int
    error: str

    @property
    def sentence(self) -> str:
        """Return a sentence that says what failed."""
        of = f" of {self.side}" if self.side else ""
        how = f"the scenario's check: {self.error}" if self.error else f"HTTP {self.status}"
        return f"the first {FIRST} answers of {self.method} {self.name}{of} all failed with {how}"


@dataclass(slots=True)
class _Seen:
    """An endpoint without a success so far: its first failed answer, when it came, and the number of failures."""

    failing: FailingEndpoint
    end_ns: int
    failed: int = 1


class FirstAnswers:
    """Called each time a run is evaluated; returns the reason to end the run if an endpoint always fails.

    An endpoint always fails if its first answer and the next answers failed. After the first answer, only the answers
    to later requests are counted, that is, to requests that were sent after the first answer came. Such a request is
    not slow or refused merely because the service is starting. An answer failed if it is an HTTP error (except
    LOAD_STATUSES), or if the scenario's own check rejected it. A request without an answer, or without a status (a
    client of another protocol), is not counted.
    """

    def __init__(self) -> None:
        self.failing: list[FailingEndpoint] = []
        self._seen: dict[tuple[str, str, int], _Seen | None] = {}  # None if the endpoint has succeeded
        self._until_ns: int | None = None

    def __call__(self, snapshot: ProgressSnapshot, new: tuple[Recent, ...]) -> str | None:
        """Return why the run should end; None if it should continue."""
        del snapshot
        for recent in new:
            if recent.frame is not None and recent.end_ns.size:
                self._add(recent.frame, recent.end_ns)
        if not self.failing:
            return None
        return f"{'; '.join(each.sentence for each in self.failing)} (`--no-check` lets the run continue)"

    def _add(self, frame: Frame, end_ns: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        import numpy as np

        column = {name: np.frombuffer(values, values.typecode) for name, values in frame.columns.items()}
        status = column["status"]
        answered = (status > 0) & ~np.isin(column["outcome"], _NO_ANSWER) & ~np.isin(status, LOAD_STATUSES)
        if self._until_ns is None and answered.any():
            self._until_ns = int(end_ns[answered].min()) + int(WITHIN_S * 1e9)
        answered &= end_ns < (self._until_ns or 0)
        failed = np.isin(column["outcome"], _FAILED)
        for key, mine in self._endpoints(frame, column, answered):
            if not failed[mine].all():
                self._seen[key] = None
                continue
            seen = self._seen.get(key)
            if seen is None:
                first = int(mine[np.argmin(end_ns[mine])])
                method, name, side = key
                rejected = column["outcome"][first] == OUTCOMES.index("check_failed")
                error = frame.strings[int(column["error"][first])] if rejected else ""
                failing = FailingEndpoint(SIDES[side].upper(), method, name, int(status[first]), error)
                seen = self._seen[key] = _Seen(failing, int(end_ns[first]))
            before = seen.failed
            seen.failed += int((column["start"][mine] >= seen.end_ns).sum())
            if before < FIRST <= seen.failed:
                self.failing.append(seen.failing)

    def _endpoints(
        self, frame: Frame, column: dict[str, np.ndarray], answered: np.ndarray
    ) -> Iterator[tuple[tuple[str, str, int], np.ndarray]]:
        """Yield the endpoints that have not succeeded yet, with the positions of their answers in the frame."""
        import numpy as np

        count = len(frame.strings)
        codes = (column["side"].astype(np.int64) * count + column["name"]) * count + column["method"]
        for code in np.unique(codes[answered]).tolist():
            rest, method = divmod(code, count)
            side, name = divmod(rest, count)
            key = frame.strings[method], frame.strings[name], side
            known = key in self._seen
            if (known and self._seen[key] is None) or (not known and len(self._seen) >= MAX_ENDPOINTS):
                continue
            yield key, np.flatnonzero(answered & (codes == code))
