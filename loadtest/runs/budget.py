"""Ask before load leaves this machine, and watch what it costs."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import typer

from ..cli.terminal import talk
from ..core.errors import RunFolderError, UsageError
from ..core.prices import Prices
from ..fleet.progress import ProgressSnapshot, Recent
from ..fleet.scenario import Scenario
from ..platforms.cloudrun import cost
from ..recording.catalogue import list_runs
from ..recording.run import TargetRecord
from .options import is_loopback

PROJECT_EVERY_S = 5.0
"""How often what a run will cost is projected; from the first seconds little can be said."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run against Cloud Run may cost, and what it is reckoned with.

    Attributes:
        target: the service.
        load: what will be sent; its plan is empty where the scenario's cannot be foretold.
        prices: of its region, or the user's own.
        max_usd: None: no limit.
    """

    target: TargetRecord
    load: cost.Load
    prices: Prices
    max_usd: float | None

    def estimate(self, load: cost.Load) -> cost.Estimate:
        """Return what `load` costs on the target."""
        return cost.estimate(load, self.target.limits, region=self.target.region, prices=self.prices)


def budget_of(plan: Scenario, target: TargetRecord, prices: Prices, *, max_usd: float | None, runs: Path) -> Budget:
    """Return the budget of a run; its service time is that of the newest run against the service, if it tells."""
    service_s, service_from = measured_service(runs, target)
    corners = plan.record().plan if plan.duration_s is not None else []
    load = cost.Load(
        plan=corners,
        duration_s=plan.duration_s or 0.0,
        requests_per_user_s=plan.requests_per_user_s,
        service_s=service_s,
        service_from=service_from,
    )
    return Budget(target, load, prices, max_usd)


def measured_service(runs: Path, target: TargetRecord) -> tuple[float | None, str]:
    """Return the mean server time, in s, of the newest run against the service, and words on where it is from.

    None where that run's answers carry no server time, or there is no such run.
    """
    from reports.data.numbers import mean_server_ms
    from reports.data.series import read_series

    def place(of: TargetRecord) -> tuple[str | None, ...]:
        return of.kind, of.project, of.region, of.service

    for folder, run, _ in reversed(list_runs(runs)):
        if run is None or place(run.target) != place(target):
            continue
        try:
            found_ms = mean_server_ms(read_series(folder, folder.ensure_sealed()))
        except RunFolderError:  # still running, or damaged
            continue
        return (None, "") if found_ms is None else (found_ms / 1000, f"measured: the mean server time of {run.id}")
    return None, ""


def confirm_leaving(target: TargetRecord, plan: Scenario, *, yes: bool, budget: Budget | None = None) -> None:
    """Say what a run will send and cost, and ask before it leaves this machine; one on loopback is not asked about.

    Raises:
        UsageError: it costs more than allowed, was not wanted, or nobody is there to be asked.
    """
    requests = plan.request_budget()
    amount = "an unknown number of requests" if requests is None else f"up to {requests:,.0f} requests"
    if budget is not None:
        amount += _estimated(budget)
    if is_loopback(target.url):
        return
    if budget is None and target.has_run_app_url:
        talk.print(
            f"[yellow]![/] by its URL alone a Cloud Run service tells no instances, limits or cost: `--target cloud "
            f"--service {target.url}` records them."
        )
    if yes:
        talk.print(f"sending {amount} to {target.url}", markup=False)
        return
    if not sys.stdin.isatty():
        raise UsageError(f"`--target {target.url}` is not this machine: {amount} would go there. Add --yes to do it.")
    if not typer.confirm(f"Send {amount} to {target.url}?", err=True):
        raise UsageError("Nothing was sent.")


def _estimated(budget: Budget) -> str:
    if not budget.load.plan:
        hour = budget.estimate(dataclasses.replace(budget.load, duration_s=3600.0))
        talk.print(
            "[yellow]![/] the cost cannot be estimated: the scenario has a load shape of its own, whose length and "
            f"users are not known before it runs. At the very most ${hour.most_usd:.2f} an hour for the instances."
        )
        return " for an unknown price"
    found = budget.estimate(budget.load)
    talk.print(f"estimated cost: ${found.usd:.2f}, at the very most ${found.most_usd:.2f}", markup=False)
    for assumption in found.assumptions:
        talk.print(f"  {assumption}", markup=False)
    if budget.max_usd is not None and found.usd > budget.max_usd:
        raise UsageError(
            f"`--max-cost {budget.max_usd:g}`: the run is estimated at ${found.usd:.2f}. Shorten it with --duration, "
            "lower it with --users, or allow more."
        )
    return f" for about ${found.usd:.2f}"


class CostGuard:
    """A abort_condition: ends the run when its projected cost passes what is allowed.

    The projection takes what the run has shown so far: how many requests a user sends, how long the server says that it
    works on one, and how long one takes. A service that is slower than was thought costs more although it gets fewer
    requests. Where the scenario's plan is not known nothing can be projected, and what was spent so far counts.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._next_s = PROJECT_EVERY_S
        self._latency, self._server = _Mean(), _Mean()

    def __call__(self, snapshot: ProgressSnapshot, new: tuple[Recent, ...]) -> str | None:
        """Return why the run is to end, or None."""
        limit = self._budget.max_usd
        for recent in new:
            self._latency.add(recent.latency_us)
            self._server.add(recent.server_us[recent.server_us >= 0])
        if limit is None or snapshot.elapsed_s is None or snapshot.elapsed_s < self._next_s or not snapshot.requests:
            return None
        self._next_s = snapshot.elapsed_s + PROJECT_EVERY_S
        usd, words = self._reckoned(snapshot.requests, snapshot.elapsed_s)
        return None if usd <= limit else f"`--max-cost {limit:g}`: the run {words} ${usd:.2f}"

    def _reckoned(self, requests: int, elapsed_s: float) -> tuple[float, str]:
        load, target = self._budget.load, self._budget.target
        load = dataclasses.replace(load, held_s=self._latency.value_s, service_s=self._server.value_s or load.service_s)
        if not load.plan:
            return self._budget.estimate(load.sent(requests, elapsed_s)).usd, "has cost about"
        found = cost.projected(
            load,
            target.limits,
            elapsed_s=elapsed_s,
            requests=requests,
            region=target.region,
            prices=self._budget.prices,
        )
        return found.usd, "is now projected at"


class _Mean:
    """The mean of what was added so far, in s; None before anything was."""

    def __init__(self) -> None:
        self._sum_us, self._count = 0, 0

    def add(self, values_us: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        self._sum_us += int(values_us.sum())
        self._count += values_us.size

    @property
    def value_s(self) -> float | None:
        return self._sum_us / self._count / 1e6 if self._count else None
