"""Count latencies in bins of at most 0.8 % width, exact below 256 µs, by bit arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

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
    """Count integer keys that arrive in batches, holding each distinct key once."""

    BUFFERED = 1 << 21

    def __init__(self) -> None:
        self._parts: list[tuple[Ints, Ints]] = []
        self._held = 0

    def add(self, keys: Ints) -> None:
        """Count each of `keys` (any order, repeated or not)."""
        part = np.unique(keys, return_counts=True)
        self._parts.append(part)
        self._held += len(part[0])
        if self._held > self.BUFFERED and len(self._parts) > 1:
            self._merge()

    def _merge(self) -> None:
        keys = np.concatenate([part[0] for part in self._parts])
        counts = np.concatenate([part[1] for part in self._parts])
        order = np.argsort(keys, kind="stable")
        keys, counts = keys[order], counts[order]
        first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.empty(0, np.int64)
        self._parts = [(keys[first], np.add.reduceat(counts, first) if len(first) else counts)]
        # An unmergeable rest (all keys distinct) must not be merged again at every batch.
        self._held = 0

    def result(self) -> tuple[Ints, Ints]:
        """Return the distinct keys in ascending order and how often each was counted."""
        if not self._parts:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        self._merge()
        return self._parts[0]
