"""Decide during a run whether a condition such as `error_rate > 50% for 10s` holds."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from ..core.errors import UsageError
from ..core.objectives import LIVE_METRICS, WHOLE_METRICS, Objective, Unit
from ..core.plan import Point, steady_s
from .progress import ProgressSnapshot, Recent, is_failed

DEFAULT_WINDOW_S = 10
"""The window of a condition without `for`. The window is long enough so that a single slow answer does not end a
run."""


class StopOn:
    """Called each time a run is evaluated. Returns the reason to end the run when the condition has held.

    The window counts requests by the time at which they ended. The window must be full and contain at least one request
    (for a percentile, a successful request), because missing data must not end a run. A condition on a phase counts the
    requests that began in this phase. The plan says when `steady` begins; the warm-up is not known during a run.

    Args:
        condition: from `parse_objective(…, live=True)`.
        points: the scenario's plan; empty if it is not known.

    Raises:
        UsageError: the condition needs something that is not known during a run.
    """

    def __init__(self, condition: Objective, points: Sequence[Point] = ()) -> None:
        if condition.endpoint is not None or condition.metric in WHOLE_METRICS:
            raise UsageError(
                f"`--stop-on {condition.text}`: during a run only percentiles, error_rate and throughput of all "
                "requests are known; use --slo, which is judged after the run."
            )
        self.condition = condition
        self._begin_s, self._end_s = _phase_s(condition, points)
        self.window_ns = (condition.window_s or DEFAULT_WINDOW_S) * 1_000_000_000
        self._recent: deque[Recent] = deque()
        self._first_ns: int | None = None
        self._held_since_s: float | None = None

    def __call__(self, snapshot: ProgressSnapshot, new: tuple[Recent, ...]) -> str | None:
        """Return why the run should end; None if it should continue."""
        if self.condition.metric in LIVE_METRICS:
            return self._waited_too_long(snapshot)
        inside = (self._inside(recent, snapshot.load_start_ns) for recent in new)
        self._recent.extend(recent for recent in inside if recent.end_ns.size)
        if not self._recent:
            return None
        newest_ns = max(int(recent.end_ns.max()) for recent in self._recent)
        while int(self._recent[0].end_ns.max()) < newest_ns - self.window_ns:
            self._recent.popleft()
        if self._first_ns is None:
            self._first_ns = int(self._recent[0].end_ns.min())
        if newest_ns - self._first_ns < self.window_ns:
            return None
        value = self._value(newest_ns)
        if value is None or not self.condition.met_by(value):
            return None
        return f"`--stop-on {self.condition.text}`: the value was {_worded(value, self.condition.unit)}"

    def _inside(self, recent: Recent, load_start_ns: int | None) -> Recent:
        """Return the requests that began in the condition's phase."""
        if self.condition.phase == "all":
            return recent
        begun_s = (recent.end_ns - recent.latency_us * 1000 - (load_start_ns or 0)) / 1e9
        at = (begun_s >= self._begin_s) & (begun_s < self._end_s) & (load_start_ns is not None)
        names = ("latency_us", "outcome", "end_ns", "server_us", "side")
        return dataclasses.replace(recent, **{name: getattr(recent, name)[at] for name in names})

    def _waited_too_long(self, snapshot: ProgressSnapshot) -> str | None:
        """Judge a condition on `oldest`: at once, or, with `for`, after the condition has held for this duration."""
        now_s = snapshot.elapsed_s or 0.0
        waits = snapshot.oldest_s is not None and self.condition.met_by(snapshot.oldest_s * 1000)
        if not waits or not self._begin_s <= now_s < self._end_s:
            self._held_since_s = None
            return None
        self._held_since_s = now_s if self._held_since_s is None else self._held_since_s
        if now_s - self._held_since_s < (self.condition.window_s or 0):
            return None
        return (
            f"`--stop-on {self.condition.text}`: the oldest of {snapshot.in_flight} requests in flight had waited "
            f"{snapshot.oldest_s or 0:.0f} s"
        )

    def _value(self, newest_ns: int) -> float | None:
        inside = [recent.end_ns >= newest_ns - self.window_ns for recent in self._recent]
        outcome = np.concatenate([recent.outcome[at] for recent, at in zip(self._recent, inside, strict=True)])
        if not outcome.size:
            return None
        if self.condition.unit is Unit.RATIO:
            return float(is_failed(outcome).mean())
        if self.condition.unit is Unit.PER_S:
            return float((outcome == 0).sum() / (self.window_ns / 1e9))
        latency_us = np.concatenate([recent.latency_us[at] for recent, at in zip(self._recent, inside, strict=True)])
        successful = latency_us[outcome == 0]
        assert self.condition.quantile is not None
        return float(np.quantile(successful, self.condition.quantile) / 1000) if successful.size else None


def _phase_s(condition: Objective, points: Sequence[Point]) -> tuple[float, float]:
    """Return the time span (elapsed s) in which the condition is judged."""
    if condition.phase == "all":
        return -math.inf, math.inf
    if condition.phase == "warmup":
        raise UsageError(f"`--stop-on {condition.text}`: the warm-up is known only after a run; give ramp or steady.")
    steady = steady_s(points)
    if steady is None:
        raise UsageError(
            f"`--stop-on {condition.text}`: the plan of the scenario and its phases are not known before the run; "
            f"leave out `({condition.phase})`."
        )
    return {"ramp": (-math.inf, steady[0]), "steady": steady, "drain": (steady[1], math.inf)}[condition.phase]


def _worded(value: float, unit: Unit) -> str:
    if unit is Unit.RATIO:
        return f"{value:.1%}"
    return f"{value:.1f} ms" if unit is Unit.MS else f"{value:.1f}/s"
