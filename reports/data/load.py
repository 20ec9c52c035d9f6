"""Read what the load generator was doing into arrays per second."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass

import numpy as np

from loadtest.recording.folder import RunFolder
from loadtest.recording.run import Run
from reports.data.histogram import Bools, Floats
from reports.data.rules import GENERATOR_CPU_RATIO, GENERATOR_LAG_MS
from reports.data.series import Series


@dataclass(frozen=True, slots=True)
class Load:
    """The fleet per second after t = 0, `Series.seconds` long; NaN where it is not known.

    Attributes:
        recorded: whether there was a `load.csv` with lines in it.
        planned_users: of the whole fleet, from `load.csv`, else from the plan in `run.json`.
        users: running on all workers.
        in_flight: awaiting an answer at the end of the second, on all workers.
        cpu_ratio: of the busiest worker, 1 = one core.
        loop_lag_ms: of the slowest worker.
        refused: open-loop arrivals that found the bound on requests in flight reached.
        saturated: seconds in which a worker's CPU or event loop was so busy that it may have measured itself.
    """

    recorded: bool
    planned_users: Floats
    users: Floats
    in_flight: Floats
    cpu_ratio: Floats
    loop_lag_ms: Floats
    refused: Floats
    saturated: Bools

    @property
    def demand(self) -> Floats:
        """Users wanted at each second: running ones where known, else planned ones; NaN where neither is."""
        return np.where(np.isnan(self.users), self.planned_users, self.users)


def read_load(folder: RunFolder, run: Run, series: Series) -> Load:
    """Return `load.csv` on the run's seconds; all NaN without one. Lines cut short or garbled are left out."""
    seconds = series.seconds
    names = ("planned_users", "users", "in_flight", "cpu_ratio", "loop_lag_ms", "refused")
    columns = {name: np.full(seconds, math.nan) for name in names}
    recorded = False
    if folder.load.exists():
        with folder.load.open(encoding="utf-8", newline="", errors="replace") as file:
            for line in csv.DictReader(file):
                at = _number(line.get("time_s")) - series.t0_ns / 1e9
                if None in line or math.isnan(at) or not 0 <= round(at) < seconds:
                    continue
                recorded = True
                for name in names:
                    _merge(columns[name], round(at), _number(line.get(name)), summed=name in _SUMMED)
    planned = columns["planned_users"]
    plan = run.scenario.plan
    if np.isnan(planned).all() and plan:
        planned = np.interp(np.arange(seconds), [at.at_s for at in plan], [at.users for at in plan])
    saturated = (columns["cpu_ratio"] >= GENERATOR_CPU_RATIO) | (columns["loop_lag_ms"] > GENERATOR_LAG_MS)
    return Load(
        recorded=recorded,
        planned_users=planned,
        users=columns["users"],
        in_flight=columns["in_flight"],
        cpu_ratio=columns["cpu_ratio"],
        loop_lag_ms=columns["loop_lag_ms"],
        refused=columns["refused"],
        saturated=saturated,
    )


_SUMMED = frozenset({"users", "in_flight", "refused"})


def _merge(column: Floats, at: int, value: float, *, summed: bool) -> None:
    if math.isnan(value):
        return
    before = column[at]
    if math.isnan(before):
        column[at] = value
    else:
        column[at] = before + value if summed else max(before, value)


def _number(text: str | None) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        return math.nan
