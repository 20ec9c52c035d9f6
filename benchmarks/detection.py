"""Count what the spike and cause rules find, miss and invent on simulated runs, and what comparisons call.

    python -m benchmarks.detection [--runs N] [--pairs N] [--write]

The seeds are held out: no rule or constant was chosen by looking at them. Nothing is timed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.machine import keep, where
from loadtest.recording.folder import RunFolder
from reports.analysis.analysis import Analysis, analyse
from reports.analysis.comparison import Side, compare
from reports.model import Spike
from reports.spikes.causes import Confidence
from tests.simulator import Event, Story, random_story, simulate

HELD_OUT = 50_000
NEAR_S = 15

CONDITIONS: dict[str, dict[str, Any]] = {
    "headers, gauge, users": {},
    "headers without ages, no gauge": {"ages": False, "gauge": "none"},
    "gauge on time, no headers": {"headers": False},
    "gauge late, no headers": {"headers": False, "gauge": "late"},
    "neither": {"headers": False, "gauge": "none"},
    "neither, users unknown": {"headers": False, "gauge": "none", "load": False, "plan": False},
}


@dataclass
class Tally:
    """What was found under one condition. The fast are runs of at least 5 requests/s."""

    hours: float = 0.0
    spikes: int = 0
    found: int = 0
    fast: int = 0
    fast_found: int = 0
    invented: int = 0
    right: int = 0
    wrong: int = 0
    wrong_but_sure: int = 0
    onset_off_s: list[int] = field(default_factory=list)
    matrix: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, story: Story, told: Analysis) -> None:
        self.hours += story.seconds / 3600
        left = list(told.spikes)
        for event in story.events:
            hits = [one for one in left if _meets(one, event)]
            fast = story.users >= 5
            self.spikes, self.fast = self.spikes + 1, self.fast + fast
            if not hits:
                continue
            self.found, self.fast_found = self.found + 1, self.fast_found + fast
            left = [one for one in left if one not in hits]
            worst = max(hits, key=lambda one: one.extra_waiting_request_s)
            self.onset_off_s.append(abs(worst.onset_s - event.at_s))
            named = worst.cause
            self.matrix[event.kind.value, named] += 1
            right = named == event.kind.value
            self.right, self.wrong = self.right + right, self.wrong + (not right)
            self.wrong_but_sure += not right and worst.confidence != Confidence.LOW
        self.invented += len(left)

    def row(self, name: str) -> str:
        off = sorted(self.onset_off_s) or [0]
        return (
            f"| {name} | {self.hours:.0f} | {_share(self.found, self.spikes)} | {_share(self.fast_found, self.fast)} | "
            f"{self.invented} ({self.invented / self.hours:.3f}/h) | {_share(self.right, self.found)} | "
            f"{self.wrong_but_sure} | {off[len(off) // 2]} s, {off[len(off) * 9 // 10]} s |"
        )


def _share(part: int, whole: int) -> str:
    return f"{part}/{whole} ({part / whole:.1%})" if whole else "–"


def _meets(one: Spike, event: Event) -> bool:
    begin, end = event.at_s - NEAR_S, event.at_s + event.length_s + NEAR_S
    return one.onset_s < end and one.end_s > begin


def told(folder: RunFolder) -> Analysis:
    return analyse(folder, folder.read_run())


def detection(runs: int, scratch: Path) -> list[str]:
    """Return the tables of spikes and causes over `runs` runs of 30 min under each condition."""
    heads = (
        *("recorded", "hours", "spikes found", "at ≥ 5 requests/s", "invented"),
        *("causes right, of the found", "wrong and not of low confidence", "onset off, median and p90"),
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    matrix: Counter[tuple[str, str]] = Counter()
    for number, (name, changes) in enumerate(CONDITIONS.items()):
        tally = Tally()
        for at in range(runs):
            seed = HELD_OUT + number * 1000 + at
            story = random_story(seed, **changes)
            tally.add(story, told(simulate(scratch / f"run{seed}", story, seed)))
        matrix = tally.matrix if not number else matrix
        lines.append(tally.row(name))
        print(lines[-1], file=sys.stderr)
    lines += ["", "With headers, gauge and users: what happened, and what it was called.", ""]
    lines += ["| happened | called | times |", "|---|---|---|"]
    lines += [f"| {kind} | {named} | {count} |" for (kind, named), count in sorted(matrix.items())]
    return lines


def comparisons(pairs: int, scratch: Path) -> list[str]:
    """Return the table of verdicts on p95 of 10-min runs against the truth."""
    lines = [
        "| truth | slower | faster | equivalent | inconclusive | interval holds the truth |",
        "|---|---|---|---|---|---|",
    ]
    base = Story(seconds=600, users=40, drift=0.10, gauge="none")
    for number, shift in enumerate((1.0, 1.1, 1.2)):
        verdicts: Counter[str] = Counter()
        covered = 0
        for at in range(pairs):
            seed = HELD_OUT + 20_000 + number * 1000 + 2 * at
            a = told(simulate(scratch / f"a{seed}", base, seed))
            b = told(simulate(scratch / f"b{seed}", replace(base, shift=shift), seed + 1))
            line = next(
                one
                for one in compare(Side("a", {"a": a}), Side("b", {"b": b})).lines
                if (one.scope, one.statistic) == ("all", "p95")
            )
            verdicts[line.verdict.value] += 1
            covered += (line.low_ratio or 0) <= shift - 1 <= (line.high_ratio or 0)
        each = " | ".join(f"{verdicts[name]}/{pairs}" for name in ("slower", "faster", "equivalent", "inconclusive"))
        lines.append(f"| {shift - 1:+.0%} | {each} | {_share(covered, pairs)} |")
        print(lines[-1], file=sys.stderr)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=60, help="30-min runs under each condition")
    parser.add_argument("--pairs", type=int, default=60, help="pairs of 10-min runs for each truth")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/detection.md")
    words = parser.parse_args()
    command = f"python -m benchmarks.detection --runs {words.runs} --pairs {words.pairs}"
    with tempfile.TemporaryDirectory() as scratch:
        found = detection(words.runs, Path(scratch))
        called = comparisons(words.pairs, Path(scratch))
    intro = (
        f"`{command}`\n\n{where('numpy', 'scipy', 'pyarrow')}\n\n"
        "Simulated latencies (tests/simulator.py), so upper bounds for real ones. The seeds are held out from those "
        "the rules were made with. Without instance data only errors, the generator, and `unexplained` can be told; "
        "saturation is then named `saturation, scaling not known` and counts as not right."
    )
    pairs = "Two runs of 10 min at 40 requests/s with a drift of 10 %: p95 of the whole run, against ± 5 %."
    text = "\n".join(["# Spikes, causes and comparisons", "", intro, "", *found, "", pairs, "", *called])
    if words.write:
        keep("detection", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
