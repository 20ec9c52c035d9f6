"""Compute intervals over correlated cells of time: block bootstrap, and a bound that holds at every look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from reports.data.histogram import Floats

Weights = npt.NDArray[np.float32]

RESAMPLES = 800
"""Number of resamples. With this number, the standard deviation is known within 2.5 %."""

PLANNED_S = 120.0
"""The bound that holds at every look is tuned to be narrowest after about two minutes. After eight minutes it is 4 %
wider than a bound that is tuned for that time."""


def block_length(values: Floats) -> int:
    """Return how many neighbouring cells to resample together; it depends on how long the values stay correlated.

    The method is that of Politis and White (2004) with the correction of 2009, for the circular bootstrap of a mean.
    The length is at most a sixth of the number of cells, so that there are enough blocks to see how much they differ.
    """
    n = len(values)
    most = max(1, n // 6)
    centred = values - values.mean()
    variance = float(centred @ centred) / n
    if n < 12 or variance <= 0:
        return 1
    lags = min(n - 1, math.ceil(math.sqrt(n)) + max(5, round(math.log10(n))))
    covariance = np.array([float(centred[: n - lag] @ centred[lag:]) / n for lag in range(lags + 1)])
    correlation = covariance / variance
    bound = 2 * math.sqrt(math.log10(n) / n)
    run = max(5, round(math.log10(n)))
    quiet = [at for at in range(1, lags + 1) if (np.abs(correlation[at : at + run]) < bound).all()]
    last = min(2 * (quiet[0] - 1 if quiet else lags), lags)
    if last < 1:
        return 1
    at = np.arange(1, last + 1)
    taper = np.minimum(1.0, 2 * (1 - at / last))
    spectrum = covariance[0] + 2 * float((taper * covariance[1 : last + 1]).sum())
    slope = 2 * float((taper * at * covariance[1 : last + 1]).sum())
    if spectrum <= 0:
        return 1
    length = (2 * slope**2 / (4 / 3 * spectrum**2)) ** (1 / 3) * n ** (1 / 3)
    return int(np.clip(math.ceil(length), 1, most))


def block_weights(cells: int, length: int, *, resamples: int = RESAMPLES) -> Weights:
    """Return how often each cell is drawn in each resample (resamples × cells).

    Cells are drawn in circular blocks of `length`.
    """
    draw = np.random.default_rng(1)
    blocks = -(-cells // length)
    start = draw.integers(0, cells, (resamples, blocks, 1))
    drawn = ((start + np.arange(length)) % cells).reshape(resamples, -1)[:, :cells]
    flat = drawn + np.arange(resamples)[:, None] * cells
    return np.bincount(flat.ravel(), minlength=resamples * cells).reshape(resamples, cells).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Multiplier:
    """The half-widths of an interval in standard deviations.

    Attributes:
        once: the half-width for a single look after the run: Student's t with one degree of freedom less than there are
            blocks.
        always: the half-width for any number of looks, and any rule that ends the run.
    """

    once: float
    always: float


def multiplier(length_s: float, blocks: float, *, confidence: float) -> Multiplier:
    """Return how wide intervals are.

    The width that holds at every look is Robbins' normal mixture as an asymptotic confidence sequence: the probability
    that the estimate ever leaves it, at any time, is 1 − confidence (Howard, Ramdas, McAuliffe and Sekhon 2021, "Time-
    uniform, nonparametric, nonasymptotic confidence sequences", and for estimated variances Waudby-Smith, Arbour,
    Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit theory and asymptotic confidence sequences", eq. 11).

    Args:
        length_s: the length of the run so far.
        blocks: number of independent periods in it; a small number widens both half-widths.
        confidence: the confidence level, 0…1.
    """
    alpha = 1 - confidence
    normal = NormalDist().inv_cdf(1 - alpha / 2)
    once = students_t(normal, max(4.0, blocks - 1))
    rho_square = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha)) + 1) / PLANNED_S
    information = length_s * rho_square
    bound = math.sqrt(2 * (information + 1) / information * math.log(math.sqrt(information + 1) / alpha))
    return Multiplier(once, bound * once / normal)


def students_t(normal: float, freedom: float) -> float:
    """Return the quantile of Student's t for the probability whose standard normal quantile is `normal`.

    This is the expansion of Abramowitz and Stegun, 26.7.5, which is within 0.1 % for 4 or more degrees of freedom.
    """
    z = normal
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))
