"""Decide whether the load generator caused a spike: the workers, or the machine on which they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reports.data import rules
from reports.data.histogram import Floats
from reports.spikes.cause import Cause, Confidence, Finding, Rule
from reports.spikes.rules_load import load_of
from reports.spikes.rules_start import Start, decide_cold_start, start_of
from reports.spikes.view import SpikeView


@dataclass(frozen=True, slots=True)
class Generator:
    """How busy the workers were during a spike.

    Attributes:
        length_s: length of the spike.
        saturated_s: seconds of the spike in which a worker was so busy or late that it could have caused the rise.
        busy_ratio: share of the spike's seconds in which a worker's core was full.
        lag_ratio: the median event-loop lag of the worst worker during the spike, divided by the rise of p95.
        lag_before_ms: the highest event-loop lag until the run's first answer.
        cpu_ratio, loop_lag_ms: the highest CPU use and event-loop lag of a worker in the spike; None if not known.
        start: how the run began.
        elsewhere: whether a cold start at the run's begin, an added instance or too much load could have caused the
            rise instead.
    """

    length_s: int
    saturated_s: int
    busy_ratio: float
    lag_ratio: float
    lag_before_ms: float
    cpu_ratio: float | None
    loop_lag_ms: float | None
    start: Start
    elsewhere: bool


def generator_of(view: SpikeView) -> Generator | None:
    """Return how busy the workers were; None if that was not recorded."""
    load, spike = view.data.load, view.spike
    inside = slice(spike.onset_s, spike.end_s)
    cpu, lag = np.nan_to_num(load.cpu_ratio[inside]), np.nan_to_num(load.loop_lag_ms[inside])
    if not len(cpu) or (np.isnan(load.cpu_ratio[inside]).all() and np.isnan(load.loop_lag_ms[inside]).all()):
        return None
    rise_ms = max(spike.peak_ms - spike.baseline_ms, 1e-9)
    busy = cpu >= rules.GENERATOR_CPU_RATIO
    late = (lag > rules.GENERATOR_LAG_MS) & (lag >= rules.GENERATOR_LAG_SHARE * rise_ms)
    answer_s = (view.data.series.first_ok_us or 0) // 1_000_000
    return Generator(
        length_s=spike.end_s - spike.onset_s,
        saturated_s=int((busy | late).sum()),
        busy_ratio=float(busy.mean()),
        lag_ratio=float(np.median(lag)) / rise_ms,
        lag_before_ms=worst(load.loop_lag_ms[: 1 + answer_s]) or 0.0,
        cpu_ratio=worst(load.cpu_ratio[inside]),
        loop_lag_ms=worst(load.loop_lag_ms[inside]),
        start=start_of(view),
        elsewhere=_starts_from_zero(view) or view.added.count > 0 or load_of(view).too_much,
    )


def worst(values: Floats) -> float | None:
    """Return the highest known value; None if no value is known."""
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else None


def decide_generator(evidence: Generator) -> Finding | None:
    """Find the load generator as the cause, if it was busy or late enough.

    If the event loop was late by much less than the rise, the load generator is the cause only if no cold start, no
    added instance and no load that is too much for the service could have caused the rise.
    """
    if evidence.saturated_s < rules.GENERATOR_SHARE * evidence.length_s:
        return None
    surely = evidence.busy_ratio >= rules.GENERATOR_SHARE
    surely |= evidence.lag_ratio >= rules.LAG_EXPLAINS and not _surely_cold(evidence)
    if not surely and evidence.elsewhere:
        return None
    said, cure = [], "other programs or the scenario's own code kept it waiting; run again on an idle machine"
    if evidence.cpu_ratio is not None and evidence.cpu_ratio >= rules.GENERATOR_CPU_RATIO:
        said.append(f"a worker used {evidence.cpu_ratio:.0%} of a core")
        cure = "use more workers and run again"
    if evidence.loop_lag_ms is not None and evidence.loop_lag_ms > rules.GENERATOR_LAG_MS:
        said.append(f"a worker's event loop was {evidence.loop_lag_ms:.0f} ms late")
    clause = (
        f"the load generator was saturated in {evidence.saturated_s} of these {evidence.length_s} s "
        f"({', '.join(said)}): it may have measured its own delay; {cure}"
    )
    return Finding(Cause.GENERATOR, Confidence.HIGH, (clause,))


def _surely_cold(evidence: Generator) -> bool:
    """Whether the first requests waited for an instance, at least twice as long as the event loop was late."""
    waited_ms = (evidence.start.first_answer_s or 0.0) * 1000
    cold = evidence.start.at_start and evidence.start.first_is_new and evidence.start.slow_first_answer
    return cold and evidence.lag_before_ms < waited_ms / 2


@dataclass(frozen=True, slots=True)
class Machine:
    """How busy the machine that ran the workers was, in the spike and outside all spikes.

    Attributes:
        inside_ratio: share of the spike's seconds in which at least one of the three measures was too high.
        outside_ratio: the same share of the seconds outside all spikes; None if there are no such seconds.
        cpu_ratio, steal_ratio, pressure_ratio: the highest value of each measure in the spike; None if not known.
        by_service: whether the service, which shares this machine, made it busy: the load was too much for the
            service, or the run's first instance started.
    """

    inside_ratio: float
    outside_ratio: float | None
    cpu_ratio: float | None
    steal_ratio: float | None
    pressure_ratio: float | None
    by_service: bool


def machine_of(view: SpikeView) -> Machine | None:
    """Return how busy the whole machine was; None if that was not recorded."""
    load, spike = view.data.load, view.spike
    limits = (
        (load.machine_cpu_ratio, rules.MACHINE_CPU_RATIO),
        (load.machine_steal_ratio, rules.MACHINE_STEAL_RATIO),
        (load.memory_pressure_ratio, rules.MACHINE_PRESSURE_RATIO),
    )
    if all(np.isnan(values).all() for values, _ in limits):
        return None
    busy = np.any([np.nan_to_num(values) >= limit for values, limit in limits], axis=0)
    at = slice(spike.onset_s, spike.end_s)
    outside = np.ones(len(busy), dtype=np.bool_)
    for each in (spike, *view.data.spikes):
        outside[each.onset_s : each.end_s] = False
    shares_it = view.data.run.target.capabilities.on_this_machine
    return Machine(
        inside_ratio=float(busy[at].mean()),
        outside_ratio=float(busy[outside].mean()) if outside.any() else None,
        cpu_ratio=worst(load.machine_cpu_ratio[at]),
        steal_ratio=worst(load.machine_steal_ratio[at]),
        pressure_ratio=worst(load.memory_pressure_ratio[at]),
        by_service=shares_it and (load_of(view).too_much or _starts_from_zero(view)),
    )


def _starts_from_zero(view: SpikeView) -> bool:
    cold = decide_cold_start(start_of(view))
    return cold is not None and cold.confidence is not Confidence.LOW


def decide_machine(evidence: Machine) -> Finding | None:
    """Find a busy machine as the cause: busy in the spike, hardly ever outside it, and not because of the service."""
    if evidence.inside_ratio < rules.MACHINE_SHARE or evidence.by_service:
        return None
    others = ""
    if evidence.outside_ratio is not None:
        if evidence.outside_ratio > rules.MACHINE_SHARE * evidence.inside_ratio:
            return None
        others = f" and {evidence.outside_ratio:.0%} of the seconds outside spikes"
    said = []
    if (evidence.cpu_ratio or 0) >= rules.MACHINE_CPU_RATIO:
        said.append(f"{evidence.cpu_ratio:.0%} of its CPU in use")
    if (evidence.steal_ratio or 0) >= rules.MACHINE_STEAL_RATIO:
        said.append(f"{evidence.steal_ratio:.0%} of its CPU taken by other machines on its host")
    if (evidence.pressure_ratio or 0) >= rules.MACHINE_PRESSURE_RATIO:
        said.append(f"programs waited for memory {evidence.pressure_ratio:.0%} of the time")
    clause = (
        f"the machine that ran the load generator was busy in {evidence.inside_ratio:.0%} of these seconds{others} "
        f"({', '.join(said)}): run again on an idle machine"
    )
    return Finding(Cause.MACHINE, Confidence.HIGH, (clause,))


RULES: Sequence[Rule[Any]] = (
    Rule(Cause.GENERATOR, generator_of, decide_generator, fails_requests=True),
    Rule(Cause.MACHINE, machine_of, decide_machine, fails_requests=True),
)
