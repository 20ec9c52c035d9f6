"""Compare what a worker recorded with Locust's own totals, endpoint by endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..recording.outcomes import text_of
from ..recording.run import TotalsDifferenceRecord

MAX_DIFFERENCES = 50


class LocustTotals:
    """The sum of Locust's totals of one worker. Locust sends its totals to the master and resets them every second."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str], int] = {}

    def add(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Add the entries of a report, in Locust's serialised form."""
        for entry in entries:
            key = (text_of(entry["name"]), text_of(entry["method"]))
            self._requests[key] = self._requests.get(key, 0) + int(entry["num_requests"])

    def differences(self, heard: Mapping[tuple[str, str], int], left: Iterable[Any]) -> list[TotalsDifferenceRecord]:
        """Return the endpoints for which Locust's count differs from the recorded count, the largest difference first.

        Args:
            heard: number of requests for which a row was written or a refusal was counted, by (name, method).
            left: Locust's entries (`StatsEntry`) that have not been reported yet.
        """
        whole = dict(self._requests)
        for entry in left:
            key = (text_of(entry.name), text_of(entry.method))
            whole[key] = whole.get(key, 0) + int(entry.num_requests)
        found = [
            TotalsDifferenceRecord(name=key[0], method=key[1], rows=heard.get(key, 0), locust=whole.get(key, 0))
            for key in {**heard, **whole}
            if heard.get(key, 0) != whole.get(key, 0)
        ]
        return sorted(found, key=lambda difference: -abs(difference.locust - difference.rows))[:MAX_DIFFERENCES]


def merged(parts: Iterable[TotalsDifferenceRecord]) -> list[TotalsDifferenceRecord]:
    """Return the differences of several workers as one list."""
    whole: dict[tuple[str, str], TotalsDifferenceRecord] = {}
    for part in parts:
        kept = whole.get((part.name, part.method))
        if kept is None:
            whole[part.name, part.method] = part.model_copy()
        else:
            kept.rows += part.rows
            kept.locust += part.locust
    return sorted(whole.values(), key=lambda difference: -abs(difference.locust - difference.rows))
