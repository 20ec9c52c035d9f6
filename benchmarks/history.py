"""Count the true and false change points that lt finds in series of runs, and compare with Apache Otava.

    python -m benchmarks.history [--series N] [--otava PYTHON] [--write]

The series have 20 to 60 values with 3 % noise, and steps of ± 10 % between them; the seeds were not used for
development. A planted change counts as found if a change is marked within two runs of it. Otava (hunter) runs with its
defaults in the Python of a separate environment. The result does not depend on the machine's speed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.machine import keep, where
from reports.data.change_points import change_points

HELD_OUT = 730_000
NEAR = 2

Series = tuple[list[float], list[int]]
"""The values, and the positions of the planted steps."""

OTAVA = """
import json, sys
from otava.series import AnalysisOptions, Metric, Series
options = AnalysisOptions()
found = []
for values in json.load(sys.stdin):
    series = Series("x", None, list(range(len(values))), {"p95": Metric(1, 1.0)}, {"p95": values}, {})
    found.append([int(point.index) for point in series.analyze(options).change_points["p95"]])
print(json.dumps(found))
"""


def stepped(seed: int, *, outliers: float = 0.0) -> Series:
    """Return a series with one to three steps of ± 10 %, at least five runs apart."""
    rng = np.random.default_rng(seed)
    length = int(rng.integers(20, 61))
    count = int(rng.integers(1, 2 + length // 20))
    while True:
        places = np.sort(rng.choice(np.arange(5, length - 4), count, replace=False))
        if (np.diff(places) >= 5).all():
            break
    level = np.zeros(length)
    for at in places:
        level[at:] += np.log(1.10) * rng.choice([-1, 1])
    return _noisy(rng, level, outliers), [int(at) for at in places]


def stable(seed: int, *, outliers: float = 0.0) -> Series:
    """Return a series in which nothing changes."""
    rng = np.random.default_rng(seed)
    return _noisy(rng, np.zeros(int(rng.integers(20, 61))), outliers), []


def _noisy(rng: np.random.Generator, level: np.ndarray, outliers: float) -> list[float]:
    values = 50.0 * np.exp(level + rng.normal(0, 0.03, len(level)))
    values[rng.random(len(level)) < outliers] *= 1.4
    return [float(value) for value in values]


KINDS: dict[str, Callable[[int], Series]] = {
    "steps of ± 10 %": stepped,
    "no changes": stable,
    "steps, and one single run in 30 is 40 % slower": lambda seed: stepped(seed, outliers=1 / 30),
    "no changes except one slow run in 30": lambda seed: stable(seed, outliers=1 / 30),
}


def counted(found: Sequence[Sequence[int]], series: Sequence[Series]) -> str:
    """Compare the found changes with the planted ones, and return the cells of a line."""
    right = planted = marked = runs = 0
    for points, (values, places) in zip(found, series, strict=True):
        left = list(points)
        for place in places:
            near = [point for point in left if abs(point - place) <= NEAR]
            if near:
                left.remove(min(near, key=lambda point: abs(point - place)))
                right += 1
        planted, marked, runs = planted + len(places), marked + len(points), runs + len(values)
    f1 = f"{2 * right / (planted + marked):.3f}" if planted else "–"
    return f"{right}/{planted} | {marked - right} ({100 * (marked - right) / runs:.2f} in 100 runs) | {f1}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=400, help="number of series of each kind")
    parser.add_argument("--seed", type=int, default=HELD_OUT)
    parser.add_argument("--otava", help="path of a Python with apache-otava installed")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/history.md")
    given = parser.parse_args()
    lines = ["| series | by | found | false changes | F1 |", "|---|---|---|---|---|"]
    for number, (name, make) in enumerate(KINDS.items()):
        series = [make(given.seed + 10_000 * number + at) for at in range(given.series)]
        lines.append(f"| {name} | lt | {counted([change_points(values) for values, _ in series], series)} |")
        if given.otava:
            done = subprocess.run(
                [given.otava, "-c", OTAVA],
                input=json.dumps([values for values, _ in series]),
                capture_output=True,
                text=True,
                check=True,
            )
            lines.append(f"| | Apache Otava | {counted(json.loads(done.stdout), series)} |")
    intro = (
        f"`python -m benchmarks.history --series {given.series} --seed {given.seed}`\n\n{where('numpy')}\n\n"
        "Series of 20 to 60 runs with 3 % noise; a step counts as found if a change is marked within two runs of it."
    )
    text = "\n".join(["# Change points over recorded runs", "", intro, "", *lines])
    if given.write:
        keep("history", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
