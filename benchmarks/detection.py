"""Count the true and false findings of the rules for spikes, outages, causes, capacity and slow first requests.

The rules are applied to simulated runs of every kind.

    python -m benchmarks.detection [--runs N] [--quiet N] [--failures] [--write]

No rule or constant was chosen with these seeds. The result does not depend on the machine's speed.
benchmarks/comparisons.py does the same for comparisons of runs.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from benchmarks.machine import keep, where
from reports.analysis.analysis import Analysis, analyse
from reports.data.histogram import Bools
from reports.model import Capacity, Spike
from tests import ceilings, lazy
from tests.expected import NEAR_S, Expected, rises
from tests.kinds import KINDS, Drawn, Happening, Seen, quiet, write
from tests.world import Trace, run_world

HELD_OUT = 1_210_000
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
    """The findings under one condition. `fast` counts runs of at least 5 requests/s."""

    hours: float = 0.0
    spikes: int = 0
    found: int = 0
    fast: int = 0
    fast_found: int = 0
    invented: int = 0
    quiet_hours: float = 0.0
    quiet_invented: int = 0
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
        for name in ("hours", "spikes", "found", "fast", "fast_found", "invented", "quiet_hours", "quiet_invented",
                     "right", "fair", "outages", "outages_found", "ramps", "ramps_right"):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.wrong += other.wrong
        self.said += other.said
        self.failures += other.failures
        for kind, counts in other.by_kind.items():
            mine = self.by_kind.setdefault(kind, [0, 0, 0, 0, 0])
            for at, count in enumerate(counts):
                mine[at] += count


def score(drawn: Drawn, trace: Trace, analysis: Analysis, seed: int, expected: Expected | None = None) -> Score:
    """Compare the analysis of one run with the simulated events, and return the score."""
    result = Score(hours=drawn.world.seconds / 3600)
    left = list(analysis.spikes)
    fast = len(trace.start_s) / drawn.world.seconds >= FAST_PER_S
    all_right = True
    counts = result.by_kind.setdefault(drawn.kind, [0, 0, 0, 0, 0])
    for event in drawn.happenings:
        met = [spike for spike in analysis.spikes if _meets(spike.onset_s, spike.end_s, event)]
        material = _material(trace, drawn, event)
        own = [spike for spike in met if _nearest(spike, drawn.happenings) is event]
        hits = own or (met if material else [])  # load that the service handled explains no other spike
        left = [spike for spike in left if spike not in hits]
        named_outage = any(_meets(outage.onset_s, outage.end_s, event) for outage in analysis.outages)
        if event.outage:
            result.outages += 1
            result.outages_found += named_outage
            if not named_outage:
                result.failures.append(f"outage missed: {drawn.kind} {seed}")
        if material:
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
    if left and drawn.happenings:
        expected = expected or Expected(drawn, seed)
        left = [spike for spike in left if not expected.material(spike.onset_s, spike.end_s)]
    result.invented = len(left)
    counts[4] += len(left)
    if not drawn.happenings:
        result.quiet_hours, result.quiet_invented = result.hours, len(left)
    for spike in left:
        result.failures.append(f"invented: {drawn.kind} {seed} {spike.onset_s}–{spike.end_s} {spike.cause}")
    if drawn.kind == "ramp from zero into saturation":
        result.ramps, result.ramps_right = 1, int(all_right and not left)
    return result


def _judge(result: Score, drawn: Drawn, event: Happening, hits: list[Spike], seed: int, counts: list[int]) -> bool:
    """Count whether the cause is right for the spike that begins nearest to the event."""
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
    """Return the event that a spike belongs to: of the overlapping events, the one that begins nearest to its onset."""
    met = [event for event in happenings if _meets(spike.onset_s, spike.end_s, event)]
    return min(met, key=lambda event: abs(event.at_s - spike.onset_s), default=None)


def _meets(onset_s: float, end_s: float, event: Happening) -> bool:
    return onset_s < event.end_s + NEAR_S and end_s > event.at_s - NEAR_S


def _material(trace: Trace, drawn: Drawn, event: Happening) -> bool:
    """Whether p95 rose to 1.6 × normal with ten slow requests, or to 5 × normal with four."""
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
    return rises(trace.latency_s[inside], level)


def _one(work: tuple[int, int, Sequence[str], str]) -> dict[str, Score]:
    """Simulate one run and return its score under each condition."""
    kind, seed, conditions, scratch = work
    draw = quiet if kind < 0 else KINDS[kind]
    drawn = draw(np.random.default_rng([seed, kind + 1]))
    trace, found = run_world(drawn.world, seed), {}
    expected = Expected(drawn, seed)
    for at, name in enumerate(conditions):
        path = Path(scratch) / f"{kind}-{seed}-{at}"
        folder, _ = write(path, drawn, seed, CONDITIONS[name], trace)
        found[name] = score(drawn, trace, analyse(folder, folder.read_run()), seed, expected)
        shutil.rmtree(path)
    return found


def detection(runs: int, still: int, seed: int, processes: int, conditions: Sequence[str]) -> dict[str, Score]:
    """Return each condition's score over `runs` runs of every kind and `still` runs in which nothing happens."""
    totals = {name: Score() for name in conditions}
    with tempfile.TemporaryDirectory() as scratch, Pool(processes) as pool:
        work = [(kind, seed + at, conditions, scratch) for kind in range(len(KINDS)) for at in range(runs)]
        work += [(-1, seed + at, conditions, scratch) for at in range(still)]
        for scores in pool.imap_unordered(_one, work, chunksize=4):
            for name, found in scores.items():
                totals[name].merge(found)
    return totals


@dataclass
class Reached:
    """The results for capacity: numbers of runs, correct results, runs at capacity and false falls, and the knees."""

    runs: int = 0
    right: int = 0
    invented: int = 0
    reached: int = 0
    most_near: int = 0
    knees: int = 0
    knees_near: int = 0
    falls: int = 0
    failures: list[str] = field(default_factory=list)


def _reached(work: tuple[int, str]) -> tuple[ceilings.Ceiling, Capacity]:
    seed, scratch = work
    drawn = ceilings.draw(np.random.default_rng([seed, 77]))
    path = Path(scratch) / f"capacity-{seed}"
    folder, _ = write(path, drawn.drawn, seed, drawn.seen)
    told = analyse(folder, folder.read_run()).capacity
    shutil.rmtree(path)
    return drawn, told


def capacities(runs: int, seed: int, processes: int) -> dict[str, Reached]:
    """Return the results for the capacity of `runs` services, by kind of load."""
    found: dict[str, Reached] = {}
    with tempfile.TemporaryDirectory() as scratch, Pool(processes) as pool:
        work = [(seed + at, scratch) for at in range(runs)]
        for at, (truth, told) in enumerate(pool.imap(_reached, work, chunksize=4)):
            serving = 1 if told.per_instance else truth.instances
            name = f"{truth.drawn.kind.partition(', ')[0]} {seed + at}"
            kind = truth.drawn.kind if truth.drawn.kind.endswith("start") else truth.drawn.kind.partition(", ")[0]
            of = found.setdefault(kind, Reached())
            of.runs += 1
            of.right += truth.reached == told.reached
            of.invented += told.reached and not truth.reached
            of.falls += "falls again" in told.text
            if truth.reached != told.reached:
                of.failures.append(f"reached {truth.reached}, told {told.reached}: {name}")
            if not (truth.reached and told.reached):
                continue
            of.reached += 1
            of.most_near += abs((told.throughput_max_per_s or 0) / (truth.per_instance_per_s * serving) - 1) <= 0.1
            if told.in_flight_at_knee is not None:
                ratio = told.in_flight_at_knee / (truth.in_flight * serving)
                of.knees, of.knees_near = of.knees + 1, of.knees_near + (abs(ratio - 1) <= 0.1)
                if abs(ratio - 1) > 0.1:
                    of.failures.append(f"knee × {ratio:.2f}: {name}")
    return found


def _firsts(work: tuple[int, str]) -> tuple[str, int, int, int]:
    """Return the kind of a run and three numbers of slow first requests: the true number outside spikes, the counted
    number, and the true number inside spikes."""
    seed, scratch = work
    drawn = lazy.draw(np.random.default_rng([seed, 78]))
    path = Path(scratch) / f"lazy-{seed}"
    folder, trace = write(path, drawn, seed, Seen())
    analysis = analyse(folder, folder.read_run())
    shutil.rmtree(path)
    inside: Bools = np.zeros(len(trace.start_s), dtype=np.bool_)
    for spike in analysis.spikes:
        inside |= (trace.start_s >= spike.onset_s - 1) & (trace.start_s <= spike.end_s)
    slow = trace.first & (trace.outcome == 0)
    told = analysis.slow_first.requests if analysis.slow_first else 0
    return drawn.kind, int((slow & ~inside).sum()), told, int((slow & inside).sum())


def first_requests(runs: int, seed: int, processes: int) -> list[tuple[str, int, int, int]]:
    """Return the results of `_firsts` for `runs` runs."""
    with tempfile.TemporaryDirectory() as scratch, Pool(processes) as pool:
        return pool.map(_firsts, [(seed + at, scratch) for at in range(runs)], chunksize=4)


def _share(part: int, whole: int) -> str:
    return f"{part}/{whole} ({part / whole:.1%})" if whole else "–"


def row(name: str, of: Score) -> str:
    """Return one condition as a line of the table."""
    judged = sum(of.said.values())
    wrong = " · ".join(f"{of.wrong[sure]}/{of.said[sure]}" for sure in ("high", "medium", "low"))
    return (
        f"| {name} | {of.hours:.0f} | {_share(of.found, of.spikes)} | {_share(of.fast_found, of.fast)} | "
        f"{of.invented} ({of.invented / of.hours:.3f}/h) | {of.quiet_invented} of {of.quiet_hours:.0f} h | "
        f"{_share(of.right, judged)} | {of.fair} | {wrong} | "
        f"{_share(of.outages_found, of.outages)} | {_share(of.ramps_right, of.ramps)} |"
    )


def capacity_lines(runs: int, seed: int, processes: int, *, failures: bool) -> list[str]:
    """Return the table of capacity."""
    found = capacities(runs, seed, processes)
    total = Reached()
    for of in found.values():
        for name in ("runs", "right", "invented", "reached", "most_near", "knees", "knees_near", "falls"):
            setattr(total, name, getattr(total, name) + getattr(of, name))
        if failures:
            print("\n".join(of.failures), file=sys.stderr)
    heads = ("load", "reached or not: correct", "false", "throughput within 10 %", "knee given", "within 10 %")
    lines = ["", "Capacity:", "", f"| {' | '.join(heads)} | false `falls again` |", "|---" * (len(heads) + 1) + "|"]
    for kind, of in [*sorted(found.items()), ("all", total)]:
        knees = f"{_share(of.knees, of.reached)} | {_share(of.knees_near, of.knees)}"
        lines.append(
            f"| {kind} | {_share(of.right, of.runs)} | {of.invented} | {_share(of.most_near, of.reached)} | "
            f"{knees} | {of.falls} |"
        )
    return lines


def first_lines(runs: int, seed: int, processes: int) -> list[str]:
    """Return the table of slow first requests."""
    found = first_requests(runs, seed, processes)
    heads = (
        "runs",
        "slow first requests outside spikes",
        "counted",
        "runs that are wrong by more than 2 % and 10 %",
        "in spikes",
    )
    lines = ["", "Slow first requests:", "", f"| instances | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for kind in sorted({kind for kind, *_ in found}):
        of = [counts for name, *counts in found if name == kind]
        off = sum(abs(true - told) > max(2, 0.1 * true) for true, told, _ in of)
        true, told, inside = (sum(column) for column in zip(*of, strict=True))
        lines.append(f"| {kind} | {len(of)} | {true} | {told} | {off} | {inside} |")
    return lines


HEADS = (
    *("recorded", "hours", "material spikes found", "at ≥ 5 requests/s", "false spikes", "in quiet runs"),
    *("causes right", "acceptable", "wrong at high · medium · low", "outages named", "ramps from zero right"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=18, help="runs of every kind under each condition")
    parser.add_argument("--quiet", type=int, default=100, help="runs of 30 min in which nothing happens")
    parser.add_argument("--seed", type=int, default=HELD_OUT, help="seed of the first run")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--failures", action="store_true", help="list missed, false and wrong findings")
    parser.add_argument("--first", action="store_true", help="only the first condition")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/detection.md")
    words = parser.parse_args()
    lines = [f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    kinds: list[str] = []
    conditions = list(CONDITIONS)[:1] if words.first else list(CONDITIONS)
    for name, total in detection(words.runs, words.quiet, words.seed, words.processes, conditions).items():
        lines.append(row(name, total))
        print(lines[-1], file=sys.stderr)
        if words.failures:
            print("\n".join(sorted(total.failures)), file=sys.stderr)
        kinds = kinds or [
            f"| {kind} | {_share(found, there)} | {_share(right, judged)} | {invented} |"
            for kind, (there, found, judged, right, invented) in sorted(total.by_kind.items())
        ]
    lines += capacity_lines(12 * words.runs, words.seed, words.processes, failures=words.failures)
    lines += first_lines(6 * words.runs, words.seed, words.processes)
    lines += ["", f"By kind, with {next(iter(CONDITIONS))}:", ""]
    lines += ["| event | material spikes found | causes right | false spikes |", "|---|---|---|---|", *kinds]
    command = f"python -m benchmarks.detection --runs {words.runs} --quiet {words.quiet}"
    intro = (
        f"`{command}`\n\n{where('numpy', 'scipy', 'pyarrow')}\n\nThe runs are simulated request by request "
        "(tests/world.py, tests/kinds.py), so the results are upper bounds for real runs. The rules were not "
        "developed with these seeds. A spike is material if p95 rises to 1.6 × with ten slow requests, or to 5 × with "
        "four. A spike outside the events is false unless such a rise recurs when the run is repeated with other "
        "service times (tests/expected.py). A cause is acceptable if it claims less than the truth. Without instance "
        "data saturation is called "
        "`saturation, scaling not known`, which does not count as right. The runs for capacity come from "
        "tests/ceilings.py; no knee is given if too few requests were sent at light load. The runs for first requests "
        "come from tests/lazy.py."
    )
    text = "\n".join(["# Spikes, outages and causes", "", intro, "", *lines])
    if words.write:
        keep("detection", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
