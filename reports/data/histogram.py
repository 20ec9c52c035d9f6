"""Count latencies in bins of at most 0.8 % width (exact below 256 µs), with bit arithmetic."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int32]
_Counted = tuple[Ints, Counts]

MANTISSA_BITS = 7
"""There are 128 bins for each power of two, so a bin is at most 1/128 = 0.8 % wide, and a value is at most 0.4 % away
from the middle of its bin."""

MAX_US = 2**32 - 1
"""71 minutes. This is more than the longest timeout of Cloud Run (60 min). Longer latencies count in the last bin."""

BIN_VARIANCE = float(np.log(1 + 1 / 2**MANTISSA_BITS) ** 2 / 12)
"""Variance that bins add to the logarithm of a latency. One value stands for all values of a bin, so the error is
uniform over 0.8 %."""

BINS = (32 - 1 - MANTISSA_BITS) * 2**MANTISSA_BITS + 2 ** (MANTISSA_BITS + 1)
"""Number of bins."""


def bin_of(us: npt.NDArray[Any]) -> Ints:
    """Return the bin of each latency in µs, in the shape of the input. Negative latencies count as 0."""
    clipped = np.clip(us, 0, MAX_US).astype(np.int64)
    shift = np.maximum(np.frexp(clipped.astype(np.float64))[1].astype(np.int64) - (MANTISSA_BITS + 1), 0)
    return np.asarray((shift << MANTISSA_BITS) + (clipped >> shift), dtype=np.int64)


def lower_us(bins: npt.NDArray[Any]) -> Ints:
    """Return the smallest latency in µs that each bin counts."""
    index = np.asarray(bins, dtype=np.int64)
    shift = np.maximum((index >> MANTISSA_BITS) - 1, 0)
    return np.asarray((index - (shift << MANTISSA_BITS)) << shift, dtype=np.int64)


MIDDLE_US: Floats = (lower_us(np.arange(BINS)) + lower_us(np.arange(1, BINS + 1)) - 1) / 2.0
"""The latency in µs that represents each bin: the middle between its lowest and its highest whole µs."""


def ranked(counts: npt.NDArray[Any], ranks: npt.NDArray[Any]) -> Ints:
    """Return, for each row of `counts` (rows × bins), the bin of the request with the given rank (1 = the fastest).

    A rank beyond the row's requests gives the last column. Callers mask empty rows.
    """
    found = np.empty(len(counts), dtype=np.int64)
    wanted = np.asarray(ranks)
    for at in range(0, len(counts), ROWS_AT_ONCE):
        part = slice(at, at + ROWS_AT_ONCE)
        found[part] = (np.cumsum(counts[part], axis=1) < wanted[part, None]).sum(axis=1)
    return np.asarray(np.minimum(found, counts.shape[1] - 1), dtype=np.int64)


def above_quantile(counts: npt.NDArray[Any], p: float) -> Floats:
    """Return for each group how many of its requests are slower than the quantile `p` of all groups together.

    `counts` has one row per group, and one column per bin of latency. In the bin that contains the quantile, only the
    share above the quantile is counted. The sum over the groups is therefore 1 − p of all requests. This matters for a
    service whose latency hardly varies, because nearly all of its requests are in that bin.
    """
    of_bins = counts.sum(axis=0, dtype=np.float64)
    below = np.cumsum(of_bins)
    wanted = p * below[-1]
    at = min(int(np.searchsorted(below, wanted)), len(of_bins) - 1)
    share = (below[at] - wanted) / max(1e-9, of_bins[at])
    return np.asarray(counts[:, at + 1 :].sum(axis=1) + share * counts[:, at], dtype=np.float64)


ROWS_AT_ONCE = 512
"""Number of windows that are summed up at a time: 512 of 3,000 bins are 12 MB."""


class Tally:
    """Count integer keys that arrive in batches.

    Each distinct key is stored once, or a few times before the result is requested.

    Keys and their counts are kept in sorted lists. If batches come in the order of their keys (time first), their lists
    hardly overlap, and no list is merged twice. Other batches produce lists that overlap. Such lists are merged as they
    grow, so that the number of stored keys is at most a small multiple of the number of distinct keys.
    """

    BUFFERED = 1 << 18
    PIECE = 1 << 17

    def __init__(self) -> None:
        self._fresh: list[_Counted] = []
        self._runs: list[_Run] = []

    def add(self, keys: Ints) -> None:
        """Count each of `keys` (any order, repeated or not)."""
        if not len(keys):
            return
        distinct, counts = np.unique(keys, return_counts=True)
        self._fresh.append((distinct, counts.astype(np.int32)))
        if sum(len(keys) for keys, _ in self._fresh) > self.BUFFERED:
            self._settle()

    def _settle(self) -> None:
        """Make one list from the new keys and from earlier lists that have mostly the same keys and are no larger."""
        if self._fresh:
            self._runs.append(_Run.of(_merged(self._fresh)))
            self._fresh = []
        while len(self._runs) > 1:
            earlier, latest = self._runs[-2:]
            if len(earlier.counts) > 2 * len(latest.counts) or not earlier.overlaps(latest):
                break
            self._runs[-2:] = [_Run.of(_merged([earlier.within(), latest.within()]))]

    @property
    def held(self) -> int:
        """Number of stored keys, which is at least the number of distinct keys."""
        return sum(len(keys) for keys, _ in self._fresh) + sum(len(run.counts) for run in self._runs)

    def pieces(self) -> Iterator[_Counted]:
        """Yield the distinct keys in ascending order and how often each was counted, one piece at a time.

        The sorted lists are freed as they are consumed, so that the result can use their memory.
        """
        self._settle()
        samples = [run.offsets[:: self.PIECE // 4].astype(np.int64) + run.first for run in self._runs]
        cuts = [*np.sort(np.concatenate(samples))[::4].tolist(), LAST_KEY] if samples else []
        for low, high in itertools.pairwise(cuts):
            yield _merged([run.within(low, high) for run in self._runs])
            self._runs = [run for run in self._runs if run.last >= high]

    def result(self) -> _Counted:
        """Return the distinct keys in ascending order and how often each was counted. The tally is empty afterwards."""
        pieces = list(self.pieces()) or [(np.empty(0, np.int64), np.empty(0, np.int32))]
        return np.concatenate([keys for keys, _ in pieces]), np.concatenate([counts for _, counts in pieces])


LAST_KEY = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class _Run:
    """A sorted list: distinct keys as offsets from the first key (in 4 bytes if they fit), and their counts."""

    first: int
    offsets: npt.NDArray[Any]
    counts: Counts

    @classmethod
    def of(cls, counted: _Counted) -> _Run:
        keys, counts = counted
        offsets = keys - keys[0]
        return cls(int(keys[0]), offsets.astype(np.uint32) if offsets[-1] < 2**32 else offsets, counts)

    @property
    def last(self) -> int:
        return self.first + int(self.offsets[-1])

    def _places(self, low: int, high: int) -> slice:
        keys = [min(max(key - self.first, 0), self.last - self.first + 1) for key in (low, high)]
        return slice(*np.searchsorted(self.offsets, np.array(keys)).tolist())

    def within(self, low: int = 0, high: int = LAST_KEY) -> _Counted:
        """Return the keys from `low` up to but excluding `high`, and their counts."""
        part = self._places(low, high)
        return self.offsets[part].astype(np.int64) + self.first, self.counts[part]

    def overlaps(self, other: _Run) -> bool:
        """Whether half of the smaller list lies within the range of the other list."""
        small, large = sorted((self, other), key=lambda run: len(run.counts))
        inside = small._places(large.first, large.last)
        return bool(inside.stop - inside.start > len(small.counts) / 2)


def _merged(runs: Sequence[_Counted]) -> _Counted:
    if len(runs) == 1:
        return runs[0]
    keys = np.concatenate([run[0] for run in runs])
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], np.concatenate([run[1] for run in runs])[order]
    if not len(keys):
        return keys, counts
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    return keys[first], np.add.reduceat(counts, first)
