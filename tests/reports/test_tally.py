"""Counting keys in bounded memory gives the same result as counting them at once."""

from __future__ import annotations

import numpy as np
import pytest

from reports.data.histogram import Tally


class SmallTally(Tally):
    """A tally that settles, merges and yields pieces already after a few thousand keys."""

    BUFFERED = 1000
    PIECE = 256


@pytest.mark.parametrize("order", ["ascending", "shuffled", "repeated"])
@pytest.mark.parametrize("widest", [10**6, 10**14])
def test_a_tally_counts_like_numpy_whatever_the_order_and_the_width_of_keys(order: str, widest: int) -> None:
    """The keys are spread over 32 bits and over more."""
    rng = np.random.default_rng(1)
    keys = rng.integers(0, 500 if order == "repeated" else widest, 20_000)
    if order == "ascending":
        keys = np.sort(keys)
    tally = SmallTally()
    for part in np.array_split(keys, 40):
        tally.add(part)
    assert tally.held >= len(np.unique(keys))
    pieces = list(tally.pieces())
    assert len(pieces) > 1
    distinct, counts = np.unique(keys, return_counts=True)
    np.testing.assert_array_equal(np.concatenate([piece[0] for piece in pieces]), distinct)
    np.testing.assert_array_equal(np.concatenate([piece[1] for piece in pieces]), counts)


def test_an_empty_tally_has_an_empty_result() -> None:
    keys, counts = Tally().result()
    assert (len(keys), len(counts)) == (0, 0)
