"""Measure how two targets that shared every second of one run differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from reports.analysis import drift
from reports.analysis.confidence import Multiplier, Weights, block_length, block_weights, multiplier
from reports.data import rules
from reports.data.histogram import BIN_VARIANCE, BINS, MIDDLE_US, Floats, above_quantile, lower_us

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

STATISTICS = (*QUANTILES, "mean", "error rate", "throughput")
"""The compared statistics. The first four are latencies of successful requests, compared as ratios."""

CELLS = 300
"""A window is cut into about this many cells: seconds up to 5 min, longer cells for longer windows."""

BLOCKS = 15
"""A window is resampled in this many periods, or in fewer if its differences stay correlated for longer than one of
them. The periods are this long because the drift of one side adds up over a window. It may be too small to show in the
correlation of cells whose values scatter a lot."""

BEYOND_MOMENTS = 6.0
"""A difference that comes from a few moments gets no interval if it is below this many standard deviations. m short
disturbances, all on one side, cause a difference of about √m deviations. Fewer than 8 disturbances are too few."""

BLOCKS_AT_LEAST = 6
"""An interval that is computed from fewer independent periods of time is no better than a guess."""


@dataclass(frozen=True, slots=True)
class SideCounts:
    """The counts of one side, one value for each cell of time. Both sides have the same cells.

    Attributes:
        latency: successful requests, cells × bins (all bins of reports/data/histogram.py).
        sent: requests, without those that the load generator could not send; None if not known.
        failed: the failed requests among them.
    """

    latency: npt.NDArray[np.float32]
    sent: Floats | None = None
    failed: Floats | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """How far the second side is from the first.

    Attributes:
        statistic: one of STATISTICS.
        a, b: both sides' own values: µs, a ratio, or requests per cell; NaN without any.
        difference: the difference of logarithms, or of ratios for the error rate.
        deviation: its standard deviation.
        blocks: the number of independent periods of time that it comes from.
        lacking: why there is no interval; "" if there is one.
    """

    statistic: str
    a: float
    b: float
    difference: float
    deviation: float
    blocks: float
    lacking: str = ""

    def multiplier(self, length_s: float) -> Multiplier:
        """Return the half-width of its interval in deviations."""
        return multiplier(length_s, self.blocks, confidence=rules.CONFIDENCE)

    def interval(self, length_s: float, *, always_valid: bool) -> tuple[float, float]:
        """Return the ends of its interval.

        Args:
            length_s: the length of the window.
            always_valid: whether it must hold at every look at a growing run.
        """
        found = self.multiplier(length_s)
        half = (found.always if always_valid else found.once) * self.deviation
        return self.difference - half, self.difference + half


def estimates(
    a: SideCounts, b: SideCounts, *, length_s: float, statistics: tuple[str, ...] = STATISTICS
) -> Iterator[Estimate]:
    """Yield the differences between two sides, each with its deviation.

    Whole periods of time are resampled, the same ones for both sides (a moving-block bootstrap of pairs), so drift of
    both sides cancels. The length of a period depends on how long the differences of the cells stay correlated. If only
    one side drifts, and for longer than a period, this drift is estimated from p50, where it is most visible. It widens
    the intervals of all latency statistics.

    Args:
        a: the side that is the baseline.
        b: the other side.
        length_s: the length of the window that the cells fill.
        statistics: the statistics to compute.
    """
    used = np.flatnonzero((a.latency.sum(axis=0) + b.latency.sum(axis=0)) > 0)
    columns = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
    latency = [np.ascontiguousarray(side.latency[:, columns]) for side in (a, b)]
    totals = [row.sum(axis=0, keepdims=True) for row in latency]
    influences = {name: _influence(latency, totals, columns.start, p) for name, p in QUANTILES.items()}
    influences["mean"] = _influence_on_mean(latency, totals, columns.start)
    correlated = [block_length(values) for name in ("p50", "p95") if (values := influences[name]) is not None]
    cells = len(a.latency)
    length = max(-(-cells // BLOCKS), *correlated, 1)
    weights = block_weights(cells, length)
    blocks = cells / length
    scatter = sum(cells / max(1.0, float(total.sum())) for total in totals)
    below = [np.cumsum(row, axis=1) for row in latency]  # a quantile needs only these sums over bins
    once = np.ones((1, cells), np.float32)
    whole, drawn = ([by @ row for row in below] for by in (once, weights))
    beyond = _own_drift(influences["p50"], weights, [_log_quantile(item, columns.start, 0.5) for item in drawn], blocks)
    for name in statistics:
        if name in QUANTILES:
            p = QUANTILES[name]
            own, many = ([_log_quantile(item, columns.start, p) for item in each] for each in (whole, drawn))
            few = _few_moments(influences[name], name, p * (1 - p) * scatter)
            yield _ratio(name, own, many, blocks, _lacking(totals, p, length_s, blocks), few, beyond)
        elif name == "mean":
            own, many = ([_log_mean(by, row, columns.start) for row in latency] for by in (once, weights))
            few = _few_moments(influences[name], name, BIN_VARIANCE * scatter)
            lacking = _lacking(totals, 0.5, length_s, blocks)
            if not lacking and influences[name] is None:
                lacking = "all latencies of one side are 0"
            yield _ratio(name, own, many, blocks, lacking, few, beyond)
        elif name == "throughput":
            with np.errstate(divide="ignore"):
                own, many = ([np.log(item[:, -1]) for item in each] for each in (whole, drawn))
            yield _ratio(name, own, many, blocks, _lacking(totals, 0.5, length_s, blocks))
        elif a.sent is not None and b.sent is not None and a.failed is not None and b.failed is not None:
            yield _errors((a.sent, a.failed), (b.sent, b.failed), weights, blocks, length_s)


def _own_drift(influence: Floats | None, weights: Weights, drawn: list[Floats], blocks: float) -> float:
    """Return the deviation that one side's slow drift adds to p50's log difference. Resampling does not show it.

    Args:
        influence: how each cell moves the difference of p50.
        weights: how often each resample drew each cell.
        drawn: each side's p50 in each resample, as logarithms; together with the influences they give the density at
            p50.
        blocks: number of independent periods of time that were drawn.
    """
    if influence is None or blocks < BLOCKS_AT_LEAST:
        return 0.0
    shares, differences = weights @ influence / len(influence), drawn[1] - drawn[0]
    spread = float(shares.std())
    if not spread or not np.isfinite(differences).all():
        return 0.0
    width = -(-len(influence) // drift.CELLS)
    cells = influence[: len(influence) // width * width].reshape(-1, width).mean(axis=1)
    once = multiplier(1.0, blocks, confidence=rules.CONFIDENCE).once
    half = drift.half_width(cells, confidence=rules.CONFIDENCE) / once
    return float(differences.std()) / spread * math.sqrt(max(0.0, half**2 - _widened(spread, blocks) ** 2))


def _ratio(
    name: str, own: list[Floats], many: list[Floats], blocks: float, lacking: str, few: str = "", beyond: float = 0.0
) -> Estimate:
    """Return the estimate.

    Args:
        name: the name of the statistic.
        own: each side's logarithm.
        many: each side's logarithms by resample.
        blocks: number of independent periods of time.
        lacking: why there is no interval.
        few: why a small difference gets no interval: it comes from a few moments; "" if it does not.
        beyond: the deviation that the resamples do not show.
    """
    a, b = (float(each[0]) for each in own)
    with np.errstate(invalid="ignore"):
        spread = many[1] - many[0]
    spread = spread[np.isfinite(spread)]
    deviation = _widened(float(spread.std()), blocks) if len(spread) else math.nan
    if not lacking and not (math.isfinite(b - a) and len(spread)):
        lacking = "no request succeeded"
    elif not lacking and abs(b - a) < BEYOND_MOMENTS * deviation:
        lacking = few
    return Estimate(name, math.exp(a), math.exp(b), b - a, math.hypot(deviation, beyond), blocks, lacking)


def _widened(deviation: float, blocks: float) -> float:
    """Correct a bootstrap's deviation for its bias: blocks are drawn around their own mean, not the true one."""
    return deviation * math.sqrt(blocks / max(1.0, blocks - 1))


def _errors(
    a: tuple[Floats, Floats], b: tuple[Floats, Floats], weights: npt.NDArray[np.float32], blocks: float, length_s: float
) -> Estimate:
    """Return the difference of the error rates.

    Its standard deviation is at least what chance causes, even if no request failed.
    """
    sent, failed = ([float(side[at].sum()) for side in (a, b)] for at in (0, 1))
    own = [bad / all_ if all_ else math.nan for bad, all_ in zip(failed, sent, strict=True)]
    lacking = "" if all(sent) else "no request was sent"
    if not lacking and length_s < rules.PAIRED_AT_LEAST_S:
        lacking = f"{length_s:.0f} s are too short to tell a difference from chance"
    spread = 0.0
    if all(sent):
        drawn = [(weights @ side[1]) / np.maximum(weights @ side[0], 1.0) for side in (a, b)]
        usual = (sum(failed) + 0.5) / (sum(sent) + 1)
        chance = usual * (1 - usual) * (1 / sent[0] + 1 / sent[1])
        spread = max(_widened(float((drawn[1] - drawn[0]).std()), blocks), math.sqrt(chance))
    return Estimate("error rate", own[0], own[1], own[1] - own[0], spread, blocks, lacking)


def _lacking(totals: list[npt.NDArray[np.float32]], p: float, length_s: float, blocks: float) -> str:
    fewest = int(min(float(total.sum()) for total in totals))
    if not fewest:
        return "no request succeeded"
    if length_s < rules.PAIRED_AT_LEAST_S or blocks < BLOCKS_AT_LEAST:
        return f"{length_s:.0f} s are too short to tell a difference from chance"
    if round(fewest * (1 - p), 6) < rules.PAIRED_BEYOND_AT_LEAST:
        return f"{fewest} requests per side are too few for p{p * 100:g}"
    return ""


def _influence(
    latency: list[npt.NDArray[np.float32]], totals: list[npt.NDArray[np.float32]], first_bin: int, p: float
) -> Floats | None:
    """Return how much each cell moves the difference of a quantile, by its surplus of requests above that quantile."""
    found = []
    for counts, total in zip(latency, totals, strict=True):
        if not total.sum():
            return None
        sent = counts.sum(axis=1)
        found.append((above_quantile(counts, p) - (1 - p) * sent) / sent.mean())
    return np.asarray(found[1] - found[0], dtype=np.float64)


def _influence_on_mean(
    latency: list[npt.NDArray[np.float32]], totals: list[npt.NDArray[np.float32]], first_bin: int
) -> Floats | None:
    """Return how much each cell moves the difference of the means; None if a side has no mean, or a mean of 0."""
    found = []
    for counts, total in zip(latency, totals, strict=True):
        middle = MIDDLE_US[first_bin : first_bin + counts.shape[1]]
        mean = float((total @ middle)[0] / max(1.0, total.sum()))
        if not mean:
            return None
        found.append((counts @ middle - mean * counts.sum(axis=1)) / mean)
    return np.asarray(found[1] - found[0], dtype=np.float64)


def _few_moments(influence: Floats | None, name: str, variance: float) -> str:
    """Return a sentence if a difference comes from a few short periods. Such a difference only counts events.

    Args:
        influence: how each cell moves the difference.
        name: the name of the statistic.
        variance: the variance that the normal scatter of single requests adds to a cell's influence.
    """
    if influence is None:
        return ""
    square = influence**2 + variance
    moments = float(square.sum()) ** 2 / max(1e-300, float((square**2).sum()))
    if moments >= min(rules.BURSTS_AT_LEAST, len(influence) / 6):
        return ""
    return f"{name} differs in about {max(1, round(moments))} moments of the run: too few to compare"


_LOG_EDGES = np.log(np.maximum(lower_us(np.arange(BINS + 1)), 0.5))


def _log_quantile(below: npt.NDArray[np.float32], first_bin: int, p: float) -> Floats:
    """Return the log of a quantile of each row, interpolated within its bin; NaN for rows without requests.

    Args:
        below: for each row, the number of requests up to and including each bin.
        first_bin: the number of the first bin.
        p: the quantile, 0…1.
    """
    wanted = p * below[:, -1].astype(np.float64)
    at = np.minimum((below < wanted[:, None]).sum(axis=1), below.shape[1] - 1)
    rows = np.arange(len(below))
    before = np.where(at > 0, below[rows, np.maximum(at - 1, 0)], 0.0)
    share = (wanted - before) / np.maximum(below[rows, at] - before, 1e-9)
    low, high = _LOG_EDGES[first_bin + at], _LOG_EDGES[first_bin + at + 1]
    return np.where(below[:, -1] > 0, low + np.clip(share, 0, 1) * (high - low), np.nan)


def _log_mean(weights: Weights, counts: npt.NDArray[np.float32], first_bin: int) -> Floats:
    """Return the log of the mean of each resample."""
    sums, numbers = counts @ MIDDLE_US[first_bin : first_bin + counts.shape[1]], counts.sum(axis=1, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log((weights @ sums) / (weights @ numbers)), dtype=np.float64)


@dataclass(slots=True)
class GrowingCounts:
    """The data of both sides during a run, second by second. Rows may come in any order.

    Attributes:
        seconds: for each side, latency counts by second since the load began.
    """

    seconds: tuple[dict[int, npt.NDArray[np.float32]], dict[int, npt.NDArray[np.float32]]] = field(
        default_factory=lambda: ({}, {})
    )

    def add(self, side: int, second: npt.NDArray[np.int64], bins: npt.NDArray[np.int64]) -> None:
        """Count successful requests of a side (0, 1) by the second of their start and their latency's bin."""
        for at in np.unique(second).tolist():
            counts = self.seconds[side].setdefault(at, np.zeros(BINS, np.float32))
            np.add.at(counts, bins[second == at], 1.0)

    def window(self, begin_s: int, end_s: int) -> tuple[SideCounts, SideCounts]:
        """Return the counts of both sides between two seconds."""
        width = max(1, -(-(end_s - begin_s) // CELLS))
        cells = max(1, (end_s - begin_s) // width)
        return self._cells(0, begin_s, width, cells), self._cells(1, begin_s, width, cells)

    def _cells(self, side: int, begin_s: int, width: int, cells: int) -> SideCounts:
        latency = np.zeros((cells, BINS), np.float32)
        of: Mapping[int, npt.NDArray[np.float32]] = self.seconds[side]
        for second in range(begin_s, begin_s + cells * width):
            if (counts := of.get(second)) is not None:
                latency[(second - begin_s) // width] += counts
        return SideCounts(latency)
