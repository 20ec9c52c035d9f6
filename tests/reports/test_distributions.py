"""The tails of the three distributions agree with scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from reports.data.distributions import normal_below, poisson_tail, rank_intervals


@given(
    sizes=st.lists(st.integers(1, 3000) | st.integers(1, 10**7), min_size=1, max_size=20),
    p=st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999]) | st.floats(0.01, 0.999),
    confidence=st.sampled_from([0.5, 0.9, 0.95, 0.999]),
)
def test_the_ranks_that_enclose_a_quantile(sizes: list[int], p: float, confidence: float) -> None:
    low, high = rank_intervals(np.array(sizes), p, confidence)
    tail = (1 - confidence) / 2
    assert low.tolist() == [max(1, int(stats.binom.ppf(tail, n, p))) for n in sizes]
    assert (high - 1).tolist() == [int(stats.binom.ppf(1 - tail, n, p)) for n in sizes]


@given(counts=st.lists(st.integers(-1, 5000), min_size=1, max_size=30), mean=st.floats(1e-9, 3000) | st.just(0.0))
def test_the_chance_of_more_events_than_counted(counts: list[int], mean: float) -> None:
    expected = [1.0 if count < 0 else special.pdtrc(count, mean) for count in counts]
    assert poisson_tail(counts, mean) == pytest.approx(expected, rel=1e-6, abs=1e-25)


def test_the_chance_of_a_smaller_normal_variable() -> None:
    z = np.linspace(-12, 12, 241).reshape(1, -1)
    assert normal_below(z) == pytest.approx(special.ndtr(z), rel=1e-12)
