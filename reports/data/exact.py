"""Find exact percentiles of chosen requests in two passes over the rows, whatever their number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from loadtest.recording.folder import RunFolder
from loadtest.recording.frames import OUTCOMES
from reports.data.arrays import integers
from reports.data.binomial import rank_interval
from reports.data.histogram import BINS, MAX_US, Bools, Ints, Tally, bin_of
from reports.data.rules import QUANTILES
from reports.data.series import Series, seconds_of
from reports.model import Quantile


class Measure(StrEnum):
    """Which duration of a request: from sending it, or from when its schedule wanted it sent."""

    SERVICE = "service"
    RESPONSE = "response"


class Who(StrEnum):
    """Which requests by what became of them. Time-outs are no latencies: they are bounds, and stand apart."""

    OK = "ok"
    FAILED = "failed"
    TIMEOUT = "timeout"


_OUTCOMES_OF = {Who.OK: ("ok",), Who.FAILED: ("http_error", "check_failed"), Who.TIMEOUT: ("timeout",)}


@dataclass(frozen=True, slots=True)
class Population:
    """Chosen requests: started in [start_s, end_s), of one endpoint (index into Series.endpoints) or of all."""

    start_s: int
    end_s: int
    endpoint: int | None = None
    who: Who = Who.OK
    measure: Measure = Measure.SERVICE


@dataclass(frozen=True, slots=True)
class Distribution:
    """A population's latencies: how many, the quantiles, the extremes and the mean. All None or empty without any."""

    population: Population
    requests: int
    quantiles: tuple[Quantile, ...]
    min_ms: float | None
    max_ms: float | None
    mean_ms: float | None

    def at(self, p: float) -> Quantile | None:
        """Return the quantile `p`, or None when there are no requests."""
        return next((quantile for quantile in self.quantiles if quantile.q_ratio == p), None)


def distributions(
    folder: RunFolder, series: Series, populations: Sequence[Population], quantiles: Sequence[float] = QUANTILES
) -> list[Distribution]:
    """Return the exact latencies of each population, in its order; equal to numpy's on the same rows.

    The first pass counts bins, the second keeps the exact µs in the few bins that hold a wanted rank.
    """
    counts = np.zeros((len(populations), BINS), dtype=np.int64)
    sums = np.zeros(len(populations))
    extremes = np.tile(np.array([MAX_US, 0], dtype=np.int64), (len(populations), 1))  # fastest, slowest
    for at, us, bins in _members(folder, series, populations):
        counts[at] += np.bincount(bins, minlength=BINS)
        sums[at] += us.sum()
        extremes[at] = min(extremes[at, 0], us.min()), max(extremes[at, 1], us.max())
    wanted = [_ranks(int(row.sum()), quantiles) for row in counts]
    cumulated = np.cumsum(counts, axis=1)
    chosen = [np.unique(np.searchsorted(row, ranks)) for row, ranks in zip(cumulated, wanted, strict=True)]
    tallies = [Tally() for _ in populations]
    masks = np.zeros((len(populations), BINS), dtype=np.bool_)
    for mask, bins in zip(masks, chosen, strict=True):
        mask[bins[bins < BINS]] = True
    for at, us, bins in _members(folder, series, populations):
        tallies[at].add(us[masks[at][bins]])
    found = []
    for at, population in enumerate(populations):
        requests = int(cumulated[at, -1])
        exact = _values(wanted[at], cumulated[at], tallies[at])
        found.append(
            Distribution(
                population=population,
                requests=requests,
                quantiles=tuple(_quantile(p, requests, exact) for p in quantiles) if requests else (),
                min_ms=int(extremes[at, 0]) / 1000 if requests else None,
                max_ms=int(extremes[at, 1]) / 1000 if requests else None,
                mean_ms=float(sums[at]) / requests / 1000 if requests else None,
            )
        )
    return found


def _members(folder: RunFolder, series: Series, populations: Sequence[Population]) -> Iterator[tuple[int, Ints, Ints]]:
    """Yield, batch by batch, each population's number with the µs of its members (never empty) and their bins."""
    index = {(endpoint.name, endpoint.method): at for at, endpoint in enumerate(series.endpoints)}
    for batch in folder.row_batches(("start", "latency_us", "late_us", "name", "method", "outcome")):
        if not batch.num_rows:
            continue
        second = np.minimum(seconds_of(integers(batch.column("start"), 0), series.t0_ns), series.seconds - 1)
        service = np.maximum(integers(batch.column("latency_us"), 0), 0)
        response = service + np.maximum(integers(batch.column("late_us"), 0), 0)
        codes = np.array([OUTCOMES.index(name) for name in batch.column("outcome").dictionary.to_pylist()])
        outcome = codes[integers(batch.column("outcome").indices, 0)]
        name, method = batch.column("name"), batch.column("method")
        pairs = [
            index.get((one, other), len(index) - 1)
            for one in name.dictionary.to_pylist()
            for other in method.dictionary.to_pylist()
        ]
        place = integers(name.indices, 0) * len(method.dictionary) + integers(method.indices, 0)
        endpoint = np.array(pairs, dtype=np.int64)[place]
        measured = {Measure.SERVICE: (service, bin_of(service))}
        if series.open_loop:
            measured[Measure.RESPONSE] = (response, bin_of(response))
        for at, population in enumerate(populations):
            member = (second >= population.start_s) & (second < population.end_s) & _is(population.who, outcome)
            if population.endpoint is not None:
                member &= endpoint == population.endpoint
            if member.any():
                us, bins = measured.get(population.measure, measured[Measure.SERVICE])
                yield at, us[member], bins[member]


def _is(who: Who, outcome: Ints) -> Bools:
    return np.isin(outcome, [OUTCOMES.index(name) for name in _OUTCOMES_OF[who]])


def _ranks(requests: int, quantiles: Sequence[float]) -> Ints:
    """Return every rank (1 = the fastest) that the quantiles and their intervals need."""
    ranks: set[int] = set()
    if requests:
        for p in quantiles:
            at = (requests - 1) * p
            low, high = rank_interval(requests, p)
            ranks |= {math.floor(at) + 1, min(math.floor(at) + 2, requests), low, min(high or low, requests)}
    return np.array(sorted(ranks), dtype=np.int64)


def _values(ranks: Ints, cumulated: Ints, tally: Tally) -> dict[int, int]:
    """Return the latency in µs at each rank, from the exact values kept in the bins that hold them."""
    us, counts = tally.result()
    if not len(us):
        return {}
    within = np.cumsum(counts)
    bins = bin_of(us)
    values = {}
    for rank in ranks.tolist():
        its_bin = int(np.searchsorted(cumulated, rank))
        before_bin = int(cumulated[its_bin - 1]) if its_bin else 0
        first = int(np.searchsorted(bins, its_bin))
        skipped = int(within[first - 1]) if first else 0
        values[rank] = int(us[np.searchsorted(within, skipped + rank - before_bin)])
    return values


def _quantile(p: float, requests: int, exact: dict[int, int]) -> Quantile:
    """Return one quantile, linear between the two order statistics around (n − 1)·p: numpy's and pandas' default.

    Its 95 % interval is distribution-free (binomial ranks). It takes requests as independent, which neighbours in
    time are not: in a drifting run it is narrower than the truth. Without an upper end there are too few requests.
    """
    at = (requests - 1) * p
    below = math.floor(at)
    one, next_one = exact[below + 1], exact[min(below + 2, requests)]
    low, high = rank_interval(requests, p)
    return Quantile(
        q_ratio=p,
        value_ms=(one + (next_one - one) * (at - below)) / 1000,
        low_ms=exact[low] / 1000,
        high_ms=None if high is None else exact[high] / 1000,
        enough=high is not None,
    )
