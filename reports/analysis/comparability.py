"""List the ways in which two sides of runs differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from loadtest.recording.run import Run
from reports.analysis.analysis import Analysis
from reports.data import formats, rules
from reports.model import Difference

MATTERS = {
    "scenario": True,
    "scenario file": True,
    "load model": True,
    "peak users": True,
    "payload": True,
    "format": True,
    "endpoints": True,
    "mix of endpoints": True,
    "length": True,
    "outcome": True,
    "CPU per instance": True,
    "workers": False,
    "target": False,
    "limits": False,
    "locust": False,
}
"""The properties that are compared, and whether a difference in one makes a comparison unfair. The targets may
differ."""

TOLERANCE = {"peak users": 0.03, "length": 0.1}
"""Tolerance, as a ratio: a fleet sometimes counts 299 of 300 users, and the last answer of a run may be late."""


def busy_machines(runs: Sequence[Analysis]) -> list[str]:
    """Return a sentence if the machine of a run had no free CPU in half of the seconds or more."""
    most = max((each.load.machine_full_ratio or 0.0 for each in runs), default=0.0)
    if most < rules.MACHINE_SHARE:
        return []
    full = f"The CPU of the load generator's machine was full in {formats.percent(most)} of the seconds"
    return [
        f"{full}: everything on it waited for CPU, so a difference may come from the machine and not from the services."
    ]


def differences(a: Sequence[Analysis], b: Sequence[Analysis]) -> list[Difference]:
    """Return the differences, unfair ones first. A property that is not recorded on one side is not compared."""
    ours, theirs = (_described(side) for side in (a, b))
    if _alike_mix(a, b):
        ours["mix of endpoints"] = theirs["mix of endpoints"] = ""
    found = [
        Difference(what=what, a=ours[what], b=theirs[what], matters=matters)
        for what, matters in MATTERS.items()
        if "" not in (ours[what], theirs[what]) and not _alike(ours[what], theirs[what], TOLERANCE.get(what, 0.0))
    ]
    return sorted(found, key=lambda difference: not difference.matters)


def _alike_mix(a: Sequence[Analysis], b: Sequence[Analysis]) -> bool:
    """Whether every endpoint has the same share of the requests, within rules.MIX_TOLERANCE and chance."""
    ours, theirs = (_counts(side) for side in (a, b))
    if ours.keys() != theirs.keys() or len(ours) < 2:
        return True  # endpoints that differ are reported separately
    ours_total, theirs_total = max(1, sum(ours.values())), max(1, sum(theirs.values()))
    for endpoint, count in ours.items():
        share, other_share = count / ours_total, theirs[endpoint] / theirs_total
        usual = (count + theirs[endpoint]) / (ours_total + theirs_total)
        chance = 4 * (usual * (1 - usual) * (1 / ours_total + 1 / theirs_total)) ** 0.5
        if abs(share - other_share) > max(rules.MIX_TOLERANCE, chance):
            return False
    return True


def _counts(side: Sequence[Analysis]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in side:
        for endpoint, count in zip(part.series.endpoints, part.series.by_endpoint.tolist(), strict=True):
            name = f"{endpoint.method} {endpoint.name}"
            found[name] = found.get(name, 0) + int(count)
    return found


def _described(side: Sequence[Analysis]) -> dict[str, str]:
    return {what: _joined(_one(each)[what] for each in side) for what in MATTERS}


def _joined(values: Iterable[str]) -> str:
    return ", ".join(sorted({value for value in values if value}))


def _one(analysis: Analysis) -> dict[str, str]:
    run = analysis.run
    users = analysis.load.demand
    limits = run.target.limits.model_dump(exclude_none=True)
    return {
        "scenario": run.scenario.name,
        "scenario file": run.scenario.sha256[:12],
        "load model": run.scenario.load_model.value,
        "peak users": "" if np.isnan(users).all() else f"{np.nanmax(users):.0f}",
        "payload": str(run.options.get("payload") or ""),
        "format": str(run.format),
        "endpoints": "; ".join(sorted(f"{endpoint.method} {endpoint.name}" for endpoint in analysis.series.endpoints)),
        "mix of endpoints": _mix(analysis),
        "length": f"{analysis.series.seconds} s",
        "outcome": run.outcome.value,
        "CPU per instance": cpu_of(run),
        "workers": str(len(run.workers) or ""),
        "target": run.target.kind,
        "limits": ", ".join(f"{key} {value}" for key, value in sorted(limits.items())),
        "locust": run.versions.get("locust", ""),
    }


def cpu_of(run: Run) -> str:
    """Return how much CPU one instance of the target has. A process without a limit has the whole machine."""
    if run.target.limits.cpu is not None:
        return f"{run.target.limits.cpu:g} vCPU"
    cores = run.host.get("cpu_count")
    here = run.target.capabilities.single_process and run.target.capabilities.on_this_machine
    return f"all {cores} cores" if here and cores else ""


def _mix(analysis: Analysis) -> str:
    """Return the shares of the endpoints, in the order of their names. The overall percentiles depend on them."""
    counts = _counts([analysis])
    total = max(1, sum(counts.values()))
    return "; ".join(f"{name} {count / total:.0%}" for name, count in sorted(counts.items())[:6])


def _alike(a: str, b: str, tolerance: float) -> bool:
    """Whether two sides have equal values, or numbers that all differ by at most `tolerance` of the largest one."""
    if a == b or not tolerance:
        return a == b
    numbers = [float(text.split()[0]) for text in f"{a}, {b}".split(", ")]
    return max(numbers) - min(numbers) <= tolerance * max(numbers)
