"""Follow each instance of the service through the rows that it answered."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from loadtest.recording.arrays import integers
from reports.data.histogram import BINS, MIDDLE_US, Bools, Floats, Ints, Tally
from reports.data.rules import FIRST_REQUESTS, FIRSTS_KEPT, YOUNG_S
from reports.model import Instance

MAX_INSTANCES = 1000
"""Cloud Run's default maximum. Instances beyond this number are not followed individually."""

UNSEEN = np.iinfo(np.int64).max


class InstanceTracker:
    """Number the instances in the order in which they occur, and collect the data of each `Instance`."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._first_start = np.full(MAX_INSTANCES, UNSEEN, dtype=np.int64)
        self._first_answer = np.full(MAX_INSTANCES, UNSEEN, dtype=np.int64)
        self._last_answer = np.zeros(MAX_INSTANCES, dtype=np.int64)
        self._ready = np.full(MAX_INSTANCES, UNSEEN, dtype=np.int64)
        self._tally = Tally()
        self._latest_first = np.full(MAX_INSTANCES, UNSEEN, dtype=np.int64)  # requests that start later are not kept
        self._firsts: tuple[Ints, Ints, Ints] = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))
        self._t0_ns = 0

    def see(self, column: pa.Array, start: Ints) -> None:
        """Record when each instance got its first request. `young` needs these times for the whole run."""
        number = self.numbers(column)
        known = number >= 0
        np.minimum.at(self._first_start, number[known], start[known])

    def close(self, t0_ns: int) -> None:
        """Fix t = 0."""
        self._t0_ns = t0_ns

    def numbers(self, column: pa.Array) -> Ints:
        """Return the number of each row's instance; -1 if the row names none, or if there are too many instances."""
        names = column.dictionary.to_pylist()
        index = np.array([self._number(name) for name in names] or [-1], dtype=np.int64)
        at = column.indices
        places = integers(at, -1)
        return np.where(places >= 0, index[places], -1)

    def _number(self, name: str | None) -> int:
        if not name:
            return -1
        if name not in self._numbers and len(self._numbers) >= MAX_INSTANCES:
            return -1
        return self._numbers.setdefault(name, len(self._numbers))

    def young(self, number: Ints, start: Ints, age_ms: Ints) -> Bools:
        """Return whether the instance was younger than rules.YOUNG_S.

        Its age decides, or else the time of its first request.
        """
        since = np.where(number >= 0, start - self._first_start[np.maximum(number, 0)], UNSEEN)
        return np.where(age_ms >= 0, age_ms < YOUNG_S * 1000, since < YOUNG_S * 1e9)

    def add(self, number: Ints, start: Ints, latency_us: Ints, age_ms: Ints, bins: Ints) -> None:
        """Count successful requests: their instance, start (UTC ns), latency, the instance's age, latency bin."""
        known = number >= 0
        if not known.any():
            return
        number, start, latency_us, age_ms, bins = (
            values[known] for values in (number, start, latency_us, age_ms, bins)
        )
        end = start + latency_us * 1000
        np.minimum.at(self._first_answer, number, end)
        np.maximum.at(self._last_answer, number, end)
        aged = age_ms >= 0
        np.minimum.at(self._ready, number[aged], end[aged] - age_ms[aged] * 1_000_000)
        self._tally.add(number * BINS + bins)
        early = start < self._latest_first[number]
        if early.any():
            self._keep_firsts(number[early], start[early], latency_us[early])

    def _keep_firsts(self, number: Ints, start: Ints, latency_us: Ints) -> None:
        kept = tuple(np.concatenate(pair) for pair in zip(self._firsts, (number, start, latency_us), strict=True))
        order = np.lexsort((kept[1], kept[0]))
        ordered = [values[order] for values in kept]
        begins = np.flatnonzero(np.r_[True, ordered[0][1:] != ordered[0][:-1]])
        place = np.arange(len(order)) - np.repeat(begins, np.diff(np.r_[begins, len(order)]))
        last = place == FIRSTS_KEPT - 1
        self._latest_first[ordered[0][last]] = ordered[1][last]
        first = place < FIRSTS_KEPT
        self._firsts = (ordered[0][first], ordered[1][first], ordered[2][first])

    def firsts(self) -> dict[str, tuple[Floats, Floats]]:
        """Return the first rules.FIRSTS_KEPT successful requests of each instance: start (s), latency (ms)."""
        number, start, latency_us = self._firsts
        found = {}
        for name, at in self._numbers.items():
            mine = slice(*np.searchsorted(number, [at, at + 1]))
            found[name] = ((start[mine] - self._t0_ns) / 1e9, latency_us[mine] / 1000)
        return found

    def _seconds(self, ns: int) -> float:
        return (ns - self._t0_ns) / 1e9

    def instances(self) -> tuple[Instance, ...]:
        """Return the instances that answered, ordered by the time of their first answer."""
        keys, counts = self._tally.result()
        who, firsts = keys // BINS, self.firsts()
        found = []
        for name, number in self._numbers.items():
            mine = slice(*np.searchsorted(who, [number, number + 1]))
            requests = int(counts[mine].sum())
            if not requests:
                continue
            middle: Floats = MIDDLE_US[keys[mine] % BINS]
            median = middle[np.searchsorted(np.cumsum(counts[mine]), (requests + 1) // 2)]
            ready = int(self._ready[number])
            first_ms = firsts[name][1][:FIRST_REQUESTS].tolist()
            found.append(
                Instance(
                    name=name,
                    first_start_s=self._seconds(int(self._first_start[number])),
                    first_seen_s=self._seconds(int(self._first_answer[number])),
                    last_seen_s=self._seconds(int(self._last_answer[number])),
                    ready_s=None if ready == UNSEEN else self._seconds(ready),
                    requests=requests,
                    first_latency_ms=first_ms[0] if first_ms else None,
                    first_ms=first_ms,
                    median_ms=float(median) / 1000,
                )
            )
        return tuple(sorted(found, key=lambda instance: instance.first_seen_s))
