"""Ask before load is sent to another machine, and limit its cost."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.addresses import is_loopback
from ..core.console import Console
from ..core.errors import RunFolderError, UsageError
from ..fleet.progress import ProgressSnapshot, Recent
from ..fleet.scenario import Scenario
from ..platforms.costs import CostModel, Load
from ..recording.capabilities import has_run_app_url
from ..recording.catalogue import list_runs
from ..recording.run import TargetRecord
from ..recording.service_time import mean_server_ms

PROJECT_EVERY_S = 5.0
"""Interval between projections of a run's cost. In the first seconds there is too little data."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The allowed cost of a run, and the data for its estimate.

    Attributes:
        costs: the cost model of the target.
        load: the planned load; its plan is empty if the scenario's plan is not known before the run.
        max_usd: the limit; None for no limit.
    """

    costs: CostModel
    load: Load
    max_usd: float | None


def budget_of(
    plan: Scenario, target: TargetRecord, costs: CostModel, *, max_usd: float | None, runs: Path, share: float = 1.0
) -> Budget:
    """Return the budget of a run, with the service time of the newest recorded run against the service."""
    service_s, service_from = measured_service(runs, target)
    points = plan.record().plan if plan.duration_s is not None else []
    load = Load(
        plan=[point.model_copy(update={"users": point.users * share}) for point in points],
        duration_s=plan.duration_s or 0.0,
        requests_per_user_s=plan.requests_per_user_s,
        service_s=service_s,
        service_from=service_from,
    )
    return Budget(costs, load, max_usd)


def measured_service(runs: Path, target: TargetRecord) -> tuple[float | None, str]:
    """Return the mean server time (s) of the newest run against the service, and a text that names that run.

    The time is None if there is no such run, or if the answers of that run state no server time.
    """

    def place(of: TargetRecord) -> tuple[str | None, ...]:
        return of.kind, of.project, of.region, of.service

    for folder, run, _ in reversed(list_runs(runs)):
        if run is None or place(run.target) != place(target):
            continue
        try:
            folder.ensure_sealed()
            found_ms = mean_server_ms(folder)
        except RunFolderError:  # the run is still in progress, or damaged
            continue
        return (None, "") if found_ms is None else (found_ms / 1000, f"measured: the mean server time of {run.id}")
    return None, ""


def confirm_leaving(
    target: TargetRecord,
    plan: Scenario,
    *,
    yes: bool,
    console: Console,
    budget: Budget | None = None,
    share: float = 1.0,
) -> None:
    """Print how many requests a run will send and what it will cost, and ask before load is sent to another machine.

    `share` is the part of the load that is sent to this target.

    Raises:
        UsageError: the run costs more than allowed, the answer was no, or there is no terminal to ask.
    """
    requests = plan.request_budget()
    amount = "an unknown number of requests" if requests is None else f"about {share * requests:,.0f} requests"
    if budget is not None:
        amount += _estimated(budget, console)
    if is_loopback(target.url):
        return
    if budget is None and has_run_app_url(target.url):
        console.warn(
            f"the URL alone gives no instances, limits or cost of a Cloud Run service: `--target cloud "
            f"--service {target.url}` records them."
        )
    if yes:
        console.say(f"sending {amount} to {target.url}")
        return
    answer = console.confirm(f"Send {amount} to {target.url}?")
    if answer is None:
        raise UsageError(
            f"`--target {target.url}` is on another machine: {amount} would be sent there. Add --yes to allow this."
        )
    if not answer:
        raise UsageError("Nothing was sent.")


def _estimated(budget: Budget, console: Console) -> str:
    if not budget.load.plan:
        hour = budget.costs.estimate(dataclasses.replace(budget.load, duration_s=3600.0))
        console.warn(
            "the cost cannot be estimated: the scenario has its own load shape, whose duration and users are not "
            f"known before the run. At most ${hour.most_usd:.2f} an hour for the instances."
        )
        return " for an unknown price"
    found = budget.costs.estimate(budget.load)
    console.say(f"estimated cost: ${found.usd:.2f}, at most ${found.most_usd:.2f}")
    for assumption in found.assumptions:
        console.say(f"  {assumption}")
    if budget.max_usd is not None and found.usd > budget.max_usd:
        raise UsageError(
            f"`--max-cost {budget.max_usd:g}`: the run is estimated at ${found.usd:.2f}. Shorten the run with "
            "--duration, use fewer --users, or allow a higher cost."
        )
    return f" for about ${found.usd:.2f}"


class CostGuard:
    """An abort condition that ends the run when its projected cost exceeds the limit.

    The projection uses the data of the run so far: requests per user, server time and latency. If a service is slower
    than estimated, the run costs more, although the service gets fewer requests. If the scenario's plan is not known,
    the cost so far is compared with the limit instead.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._next_s = PROJECT_EVERY_S
        self._latency, self._server = _Mean(), _Mean()

    def __call__(self, snapshot: ProgressSnapshot, new: tuple[Recent, ...]) -> str | None:
        """Return why the run should end; None if it should continue."""
        limit = self._budget.max_usd
        for recent in new:
            self._latency.add(recent.latency_us)
            self._server.add(recent.server_us[recent.server_us >= 0])
        if limit is None or snapshot.elapsed_s is None or snapshot.elapsed_s < self._next_s or not snapshot.requests:
            return None
        self._next_s = snapshot.elapsed_s + PROJECT_EVERY_S
        usd, spent = self._spent(snapshot.requests, snapshot.elapsed_s)
        return None if usd <= limit else f"`--max-cost {limit:g}`: the run {spent} ${usd:.2f}"

    def _spent(self, requests: int, elapsed_s: float) -> tuple[float, str]:
        load, costs = self._budget.load, self._budget.costs
        load = dataclasses.replace(load, held_s=self._latency.value_s, service_s=self._server.value_s or load.service_s)
        if not load.plan:
            return costs.estimate(load.sent(requests, elapsed_s)).usd, "has cost about"
        return costs.projected(load, elapsed_s=elapsed_s, requests=requests).usd, "is now projected at"


class _Mean:
    """The mean of the values so far, in s; None before the first value."""

    def __init__(self) -> None:
        self._sum_us, self._count = 0, 0

    def add(self, values_us: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        self._sum_us += int(values_us.sum())
        self._count += values_us.size

    @property
    def value_s(self) -> float | None:
        return self._sum_us / self._count / 1e6 if self._count else None
