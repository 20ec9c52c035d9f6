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
from reports.data.rules import GENERATOR_CPU_RATIO, GENERATOR_LAG_MS, MACHINE_CPU_RATIO
from reports.data.series import Series


@dataclass(frozen=True, slots=True)
class Load:
    """The state of the fleet in each second after t = 0 (`Series.seconds` values); NaN if it is not known.

    Attributes:
        recorded: whether there was a `load.csv` with lines in it.
        damage: a sentence about the part of `load.csv` that could not be read; "" without damage.
        planned_users: planned users of the whole fleet, from `load.csv`, else from the plan in `run.json`.
        users: users running on all workers.
        in_flight: requests that await an answer at the end of the second, on all workers.
        cpu_ratio: CPU of the busiest worker; 1 = one core.
        loop_lag_ms: event-loop lag of the slowest worker.
        oldest_s: the age of the request that has waited longest.
        refused: open-loop arrivals that were dropped, because too many requests were in flight.
        machine_cpu_ratio: CPU in use by all processes on the busiest load-generating machine, 1 = all its cores.
        machine_steal_ratio: share of that machine's CPU that the hypervisor gave to other machines.
        memory_pressure_ratio: share of the second in which some process of such a machine waited for memory.
        connects_repeated: how often such a machine sent the first packet of a connection again.
        saturated: seconds in which a worker's CPU or event loop was so busy that it may have measured its own delay.
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
        """Users in each second: the running ones if known, else the planned ones; NaN if neither is known."""
        return np.where(np.isnan(self.users), self.planned_users, self.users)

    @property
    def machine_full_ratio(self) -> float | None:
        """Share of the known seconds in which the machine's CPU was full; None if no second is known."""
        known = self.machine_cpu_ratio[~np.isnan(self.machine_cpu_ratio)]
        return float((known >= MACHINE_CPU_RATIO).mean()) if len(known) else None


def read_load(folder: RunFolder, run: Run, series: Series) -> Load:
    """Return the values of `load.csv` for each second of the run; all NaN if there is no `load.csv`.

    Incomplete or damaged lines are left out.
    """
    seconds = series.seconds
    names = [name for name in LOAD_COLUMNS if name not in _NO_CURVE]
    workers: dict[str, dict[str, Floats]] = {}
    recorded, damage, lines = False, "", load_lines(folder.load)
    try:
        for line in lines:
            at = _number(line["time_s"]) - series.t0_ns / 1e9
            if not -0.5 <= at < seconds:  # also raised if the time is not a number
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
    if lines.skipped > 1:  # one such line is normal, because a kill cuts the last line short
        damage = f"{lines.skipped} lines of {folder.load.name} are not whole and were left out."
    columns = {name: over_workers([worker[name] for worker in workers.values()], name, seconds) for name in names}
    planned = columns["planned_users"]
    plan = run.scenario.plan
    if np.isnan(planned).all() and plan:
        planned = np.interp(np.arange(seconds), [at.at_s for at in plan], [at.users for at in plan])
    if folder.share < 1:  # one side of a run has a share of the users, and its own requests in flight
        planned = planned * folder.share
        for name in ("users", "refused"):
            columns[name] = columns[name] * folder.share
        columns["in_flight"] = np.where(np.isnan(columns["in_flight"]), math.nan, series.in_flight)
    saturated = (columns["cpu_ratio"] >= GENERATOR_CPU_RATIO) | (columns["loop_lag_ms"] > GENERATOR_LAG_MS)
    return Load(recorded=recorded, damage=damage, saturated=saturated, **{**columns, "planned_users": planned})


_NO_CURVE = frozenset({"time_s", "worker", "own_code_ms"})
"""Columns that do not become a series. The pauses in `run.json` show what blocked a worker's event loop, so
`own_code_ms` is not needed."""

_HELD = frozenset({"users", "in_flight"})
"""Levels: if a worker has several values in one second, the highest one is used. The workers' values are added."""

_ADDED = frozenset({"refused", "connects_repeated"})
"""Counts since the previous line: a worker's values in one second are added."""

_OF_MACHINES = frozenset({"connects_repeated"})
"""Counts of a whole machine: each of its workers reports the same number, so the highest value is used, not the sum."""


def _note(column: Floats, at: int, value: float, *, name: str) -> None:
    """Enter a worker's value from one line.

    Two lines of a worker may be in the same second, for example its last two lines.
    """
    if math.isnan(value):
        return
    before = column[at]
    if math.isnan(before):
        column[at] = value
    else:
        column[at] = before + value if name in _ADDED else max(before, value)


def over_workers(columns: list[Floats], name: str, seconds: int) -> Floats:
    """Combine the workers' values per second into the fleet's; NaN if no worker reported.

    If a worker did not report a level for a second, its level in the second before is used. A worker's lines are
    about a second apart, so rounding can leave a second without a line.
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
