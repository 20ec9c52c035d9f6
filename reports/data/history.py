"""Group recorded runs into series that can be compared over time, and mark changes of their level."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadtest.recording.run import Outcome, Run
from reports.data.change_points import change_points

NEAR_RUNS = 2
"""A mark may be wrong by two runs, so a recorded change up to two runs before or after the mark is shown with it."""

VERSIONS = ("lt", "locust", "python")
"""The recorded versions that may change a run's measurements."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run of a series.

    Attributes:
        id: the folder's name.
        day: when it began.
        p95_ms: the p95 of its steady phase, else of the whole run.
        facts: values that may have changed it, by name: commit, revision, limits, versions, options, machine.
    """

    id: str
    day: str
    label: str | None
    p95_ms: float
    facts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of level.

    Attributes:
        at: index into the series of the first run at the new level.
        before_ms, after_ms: the medians of the runs before and after the change, each up to the neighbouring change.
        what: the recorded values that changed at this point or nearest to it, such as "commit 1a2b3c4 → 5d6e7f8"; empty
            if none changed within NEAR_RUNS.
    """

    at: int
    before_ms: float
    after_ms: float
    what: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """The change as a ratio − 1."""
        return self.after_ms / self.before_ms - 1


@dataclass(frozen=True, slots=True)
class History:
    """The runs of one scenario on one target, oldest first.

    If labels alternate, it contains only the runs of one label.
    """

    scenario: str
    target: str
    label: str | None
    runs: tuple[PastRun, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """A run with the results of its report. `p95_ms` is None if the run has no report, or if the report has no p95."""

    run: Run
    p95_ms: float | None


def histories(measured: Sequence[MeasuredRun]) -> list[History]:
    """Return the series of at least two runs, by scenario and target. The runs are given oldest first.

    Only complete runs with a p95 count. If labels alternate (v1, v2, v1, v2), each label forms its own series. If a
    label replaces another for good, the new label counts as a recorded change like any other.
    """
    found: dict[tuple[str, str], list[MeasuredRun]] = {}
    for each in measured:
        run = each.run
        complete = run.outcome is Outcome.COMPLETE and not run.sides
        if complete and each.p95_ms:
            found.setdefault((run.scenario.name, _target(run)), []).append(each)
    made = []
    for (name, target), runs in sorted(found.items()):
        for label, of_label in _by_label(runs):
            if len(of_label) > 1:
                past = tuple(_past(item) for item in of_label)
                made.append(History(name, target, label, past, changes_of(past)))
    return made


def changes_of(runs: Sequence[PastRun]) -> tuple[Change, ...]:
    """Return where the level of a series changes, and for each change the recorded values that changed there."""
    values = [run.p95_ms for run in runs]
    marks = change_points(values)
    edges = [0, *marks, len(runs)]
    return tuple(
        Change(at, _level(values[before:at]), _level(values[at:after]), _what_changed(runs, at))
        for before, at, after in zip(edges, edges[1:], edges[2:], strict=False)
    )


def _level(values: Sequence[float]) -> float:
    return math.exp(float(np.median(np.log(values))))


def _what_changed(runs: Sequence[PastRun], at: int) -> tuple[str, ...]:
    """Return the recorded values that changed at a mark, or else at the nearest run within NEAR_RUNS of the mark."""
    for distance in range(NEAR_RUNS + 1):
        for place in dict.fromkeys((at - distance, at + distance)):
            if 0 < place < len(runs) and (said := _differences(runs[place - 1], runs[place])):
                return said if not distance else tuple(f"{item} (at {runs[place].id})" for item in said)
    return ()


def _differences(before: PastRun, after: PastRun) -> tuple[str, ...]:
    names = dict.fromkeys([*before.facts, *after.facts])
    return tuple(
        f"{name} {before.facts.get(name) or 'none'} → {after.facts.get(name) or 'none'}"
        for name in names
        if before.facts.get(name) != after.facts.get(name)
    )


def _past(measured: MeasuredRun) -> PastRun:
    run = measured.run
    assert measured.p95_ms is not None
    limits = run.target.limits.model_dump(exclude_none=True)
    facts = {
        "commit": (run.git_commit or "")[:10],
        "revision": run.target.revision or "",
        "label": run.label or "",
        "scenario file": run.scenario.sha256[:10],
        **{
            name.replace("_", " "): f"{value:g}" if isinstance(value, float) else str(value)
            for name, value in limits.items()
        },
        **{name: run.versions.get(name, "") for name in VERSIONS},
        **{name: str(run.options.get(name) or "") for name in ("users", "spawn_rate", "duration_s", "workers")},
        "machine": str(run.host.get("name") or ""),
    }
    return PastRun(run.id, f"{run.start:%Y-%m-%d %H:%M}", run.label, measured.p95_ms, facts)


def _target(run: Run) -> str:
    """Return the target of a run: its kind, and the service if there are several targets of this kind."""
    target = run.target
    place = "" if target.capabilities.single_process else target.service or target.url
    return f"{target.kind} {place}".rstrip()


def _by_label(runs: Sequence[MeasuredRun]) -> list[tuple[str | None, list[MeasuredRun]]]:
    """Return the runs as one series, or as one series per label if a label comes back after another."""
    stretches = [label for label, _ in itertools.groupby(measured.run.label for measured in runs)]
    if len(stretches) == len(set(stretches)):
        return [(None, list(runs))]
    return [
        (label, [measured for measured in runs if measured.run.label == label]) for label in dict.fromkeys(stretches)
    ]
