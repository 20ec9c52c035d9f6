"""Find exact percentiles of any number of rows in two passes over them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from loadtest.recording.arrays import integers
from loadtest.recording.folder import RunFolder
from loadtest.recording.frames import CENSORED, FAILED, OUTCOMES
from reports.data.distributions import rank_intervals
from reports.data.histogram import BINS, MAX_US, Bools, Counts, Floats, Ints, Tally, bin_of
from reports.data.rules import QUANTILES
from reports.data.series import Series, outcome_codes, seconds_of
from reports.model import Quantile


class Measure(StrEnum):
    """Which duration of a request is measured: from its sending, or from its due time."""

    SERVICE = "service"
    RESPONSE = "response"


class Who(StrEnum):
    """Which requests are included, by their outcome.

    Durations of requests without an answer are bounds, not latencies.
    """

    OK = "ok"
    FAILED = "failed"
    TIMEOUT = "timeout"
    EVERY_FAILED = "every_failed"
    AT_LEAST = "at_least"


_OUTCOMES_OF: dict[Who, frozenset[str]] = {
    Who.OK: frozenset({"ok"}),
    Who.FAILED: FAILED - CENSORED - {"connection"},
    Who.TIMEOUT: frozenset({"timeout"}),
    Who.EVERY_FAILED: FAILED,
    Who.AT_LEAST: CENSORED | {"ok"},  # its quantiles are lower bounds, because some answers never came
}


@dataclass(frozen=True, slots=True)
class Population:
    """The requests that started in [start_s, end_s), of one endpoint (index into Series.endpoints) or of all."""

    start_s: int
    end_s: int
    endpoint: int | None = None
    who: Who = Who.OK
    measure: Measure = Measure.SERVICE


@dataclass(frozen=True, slots=True)
class Distribution:
    """The latencies of a population. Without requests, `quantiles` is empty, and the extremes and the mean are None."""

    population: Population
    requests: int
    quantiles: tuple[Quantile, ...]
    min_ms: float | None
    max_ms: float | None
    mean_ms: float | None

    def at(self, p: float) -> Quantile | None:
        """Return the quantile `p`; None if there are no requests."""
        return next((quantile for quantile in self.quantiles if quantile.q_ratio == p), None)


def distributions(
    folder: RunFolder,
    series: Series,
    populations: Sequence[Population],
    *,
    by_endpoint: bool = True,
) -> tuple[list[Distribution], list[Distribution]]:
    """Return the exact latencies of each population, in order, and of the successful requests of each endpoint.

    The quantiles equal numpy's on the same rows. The first pass counts the requests in each bin. The second pass keeps
    the exact µs of requests in the few bins that contain a required rank. The time per row grows with the number of
    populations, but not with the number of endpoints.
    """
    endpoints = len(series.endpoints) if by_endpoint else 0
    groups = len(populations) + endpoints
    sums = _Sums(
        np.zeros((groups, BINS), np.int64), np.zeros(groups), np.full(groups, MAX_US), np.zeros(groups, np.int64)
    )
    for group, us, bins in _members(folder, series, populations, endpoints):
        sums.add(group, us, bins)
    totals = sums.counts.sum(axis=1)
    intervals = [rank_intervals(totals, p) for p in QUANTILES]
    bounds = [[(int(low[at]), int(high[at])) for low, high in intervals] for at in range(groups)]
    wanted = [_ranks(int(total), low_high) for total, low_high in zip(totals, bounds, strict=True)]
    cumulated = np.cumsum(sums.counts, axis=1, out=sums.counts)
    masks = np.zeros((groups, BINS), dtype=np.bool_)
    for mask, row, ranks in zip(masks, cumulated, wanted, strict=True):
        bins = np.searchsorted(row, ranks)
        mask[bins[bins < BINS]] = True
    tally = Tally()
    for group, us, bins in _members(folder, series, populations, endpoints):
        chosen = masks[group, bins]
        tally.add((np.broadcast_to(group, us.shape)[chosen] << US_BITS) + us[chosen])
    keys, counts = tally.result()
    edges = np.searchsorted(keys, np.arange(groups + 1) << US_BITS)
    wanted_populations = [*populations, *(Population(0, series.seconds, endpoint=at) for at in range(endpoints))]
    found = []
    for at, population in enumerate(wanted_populations):
        mine = slice(edges[at], edges[at + 1])
        requests = int(cumulated[at, -1])
        exact = _values(wanted[at], cumulated[at], keys[mine] & MAX_US, counts[mine])
        found.append(
            Distribution(
                population=population,
                requests=requests,
                quantiles=tuple(
                    _quantile(p, requests, exact, *ends) for p, ends in zip(QUANTILES, bounds[at], strict=True)
                )
                if requests
                else (),
                min_ms=int(sums.fastest[at]) / 1000 if requests else None,
                max_ms=int(sums.slowest[at]) / 1000 if requests else None,
                mean_ms=float(sums.total_us[at]) / requests / 1000 if requests else None,
            )
        )
    return found[: len(populations)], found[len(populations) :]


US_BITS = 32
"""A latency fits into these bits (MAX_US). The bits above these hold the number of the population."""


@dataclass(slots=True)
class _Sums:
    """For each population: the requests in each bin, and the sum, minimum and maximum of their durations in µs."""

    counts: Ints
    total_us: Floats
    fastest: Ints
    slowest: Ints

    def add(self, group: Ints, us: Ints, bins: Ints) -> None:
        """Add members to the populations in `group`, which has a single element for all members or one per member."""
        if len(group) == 1:
            at = int(group[0])
            self.counts[at] += np.bincount(bins, minlength=BINS)
            self.total_us[at] += us.sum()
            self.fastest[at] = min(self.fastest[at], us.min())
            self.slowest[at] = max(self.slowest[at], us.max())
            return
        np.add.at(self.counts.reshape(-1), group * BINS + bins, 1)
        self.total_us += np.bincount(group, weights=us, minlength=len(self.total_us))
        np.minimum.at(self.fastest, group, us)
        np.maximum.at(self.slowest, group, us)


def _members(
    folder: RunFolder, series: Series, populations: Sequence[Population], endpoints: int
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Yield, for each batch, the populations of the chosen requests, their durations in µs and their bins.

    No array is empty.

    The array of populations has a single element if all requests belong to one population, and otherwise one per
    request.
    """
    for batch in folder.row_batches(("start", "latency_us", "late_us", "name", "method", "outcome")):
        if not batch.num_rows:
            continue
        second = np.minimum(seconds_of(integers(batch.column("start"), 0), series.t0_ns), series.seconds - 1)
        service = np.minimum(np.maximum(integers(batch.column("latency_us"), 0), 0), MAX_US)
        response = np.minimum(service + np.maximum(integers(batch.column("late_us"), 0), 0), MAX_US)
        outcome = outcome_codes(batch.column("outcome"))
        endpoint = series.index.numbers(batch.column("name"), batch.column("method"))
        measured = {Measure.SERVICE: (service, bin_of(service))}
        if series.open_loop:
            measured[Measure.RESPONSE] = (response, bin_of(response))
        for at, population in enumerate(populations):
            member = (second >= population.start_s) & (second < population.end_s) & _is(population.who, outcome)
            if population.endpoint is not None:
                member &= endpoint == population.endpoint
            if member.any():
                us, bins = measured.get(population.measure, measured[Measure.SERVICE])
                yield np.array([at]), us[member], bins[member]
        ok = _is(Who.OK, outcome)
        if endpoints and ok.any():
            us, bins = measured[Measure.SERVICE]
            group = len(populations) + endpoint[ok]
            yield (group if len(group) > 1 else group[:1]), us[ok], bins[ok]


def _is(who: Who, outcome: Ints) -> Bools:
    return np.isin(outcome, [OUTCOMES.index(name) for name in _OUTCOMES_OF[who]])


def _ranks(requests: int, bounds: Sequence[tuple[int, int]]) -> Ints:
    """Return every rank (1 = the fastest) that the quantiles and the ends of their intervals need."""
    ranks: set[int] = set()
    if requests:
        for p, (low, high) in zip(QUANTILES, bounds, strict=True):
            at = (requests - 1) * p
            ranks |= {math.floor(at) + 1, min(math.floor(at) + 2, requests), low, min(high, requests)}
    return np.array(sorted(ranks), dtype=np.int64)


def _values(ranks: Ints, cumulated: Ints, us: Ints, counts: Counts) -> dict[int, int]:
    """Return the latency in µs at each rank, from the exact values kept in the bins that contain them."""
    if not len(us):
        return {}
    before, within = np.r_[0, cumulated], np.r_[0, np.cumsum(counts)]
    its_bin = np.searchsorted(cumulated, ranks)
    skipped = within[np.searchsorted(bin_of(us), its_bin)]
    values = us[np.searchsorted(within[1:], skipped + ranks - before[its_bin])]
    return dict(zip(ranks.tolist(), values.tolist(), strict=True))


def _quantile(p: float, requests: int, exact: dict[int, int], low: int, high: int) -> Quantile:
    """Return one quantile, interpolated between the two order statistics around (n − 1)·p, as in numpy and pandas.

    Its 95 % interval is distribution-free (binomial ranks). This assumes that requests are independent. Requests close
    in time are not, so the interval is too narrow if the run drifts. With too few requests, it has no upper end.
    """
    at = (requests - 1) * p
    below = math.floor(at)
    value, next_value = exact[below + 1], exact[min(below + 2, requests)]
    return Quantile(
        q_ratio=p,
        value_ms=(value + (next_value - value) * (at - below)) / 1000,
        low_ms=exact[low] / 1000,
        high_ms=exact[high] / 1000 if high <= requests else None,
        enough=high <= requests,
    )
