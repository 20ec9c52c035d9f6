"""Compare simulated runs under drift of different lengths: count the verdicts, and how often intervals contain the
truth.

    python -m benchmarks.comparisons [--pairs N] [--write]

Two sides of runs of 10 min at 40 requests/s. The seeds were not used to develop the rules. The result does not depend
on the machine's speed.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from multiprocessing import Pool
from pathlib import Path

from benchmarks.machine import keep, where
from reports.analysis.analysis import Analysis, analyse
from reports.analysis.comparison import Side, Verdict, compare
from tests.simulator import Story, simulate

HELD_OUT = 170_000
BASE = Story(seconds=600, users=40, drift=0.10, gauge="none")


@dataclass(frozen=True)
class Case:
    """A kind of runs, the number per side, the true difference, and the percentile that is compared."""

    name: str
    story: Story
    runs: int = 1
    shift: float = 1.0
    statistic: str = "p95"


CASES = [
    *(
        Case(f"drift over {lasts} s", replace(BASE, drift_s=lasts), runs, shift)
        for lasts in (20, 120, 300)
        for runs in (1, 3)
        for shift in (1.0, 1.1, 1.2, 1.5)
    ),
    Case("drift over 5 s", replace(BASE, drift_s=5.0)),
    Case("drift over 5 s", replace(BASE, drift_s=5.0), shift=1.1),
    Case("stalls of 2–8 s, 12 an hour", replace(BASE, stalls_per_h=12.0), statistic="p99"),
    Case("runs differ by 5 %", replace(BASE, differs=0.05), 3),
    Case("runs differ by 5 %", replace(BASE, differs=0.05), 3, 1.2),
]


def _one(work: tuple[Case, int, str]) -> tuple[str, bool, float]:
    """Return the verdict on one pair, whether the interval contains the true difference (or there is no interval), and
    the half-width."""
    case, seed, scratch = work
    sides = []
    for side in (0, 1):
        runs: dict[str, Analysis] = {}
        for at in range(case.runs):
            path = Path(scratch) / f"{seed}-{side}-{at}"
            story = replace(case.story, shift=case.shift if side else 1.0)
            folder = simulate(path, story, seed * 10 + side * 5 + at)
            runs[path.name] = analyse(folder, folder.read_run())
        sides.append(Side("ab"[side], runs))
    lines = compare(*sides).lines
    line = next(line for line in lines if (line.scope, line.statistic) == ("all", case.statistic))
    for folder_path in (run.folder.path for side in sides for run in side.runs.values()):
        shutil.rmtree(folder_path)
    if line.low_ratio is None or line.high_ratio is None:
        return line.verdict, True, float("nan")
    holds = line.low_ratio <= case.shift - 1 <= line.high_ratio
    return line.verdict, holds, (line.high_ratio - line.low_ratio) / 2


def comparisons(pairs: int, processes: int, only: str) -> list[str]:
    """Return the table of verdicts and true differences, for the cases that have `only` in their name."""
    heads = (
        *("runs", "per side", "truth", "of", "slower", "faster", "equivalent", "inconclusive"),
        *("interval contains the truth", "median half-width"),
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    with tempfile.TemporaryDirectory() as scratch, Pool(processes) as pool:
        for number, case in enumerate(CASES):
            if only not in case.name:
                continue
            found = pool.map(_one, [(case, HELD_OUT + 1000 * number + at, scratch) for at in range(pairs)])
            verdicts = Counter(verdict for verdict, _, _ in found)
            widths = sorted(width for _, _, width in found if not math.isnan(width))
            each = " | ".join(f"{verdicts[verdict.value]}/{pairs}" for verdict in Verdict)
            half = f"{widths[len(widths) // 2]:.1%}" if widths else "–"
            lines.append(
                f"| {case.name} | {case.runs} | {case.shift - 1:+.0%} | {case.statistic} | {each} | "
                f"{sum(holds for _, holds, _ in found) / pairs:.1%} | {half} |"
            )
            print(lines[-1], file=sys.stderr)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=60, help="pairs of sides for each line")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="", metavar="NAME", help="cases with this in their name")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/comparisons.md")
    words = parser.parse_args()
    table = comparisons(words.pairs, words.processes, words.only)
    intro = (
        f"`python -m benchmarks.comparisons --pairs {words.pairs}`\n\n"
        f"{where('numpy', 'scipy', 'pyarrow')}\n\nSimulated latencies (tests/simulator.py) of 10-min "
        "runs at 40 requests/s with a drift of 10 %, correlated over the time in the first column; verdicts on one "
        "percentile of the whole run, against ± 5 %. Without an interval (a percentile that depends on a few stalls) "
        "the verdict is inconclusive."
    )
    text = "\n".join(["# Comparisons", "", intro, "", *table])
    if words.write:
        keep("comparisons", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
