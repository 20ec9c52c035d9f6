"""Choose which endpoints get their own statistics, and number every row's endpoint."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from loadtest.core.templates import path_template
from loadtest.recording.arrays import integers
from reports.data.histogram import Bools, Ints

MAX_ENDPOINTS = 512
"""The highest number of endpoints with their own statistics. Five hundred fit into a table that can be searched. The
others are counted together."""

BY_FAILURES = 64
"""This many of the endpoints with their own statistics are reserved for the endpoints with the most failures. An
endpoint with few requests that all fail deserves a line."""


COUNTED_PAIRS = 1 << 20
"""If a batch has at most this many possible combinations of a name and a method, they are looked up in a table (8
MB)."""


class EndpointKey(NamedTuple):
    """A name and a method of the scenario.

    It is a tuple, because tuples are looked up fast: this happens for every distinct pair of every batch.
    """

    name: str
    method: str


@dataclass(frozen=True, slots=True)
class Pairs:
    """The distinct (name, method) pairs of a batch, and for each row the index of its pair."""

    keys: list[tuple[str, str]]
    place: Ints


def pairs_of(names: pa.Array, methods: pa.Array) -> Pairs:
    """Return the pairs that occur in two dictionary columns.

    The time that this takes grows only with the number of rows and of distinct pairs.
    """
    name, method = names.dictionary.to_pylist(), methods.dictionary.to_pylist()
    width = max(len(method), 1)
    both = integers(names.indices, 0) * width + integers(methods.indices, 0)
    if len(name) * width > COUNTED_PAIRS:
        used, place = np.unique(both, return_inverse=True)
    else:  # without sorting the rows
        used = np.flatnonzero(np.bincount(both))
        place = np.searchsorted(used, np.arange(len(name) * width))[both]
    first, second = np.divmod(used, width)
    keys = zip(map(name.__getitem__, first.tolist()), map(method.__getitem__, second.tolist()), strict=True)
    return Pairs(list(keys), place.ravel())


class EndpointCounter:
    """Count requests and failures per endpoint in a first pass, to choose the endpoints that are kept apart."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = defaultdict(itertools.count().__next__)
        self._counts = np.zeros((2, 0), dtype=np.int64)  # requests, and failed ones

    def see(self, names: pa.Array, methods: pa.Array, failed: Bools) -> None:
        """Count a batch of rows."""
        pairs = pairs_of(names, methods)
        numbers = list(map(self._numbers.__getitem__, pairs.keys))
        self._counts = np.pad(self._counts, ((0, 0), (0, len(self._numbers) - self._counts.shape[1])))
        for counts, place in zip(self._counts, (pairs.place, pairs.place[failed]), strict=True):
            np.add.at(counts, numbers, np.bincount(place, minlength=len(numbers)))  # the same text may have two indices

    def close(self) -> EndpointIndex:
        """Return the endpoints that are kept apart, ordered by their number of requests: all of them if there are few.

        If there are too many, names that differ only in ids are merged. If there are still too many, the endpoints with
        the most requests and the most failures are kept apart. All others become one endpoint, whose name says how many
        it contains.
        """
        seen = {EndpointKey(*key): counts for key, counts in zip(self._numbers, self._counts.T.tolist(), strict=True)}
        if len(seen) <= MAX_ENDPOINTS:
            return EndpointIndex(_ranked(seen), {}, None)
        templates = {key: EndpointKey(path_template(key.name), key.method) for key in seen}
        grouped: dict[EndpointKey, list[int]] = {}
        for key, (requests, failures) in seen.items():
            counts = grouped.setdefault(templates[key], [0, 0])
            counts[0] += requests
            counts[1] += failures
        if len(grouped) <= MAX_ENDPOINTS:
            return EndpointIndex(_ranked(grouped), templates, None)
        by_failures = sorted((key for key in grouped if grouped[key][1]), key=lambda key: -grouped[key][1])
        kept = dict.fromkeys(by_failures[:BY_FAILURES])
        for key in _ranked(grouped):
            if len(kept) >= MAX_ENDPOINTS - 1:
                break
            kept[key] = None
        rest = EndpointKey(f"({len(grouped) - len(kept):,} other endpoints)", "")
        return EndpointIndex([*_ranked({key: grouped[key] for key in kept}), rest], templates, rest)


class EndpointIndex:
    """The endpoints that are kept apart, and the number of each row's endpoint."""

    def __init__(
        self, endpoints: list[EndpointKey], templates: Mapping[EndpointKey, EndpointKey], rest: EndpointKey | None
    ) -> None:
        self.endpoints = tuple(endpoints)
        self.rest = rest
        self._numbers: dict[tuple[str, str], int] = {key: at for at, key in enumerate(endpoints)}
        last = len(endpoints) - 1
        self._numbers |= {key: self._numbers.get(template, last) for key, template in templates.items()}
        self._by_method: dict[str, dict[str, int]] = {}
        for (name, method), at in self._numbers.items():
            self._by_method.setdefault(method, {})[name] = at

    def kept(self, key: EndpointKey) -> EndpointKey | None:
        """Return the endpoint under which the endpoint `key` is counted; None if the run has no such endpoint."""
        at = self._numbers.get(key)
        return self.rest if at is None else self.endpoints[at]

    def numbers(self, names: pa.Array, methods: pa.Array) -> Ints:
        """Return each row's index into `endpoints`."""
        known, width = len(names.dictionary), max(len(methods.dictionary), 1)
        if known * width > COUNTED_PAIRS:
            pairs = pairs_of(names, methods)
            numbers = np.fromiter(map(self._numbers.__getitem__, pairs.keys), np.int64, len(pairs.keys))
            return np.asarray(numbers[pairs.place], dtype=np.int64)
        table = np.zeros((known, width), dtype=np.int64)  # of all pairs, including those without rows
        listed = names.dictionary.to_pylist()
        for at, method in enumerate(methods.dictionary.to_pylist()):
            own = self._by_method.get(method, {})
            table[:, at] = np.fromiter(map(own.get, listed, itertools.repeat(0)), np.int64, known)
        return np.asarray(table[integers(names.indices, 0), integers(methods.indices, 0)], dtype=np.int64)


def _ranked(counts: Mapping[EndpointKey, list[int]]) -> list[EndpointKey]:
    """Return the endpoints, those with the most requests first.

    Endpoints with equal numbers stay in the given order.
    """
    return sorted(counts, key=lambda key: -counts[key][0])
