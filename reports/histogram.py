"""Count latencies in bins of at most 0.8 % width, exact below 256 µs, by bit arithmetic."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int32]
_Run = tuple[Ints, Counts]

MANTISSA_BITS = 7
"""128 bins for each power of two: a bin is at most 1/128 = 0.8 % wide, its middle at most 0.4 % off."""

MAX_US = 2**32 - 1
"""71 minutes: beyond any time-out Cloud Run allows (60 min). Longer ones count in the last bin."""

BINS = (32 - 1 - MANTISSA_BITS) * 2**MANTISSA_BITS + 2 ** (MANTISSA_BITS + 1)
"""Number of bins."""


def bin_of(us: npt.NDArray[Any]) -> Ints:
    """Return the bin of each latency in µs (shape as given); negative ones count as 0."""
    clipped = np.clip(us, 0, MAX_US).astype(np.int64)
    shift = np.maximum(np.frexp(clipped.astype(np.float64))[1].astype(np.int64) - (MANTISSA_BITS + 1), 0)
    return np.asarray((shift << MANTISSA_BITS) + (clipped >> shift), dtype=np.int64)


def lower_us(bins: npt.NDArray[Any]) -> Ints:
    """Return the smallest latency in µs that each bin counts."""
    index = np.asarray(bins, dtype=np.int64)
    shift = np.maximum((index >> MANTISSA_BITS) - 1, 0)
    return np.asarray((index - (shift << MANTISSA_BITS)) << shift, dtype=np.int64)


MIDDLE_US: Floats = (lower_us(np.arange(BINS)) + lower_us(np.arange(1, BINS + 1)) - 1) / 2.0
"""The latency in µs that stands for each bin: the middle of the whole µs it counts."""


def ranked(counts: npt.NDArray[Any], ranks: npt.NDArray[Any]) -> Ints:
    """Return, for each row of `counts` (rows × bins), the bin that holds the request of that rank (1 = the fastest).

    A rank beyond the row's requests gives the last column; callers mask empty rows.
    """
    below = np.cumsum(counts, axis=1) < np.asarray(ranks)[:, None]
    return np.asarray(np.minimum(below.sum(axis=1), counts.shape[1] - 1), dtype=np.int64)


class Tally:
    """Count integer keys that arrive in batches, holding each distinct key once, or a few times until it is asked.

    Keys are kept in sorted runs of key and count. Batches in the order of their keys (time first) leave runs that
    hardly overlap, and nothing is merged twice; batches in any order leave runs that overlap, which are merged as they
    grow, so that what is held stays within a small factor of the distinct keys.
    """

    BUFFERED = 1 << 18
    PIECE = 1 << 17

    def __init__(self) -> None:
        self._fresh: list[_Run] = []
        self._runs: list[_Run] = []

    def add(self, keys: Ints) -> None:
        """Count each of `keys` (any order, repeated or not)."""
        if not len(keys):
            return
        distinct, counts = np.unique(keys, return_counts=True)
        self._fresh.append((distinct, counts.astype(np.int32)))
        if sum(len(run[0]) for run in self._fresh) > self.BUFFERED:
            self._settle()

    def _settle(self) -> None:
        """Make one run of the fresh ones, and of it and earlier ones that hold much the same keys and are no larger."""
        if self._fresh:
            self._runs.append(_merged(self._fresh))
            self._fresh = []
        while (
            len(self._runs) > 1 and _overlap(*self._runs[-2:]) and len(self._runs[-2][0]) <= 2 * len(self._runs[-1][0])
        ):
            self._runs[-2:] = [_merged(self._runs[-2:])]

    @property
    def held(self) -> int:
        """How many keys are held: at least the distinct ones."""
        return sum(len(run[0]) for run in (*self._fresh, *self._runs))

    def pieces(self) -> Iterator[tuple[Ints, Counts]]:
        """Yield the distinct keys in ascending order and how often each was counted, a piece at a time.

        Runs are let go as they are used up, so that what is made of the pieces takes their place in memory.
        """
        self._settle()
        samples = np.sort(np.concatenate([run[0][:: self.PIECE // 4] for run in self._runs] or [np.empty(0, np.int64)]))
        cuts = [*samples[::4].tolist(), np.iinfo(np.int64).max]
        for low, high in itertools.pairwise(cuts):
            bounds = [np.searchsorted(keys, [low, high]).tolist() for keys, _ in self._runs]
            runs = zip(self._runs, bounds, strict=True)
            yield _merged([(keys[a:b], counts[a:b]) for (keys, counts), (a, b) in runs])
            self._runs = [run for run in self._runs if run[0][-1] >= high]

    def result(self) -> tuple[Ints, Counts]:
        """Return the distinct keys in ascending order and how often each was counted."""
        pieces = list(self.pieces()) or [(np.empty(0, np.int64), np.empty(0, np.int32))]
        return np.concatenate([piece[0] for piece in pieces]), np.concatenate([piece[1] for piece in pieces])


def _overlap(one: _Run, other: _Run) -> bool:
    """Whether half of the smaller run lies within the range of the other."""
    small, large = sorted((one[0], other[0]), key=len)
    inside = np.diff(np.searchsorted(small, [large[0], large[-1]]))[0]
    return bool(inside > len(small) / 2)


def _merged(runs: Sequence[_Run]) -> _Run:
    if len(runs) == 1:
        return runs[0]
    keys = np.concatenate([run[0] for run in runs])
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], np.concatenate([run[1] for run in runs])[order]
    if not len(keys):
        return keys, counts
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    return keys[first], np.add.reduceat(counts, first)
