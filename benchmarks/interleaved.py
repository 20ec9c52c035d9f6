"""Count the verdicts of `lt ab` on simulated runs, how often its intervals contain the truth, and when it stops.

    python -m benchmarks.interleaved [--runs N] [--until-runs N] [--write]

The runs last 10 min with 40 requests/s per side; both sides share a drift of 10 %. The seeds were not used for
development. The result does not depend on the machine's speed.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool

import numpy as np
import numpy.typing as npt

from benchmarks.machine import keep, where
from loadtest.core.margins import parse_margin
from reports.analysis.paired import GrowingCounts, estimates
from reports.analysis.until_decided import UntilDecided
from reports.data.histogram import bin_of
from reports.data.rules import MARGIN

HELD_OUT = 1_310_000
SECONDS, PER_S = 600, 40.0


@dataclass(frozen=True)
class Case:
    """A kind of runs.

    Attributes:
        drift_s: correlation time of the shared drift of 10 %.
        shift: latency of the second side ÷ latency of the first.
        own: size of a drift that each side has alone.
        own_s: correlation time of a side's own drift.
        stalls_per_h: stalls of both sides per hour.
        bimodal: share of the requests that take 6 × as long.
    """

    name: str
    drift_s: float
    shift: float
    own: float = 0.0
    own_s: float = 20.0
    stalls_per_h: float = 0.0
    bimodal: float = 0.0


CASES = [
    *(Case(f"drift over {lasts} s", lasts, shift) for lasts in (20, 120, 300) for shift in (1.0, 1.1)),
    *(
        Case(f"drift over 120 s; each side has its own, 2 % over {lasts} s", 120, shift, own=0.02, own_s=lasts)
        for lasts in (20, 120, 300)
        for shift in (1.0, 1.1)
    ),
    Case("drift over 120 s; both sides stall 12 times an hour", 120, 1.0, stalls_per_h=12.0),
    *(Case("drift over 120 s; a fifth of requests 6 × as long", 120, s, bimodal=0.2) for s in (1.0, 1.1)),
]

Floats = npt.NDArray[np.float64]


def drift(rng: np.random.Generator, size: float, lasts_s: float) -> Floats:
    """Return an Ornstein–Uhlenbeck drift of log latency, by second."""
    rho = math.exp(-1 / lasts_s)
    noise, now = rng.normal(0, size * math.sqrt(1 - rho**2), SECONDS), rng.normal(0, size)
    level = np.empty(SECONDS)
    for at in range(SECONDS):
        now = rho * now + noise[at]
        level[at] = now
    return level


@dataclass(frozen=True)
class Simulated:
    """One side: the start (s) and the latency (µs) of its requests, and its own drift of log latency in each second."""

    start_s: Floats
    latency_us: npt.NDArray[np.int64]
    own: Floats


def requests(case: Case, seed: int) -> list[Simulated]:
    """Return both sides of a run."""
    rng = np.random.default_rng(seed)
    shared = drift(rng, 0.10, case.drift_s)
    stalls = [(at, rng.uniform(2, 8)) for at in rng.random(rng.poisson(case.stalls_per_h * SECONDS / 3600)) * SECONDS]
    sides = []
    for shift in (1.0, case.shift):
        own = drift(rng, case.own, case.own_s) if case.own else np.zeros(SECONDS)
        level = shared + own
        start_s = np.sort(rng.random(rng.poisson(PER_S * SECONDS)) * SECONDS)
        latency = 80_000 * shift * np.exp(level[start_s.astype(int)] + rng.normal(0, 0.3, len(start_s)))
        latency[rng.random(len(start_s)) < 0.004] *= 10
        if case.bimodal:
            latency[rng.random(len(start_s)) < case.bimodal] *= 6
        for at, length_s in stalls:
            inside = (start_s >= at) & (start_s < at + length_s)
            latency[inside] += (at + length_s - start_s[inside]) * 1e6
        sides.append(Simulated(start_s, latency.astype(np.int64), own))
    return sides


def shown(case: Case, sides: list[Simulated], window: slice) -> float:
    """Return the run's difference in a window (as a logarithm).

    This is the lasting difference, plus the difference between the means of the two sides' own drift.
    """
    return math.log(case.shift) + float(sides[1].own[window].mean() - sides[0].own[window].mean())


def one_run(case: Case, seed: int) -> list[tuple[str, str, bool, bool]]:
    """Return each statistic's verdict, and whether its interval contains the lasting and the run's difference."""
    counts = GrowingCounts()
    sides = requests(case, seed)
    for number, side in enumerate(sides):
        counts.add(number, side.start_s.astype(np.int64), bin_of(side.latency_us))
    a, b = counts.window(0, SECONDS)
    found = []
    for estimate in estimates(a, b, length_s=SECONDS, statistics=("p50", "p95", "p99", "mean", "throughput")):
        if estimate.lacking:
            found.append((estimate.statistic, "none", True, True))
            continue
        low, high = estimate.interval(SECONDS, always_valid=False)
        truth = 0.0 if estimate.statistic == "throughput" else math.log(case.shift)
        ratio = math.log1p(MARGIN), math.log1p(-MARGIN)
        verdict = "slower" if low > ratio[0] else "faster" if high < ratio[1] else "not called"
        in_run = shown(case, sides, slice(0, SECONDS))
        found.append((estimate.statistic, verdict, low <= truth <= high, low <= in_run <= high))
    return found


def until_decided(case: Case, seed: int) -> tuple[str, float, bool, bool]:
    """Return the decision that ends the run, its time, and whether any interval until then missed the lasting
    difference, or the run's difference so far."""
    rule = UntilDecided([parse_margin("p95=5%")], begin_s=0)
    sides = requests(case, seed)
    outside = beside = False
    read_s = 0
    for now_s in range(1, SECONDS + 1):
        for number, side in enumerate(sides, 1):
            inside = (side.start_s >= read_s) & (side.start_s < now_s)
            rule.add(np.full(int(inside.sum()), number, np.uint8), side.start_s[inside], side.latency_us[inside])
        read_s = now_s
        look = rule.look(float(now_s))
        if look is None or look.intervals[0] is None:
            continue
        low, high = look.intervals[0]
        outside |= not low <= math.log(case.shift) <= high
        beside |= not low <= shown(case, sides, slice(look.begin_s, look.end_s)) <= high
        if look.decided:
            return ("slower" if look.slower[0] else "not slower"), float(now_s), outside, beside
    return "undecided", float(SECONDS), outside, beside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200, help="runs for each line")
    parser.add_argument("--until-runs", type=int, default=100, help="runs with --until-decided for each line")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/interleaved.md")
    words = parser.parse_args()
    with Pool(words.processes) as pool:
        once = _once(pool, words.runs) if words.runs else []
        growing = _growing(pool, words.until_runs) if words.until_runs else []
    intro = (
        f"`python -m benchmarks.interleaved --runs {words.runs} --until-runs "
        f"{words.until_runs}`\n\n{where('numpy', 'scipy')}\n\nSimulated latencies of both sides of runs of {SECONDS} s "
        f"at {PER_S:g} requests/s per side. Both sides share a drift of 10 %, correlated over the time in the first "
        "column. A difference is detected if the 95 % interval lies beyond ± 5 %. The truth is the lasting difference. "
        "The run's difference is the lasting one plus the difference between the means of the two sides' own drift."
    )
    stop = (
        "`--until-decided` on p95 with a margin of 5 %, evaluated each time the run is 4 % longer (at most 10 min). "
        "The run counts as a false alarm if an interval did not contain the truth before the end. The next column "
        "counts the runs in which an interval did not contain the run's difference so far. A decision is wrong if it "
        "contradicts the truth (at +0 %: slower; at +10 %: not slower)."
    )
    text = "\n".join(["# Two targets in one run", "", intro, "", *once, *(["", stop, "", *growing] if growing else [])])
    if words.write:
        keep("interleaved", text)
    else:
        print(text)


def _once(pool: object, runs: int) -> list[str]:
    names = ("p50", "p95", "p99", "mean", "throughput")
    lines = [
        "| runs | truth | p95 detected | any of five detected | "
        + " | ".join(f"{name} contains the truth" for name in names)
        + " | p95 contains the run's difference |",
        "|---" * 10 + "|",
    ]
    for number, case in enumerate(CASES):
        found = pool.map(partial(one_run, case), range(HELD_OUT + 1000 * number, HELD_OUT + 1000 * number + runs))  # type: ignore[attr-defined]
        called = sum(verdict in ("slower", "faster") for run in found for name, verdict, *_ in run if name == "p95")
        any_called = sum(any(verdict in ("slower", "faster") for _, verdict, *_ in run) for run in found)
        held = [sum(holds for run in found for name, _, holds, _ in run if name == wanted) / runs for wanted in names]
        held.append(sum(holds for run in found for name, *_, holds in run if name == "p95") / runs)
        lines.append(
            f"| {case.name} | {case.shift - 1:+.0%} | {called}/{runs} | {any_called}/{runs} | "
            + " | ".join(f"{item:.1%}" for item in held)
            + " |"
        )
        print(lines[-1], file=sys.stderr)
    return lines


def _growing(pool: object, runs: int) -> list[str]:
    heads = (
        "| runs | truth | slower | not slower | undecided | false alarms | run's difference not contained | wrong | "
        "ended after, median | 90 % |"
    )
    lines = [heads, "|---" * 10 + "|"]
    for number, case in enumerate(CASES[:12]):
        seeds = range(HELD_OUT + 50_000 + 1000 * number, HELD_OUT + 50_000 + 1000 * number + runs)
        found = pool.map(partial(until_decided, case), seeds)  # type: ignore[attr-defined]
        ends = [kind for kind, *_ in found]
        at_s = sorted(end for _, end, *_ in found)
        wrong = ends.count("slower" if case.shift == 1.0 else "not slower")
        lines.append(
            f"| {case.name} | {case.shift - 1:+.0%} | {ends.count('slower')} | {ends.count('not slower')} | "
            f"{ends.count('undecided')} | {sum(left for *_, left, _ in found)}/{runs} | "
            f"{sum(left for *_, left in found)}/{runs} | {wrong}/{runs} | "
            f"{at_s[runs // 2]:.0f} s | {at_s[int(runs * 0.9)]:.0f} s |"
        )
        print(lines[-1], file=sys.stderr)
    return lines


if __name__ == "__main__":
    main()
