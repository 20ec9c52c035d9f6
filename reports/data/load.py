"""Read the state of the load generator into arrays per second."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from loadtest.core.errors import RunFolderError
from loadtest.recording.folder import RunFolder
from loadtest.recording.load_lines import LOAD_COLUMNS, load_lines
from loadtest.recording.run import Run
from reports.data.histogram import Bools, Floats
from reports.data.rules import GENERATOR_CPU_RATIO, GENERATOR_LAG_MS
from reports.data.series import Series


@dataclass(frozen=True, slots=True)
class Load:
    """The fleet per second after t = 0, `Series.seconds` long; NaN where it is not known.

    Attributes:
        recorded: whether there was a `load.csv` with lines in it.
        damage: what could not be read of it, as a sentence; "" without damage.
        planned_users: of the whole fleet, from `load.csv`, else from the plan in `run.json`.
        users: running on all workers.
        in_flight: awaiting an answer at the end of the second, on all workers.
        cpu_ratio: CPU of the busiest worker; 1 = one core.
        loop_lag_ms: event-loop lag of the slowest worker.
        oldest_s: how long the request that has waited longest has waited.
        refused: open-loop arrivals that found the bound on requests in flight reached.
        machine_cpu_ratio: CPU in use on the busiest load-generating machine, by whatever process, 1 = all its cores.
        machine_steal_ratio: of the same, given to other machines by the hypervisor.
        memory_pressure_ratio: share of the second in which some process of such a machine waited for memory.
        connects_repeated: first packets of connections that such a machine sent again.
        saturated: seconds in which a worker's CPU or event loop was so busy that it may have measured itself.
    """

    recorded: bool
    damage: str
    planned_users: Floats
    users: Floats
    in_flight: Floats
    cpu_ratio: Floats
    loop_lag_ms: Floats
    oldest_s: Floats
    refused: Floats
    machine_cpu_ratio: Floats
    machine_steal_ratio: Floats
    memory_pressure_ratio: Floats
    connects_repeated: Floats
    saturated: Bools

    @property
    def demand(self) -> Floats:
        """Users wanted at each second: running ones where known, else planned ones; NaN where neither is."""
        return np.where(np.isnan(self.users), self.planned_users, self.users)


def read_load(folder: RunFolder, run: Run, series: Series) -> Load:
    """Return `load.csv` on the run's seconds; all NaN without one. Lines cut short or garbled are left out."""
    seconds = series.seconds
    names = [name for name in LOAD_COLUMNS if name not in _NO_CURVE]
    workers: dict[str, dict[str, Floats]] = {}
    recorded, damage, lines = False, "", load_lines(folder.load)
    try:
        for line in lines:
            at = _number(line["time_s"]) - series.t0_ns / 1e9
            if not -0.5 <= at < seconds:  # not a number among them
                continue
            recorded = True
            worker = str(line.get("worker"))
            if worker not in workers:
                workers[worker] = {name: np.full(seconds, math.nan) for name in names}
            for name in names:
                _note(workers[worker][name], min(round(at), seconds - 1), _number(line.get(name)), name=name)
    except FileNotFoundError:
        pass
    except RunFolderError as error:
        damage = str(error)
    if lines.skipped > 1:  # a kill cuts the last one short
        damage = f"{lines.skipped} lines of {folder.load.name} are not whole and were left out."
    columns = {name: over_workers([worker[name] for worker in workers.values()], name, seconds) for name in names}
    planned = columns["planned_users"]
    plan = run.scenario.plan
    if np.isnan(planned).all() and plan:
        planned = np.interp(np.arange(seconds), [at.at_s for at in plan], [at.users for at in plan])
    if folder.share < 1:  # one of two targets: it has its share of the users, and its own requests in flight
        planned = planned * folder.share
        for name in ("users", "refused"):
            columns[name] = columns[name] * folder.share
        columns["in_flight"] = np.where(np.isnan(columns["in_flight"]), math.nan, series.in_flight)
    saturated = (columns["cpu_ratio"] >= GENERATOR_CPU_RATIO) | (columns["loop_lag_ms"] > GENERATOR_LAG_MS)
    return Load(recorded=recorded, damage=damage, saturated=saturated, **{**columns, "planned_users": planned})


_NO_CURVE = frozenset({"time_s", "worker", "own_code_ms"})
"""Columns of no series; what blocked a worker's loop is taken from the pauses in `run.json`."""

_HELD = frozenset({"users", "in_flight"})
"""Levels: of several values of a worker in a second the highest counts; workers are summed."""

_ADDED = frozenset({"refused", "connects_repeated"})
"""Counts since the previous line: a worker's values in a second are added."""

_OF_MACHINES = frozenset({"connects_repeated"})
"""Counts of a machine, which each of its workers reports: the highest counts."""


def _note(column: Floats, at: int, value: float, *, name: str) -> None:
    """Write a worker's value of one line; two of its lines may fall into one second, as the last one before its end."""
    if math.isnan(value):
        return
    before = column[at]
    if math.isnan(before):
        column[at] = value
    else:
        column[at] = before + value if name in _ADDED else max(before, value)


def over_workers(columns: list[Floats], name: str, seconds: int) -> Floats:
    """Return the workers' values per second as the fleet's; NaN where no worker reported.

    A level that a worker did not report for one second is that of the second before: its lines are about a second
    apart, so that rounding leaves a second without one.
    """
    total = np.full(seconds, math.nan)
    for column in columns:
        if name in _HELD:
            gap = np.isnan(column[1:-1]) & ~np.isnan(column[:-2]) & ~np.isnan(column[2:])
            column[1:-1][gap] = column[:-2][gap]
        both = ~np.isnan(total) & ~np.isnan(column)
        combined = total + column if name in (_HELD | _ADDED) - _OF_MACHINES else np.maximum(total, column)
        total = np.where(both, combined, np.where(np.isnan(total), column, total))
    return total


def _number(text: str | None) -> float:
    try:
        number = float(text) if text else math.nan
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan
