"""Count what the spike, outage and cause rules find, miss and invent on simulated runs of every kind.

    python -m benchmarks.detection [--runs N] [--quiet N] [--failures] [--write]

The seeds are held out: no rule or constant was chosen by looking at them. Nothing is timed. Comparisons of runs are
counted by benchmarks/comparisons.py.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from benchmarks.machine import keep, where
from reports.analysis.analysis import Analysis, analyse
from reports.data.histogram import Bools
from reports.model import Spike
from tests.kinds import KINDS, Drawn, Happening, Seen, quiet, write
from tests.world import Trace

HELD_OUT = 50_000
NEAR_S = 15
FAST_PER_S = 5.0

CONDITIONS: dict[str, Seen] = {
    "headers, gauge, users": Seen(),
    "headers with ages alone, time in the handler": Seen(gauge=False, server="handler"),
    "gauge alone": Seen(headers=False, server="none"),
    "neither": Seen(headers=False, gauge=False, server="none"),
    "neither, users unknown": Seen(headers=False, gauge=False, users=False, server="none"),
}


@dataclass
class Score:
    """The findings under one condition. The fast are runs of at least 5 requests/s."""

    hours: float = 0.0
    spikes: int = 0
    found: int = 0
    fast: int = 0
    fast_found: int = 0
    invented: int = 0
    right: int = 0
    fair: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    outages: int = 0
    outages_found: int = 0
    ramps: int = 0
    ramps_right: int = 0
    by_kind: dict[str, list[int]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def merge(self, other: Score) -> None:
        """Add another score to this one."""
        for name in ("hours", "spikes", "found", "fast", "fast_found", "invented", "right", "fair", "outages",
                     "outages_found", "ramps", "ramps_right"):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.wrong += other.wrong
        self.said += other.said
        self.failures += other.failures
        for kind, counts in other.by_kind.items():
            mine = self.by_kind.setdefault(kind, [0, 0, 0, 0, 0])
            for at, count in enumerate(counts):
                mine[at] += count


def score(drawn: Drawn, trace: Trace, analysis: Analysis, seed: int) -> Score:
    """Return how one run's analysis compares with what happened in it."""
    result = Score(hours=drawn.world.seconds / 3600)
    left = list(analysis.spikes)
    fast = len(trace.start_s) / drawn.world.seconds >= FAST_PER_S
    all_right = True
    counts = result.by_kind.setdefault(drawn.kind, [0, 0, 0, 0, 0])
    for event in drawn.happenings:
        met = [spike for spike in analysis.spikes if _meets(spike.onset_s, spike.end_s, event)]
        hits = [spike for spike in met if _nearest(spike, drawn.happenings) is event] or met
        left = [spike for spike in left if spike not in hits]
        named_outage = any(_meets(outage.onset_s, outage.end_s, event) for outage in analysis.outages)
        if event.outage:
            result.outages += 1
            result.outages_found += named_outage
            if not named_outage:
                result.failures.append(f"outage missed: {drawn.kind} {seed}")
        if _material(trace, drawn, event):
            result.spikes, result.fast = result.spikes + 1, result.fast + fast
            counts[0] += 1
            if not hits:
                all_right = False
                result.failures.append(f"missed: {drawn.kind} {seed} {event.at_s:.0f}–{event.end_s:.0f}")
                continue
            result.found, result.fast_found = result.found + 1, result.fast_found + fast
            counts[1] += 1
        elif not hits:
            continue
        all_right &= _judge(result, drawn, event, hits, seed, counts)
    left = [spike for spike in left if not drawn.happenings or not _material(trace, drawn, _as_event(spike))]
    result.invented = len(left)
    counts[4] += len(left)
    for spike in left:
        result.failures.append(f"invented: {drawn.kind} {seed} {spike.onset_s}–{spike.end_s} {spike.cause}")
    if drawn.kind == "ramp from zero into saturation":
        result.ramps, result.ramps_right = 1, int(all_right and not left)
    return result


def _judge(result: Score, drawn: Drawn, event: Happening, hits: list[Spike], seed: int, counts: list[int]) -> bool:
    """Count whether the cause of the spike that begins nearest to the event is right."""
    best = min(hits, key=lambda spike: (round(abs(spike.onset_s - event.at_s) / 3), -spike.extra_waiting_request_s))
    named, sure = best.cause, best.confidence
    result.said[sure] += 1
    counts[2] += 1
    if named in event.right:
        result.right += 1
        counts[3] += 1
        return True
    if named in event.fair:
        result.fair += 1
        return False
    result.wrong[sure] += 1
    result.failures.append(f"wrong ({sure}): {drawn.kind} {seed} {event.at_s:.0f} called {named}")
    return False


def _nearest(spike: Spike, happenings: Sequence[Happening]) -> Happening | None:
    """Return the event that a spike belongs to: the overlapping event whose begin is nearest to its onset."""
    met = [event for event in happenings if _meets(spike.onset_s, spike.end_s, event)]
    return min(met, key=lambda event: abs(event.at_s - spike.onset_s), default=None)


def _as_event(spike: Spike) -> Happening:
    """Return a spike as an event. A queue that a run causes by itself, for example after a scale-in, is not a false
    alarm."""
    return Happening(spike.onset_s, spike.end_s, frozenset())


def _meets(onset_s: float, end_s: float, event: Happening) -> bool:
    return onset_s < event.end_s + NEAR_S and end_s > event.at_s - NEAR_S


def _material(trace: Trace, drawn: Drawn, event: Happening) -> bool:
    """Whether p95 rose to 1.6 × with ten slow requests, or to 5 × with four."""
    normal: Bools = np.ones(len(trace.start_s), dtype=np.bool_)
    for happening in drawn.happenings:
        normal &= (trace.start_s < happening.at_s - 5) | (trace.start_s > happening.end_s + NEAR_S)
    ok = trace.outcome == 0
    if (normal & ok).sum() < 50:
        return True
    level = float(np.percentile(trace.latency_s[normal & ok], 95))
    inside = ok & (trace.start_s >= event.at_s) & (trace.start_s < event.end_s)
    if not inside.any():
        return False
    high, slow = float(np.percentile(trace.latency_s[inside], 95)), int((trace.latency_s[inside] > 1.6 * level).sum())
    return (high >= 1.6 * level and slow >= 10) or (high >= 5 * level and slow >= 4)


def _one(work: tuple[int, int, Seen, str]) -> Score:
    kind, seed, seen, scratch = work
    draw = quiet if kind < 0 else KINDS[kind]
    drawn = draw(np.random.default_rng([seed, kind + 1]))
    path = Path(scratch) / f"{kind}-{seed}-{abs(hash(seen))}"
    folder, trace = write(path, drawn, seed, seen)
    found = score(drawn, trace, analyse(folder, folder.read_run()), seed)
    shutil.rmtree(path)
    return found


def detection(runs: int, still: int, seed: int, processes: int) -> Iterator[tuple[str, Score]]:
    """Yield each condition with its score over `runs` runs of every kind and `still` quiet ones."""
    with tempfile.TemporaryDirectory() as scratch, Pool(processes) as pool:
        for name, seen in CONDITIONS.items():
            work = [(kind, seed + at, seen, scratch) for kind in range(len(KINDS)) for at in range(runs)]
            work += [(-1, seed + at, seen, scratch) for at in range(still)]
            total = Score()
            for score in pool.imap_unordered(_one, work, chunksize=4):
                total.merge(score)
            yield name, total


def _share(part: int, whole: int) -> str:
    return f"{part}/{whole} ({part / whole:.1%})" if whole else "–"


def row(name: str, of: Score) -> str:
    """Return one condition as a line of the table."""
    judged = sum(of.said.values())
    wrong = " · ".join(f"{of.wrong[sure]}/{of.said[sure]}" for sure in ("high", "medium", "low"))
    return (
        f"| {name} | {of.hours:.0f} | {_share(of.found, of.spikes)} | {_share(of.fast_found, of.fast)} | "
        f"{of.invented} ({of.invented / of.hours:.3f}/h) | {_share(of.right, judged)} | {of.fair} | {wrong} | "
        f"{_share(of.outages_found, of.outages)} | {_share(of.ramps_right, of.ramps)} |"
    )


HEADS = (
    *("recorded", "hours", "material spikes found", "at ≥ 5 requests/s", "invented", "causes right"),
    *("acceptable", "wrong at high · medium · low", "outages named", "ramps from zero right"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=18, help="runs of every kind under each condition")
    parser.add_argument("--quiet", type=int, default=100, help="runs of 30 min in which nothing happens")
    parser.add_argument("--seed", type=int, default=HELD_OUT, help="of the first run")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--failures", action="store_true", help="list what was missed, invented or wrong")
    parser.add_argument("--first", action="store_true", help="only the first condition")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/detection.md")
    words = parser.parse_args()
    lines = [f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    kinds: list[str] = []
    for name, total in detection(words.runs, words.quiet, words.seed, words.processes):
        lines.append(row(name, total))
        print(lines[-1], file=sys.stderr)
        if words.failures:
            print("\n".join(sorted(total.failures)), file=sys.stderr)
        kinds = kinds or [
            f"| {kind} | {_share(found, there)} | {_share(right, judged)} | {invented} |"
            for kind, (there, found, judged, right, invented) in sorted(total.by_kind.items())
        ]
        if words.first:
            break
    lines += ["", f"By kind, with {next(iter(CONDITIONS))}:", ""]
    lines += ["| what happened | material spikes found | causes right | invented |", "|---|---|---|---|", *kinds]
    command = f"python -m benchmarks.detection --runs {words.runs} --quiet {words.quiet}"
    intro = (
        f"`{command}`\n\n{where('numpy', 'scipy', 'pyarrow')}\n\n"
        "Simulated request by request (tests/world.py, tests/kinds.py), so upper bounds for real runs. The seeds are "
        "held out from those the rules were made with. A spike is material when p95 rises to 1.6 × with ten slow "
        "requests, or to 5 × with four. A cause is acceptable where it claims less than is true. Without instance data "
        "saturation is named `saturation, scaling not known` and counts as not right."
    )
    text = "\n".join(["# Spikes, outages and causes", "", intro, "", *lines])
    if words.write:
        keep("detection", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
