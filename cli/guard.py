"""Ask before load leaves this machine, and watch what it costs."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from cli.terminal import talk
from cloudrun import cost
from loadtest.options import is_loopback
from loadtest.progress import Glance, Recent
from loadtest.scenario import Scenario
from recording.errors import UsageError
from recording.prices import Prices
from recording.run import TargetRecord

PROJECT_EVERY_REQUESTS = 500
"""A projection from fewer says little, and is not made again before as many more have been sent."""


def confirm_leaving(
    target: TargetRecord, plan: Scenario, *, yes: bool, max_cost: float | None, prices: Path | None
) -> None:
    """Say what a run against another machine will send and cost, and ask; nothing for one on loopback.

    Raises:
        UsageError: it costs more than allowed, was not wanted, or nobody is there to be asked.
    """
    if is_loopback(target.url):
        return
    requests = plan.request_budget()
    amount = "an unknown number of requests" if requests is None else f"up to {requests:,.0f} requests"
    if target.kind == "cloud":
        amount += _estimated(target, plan, max_cost=max_cost, prices=prices)
    if yes:
        talk.print(f"sending {amount} to {target.url}", markup=False)
        return
    if not sys.stdin.isatty():
        raise UsageError(f"`--target {target.url}` is not this machine: {amount} would go there. Add --yes to do it.")
    if not typer.confirm(f"Send {amount} to {target.url}?", err=True):
        raise UsageError("Nothing was sent.")


def _estimated(target: TargetRecord, plan: Scenario, *, max_cost: float | None, prices: Path | None) -> str:
    found = cost.estimate(load_of(plan), target.limits, region=target.region, prices=_prices(prices, target))
    talk.print(f"estimated cost: ${found.usd:.2f}, at the very most ${found.most_usd:.2f}", markup=False)
    for assumption in found.assumptions:
        talk.print(f"  {assumption}", markup=False)
    if max_cost is not None and found.usd > max_cost:
        raise UsageError(
            f"`--max-cost {max_cost:g}`: the run is estimated at ${found.usd:.2f}. Shorten it with --duration, "
            "lower it with --users, or allow more."
        )
    return f" for about ${found.usd:.2f}"


def _prices(path: Path | None, target: TargetRecord) -> Prices | None:
    return None if path is None else cost.prices_from(path, target.region)


def load_of(plan: Scenario) -> cost.Load:
    """Return what the scenario will send, for an estimate."""
    return cost.Load(
        plan=plan.record().plan, duration_s=plan.duration_s or 0.0, requests_per_user_s=plan.requests_per_user_s or 1.0
    )


class CostGuard:
    """A brake: ends the run when its projected cost passes what is allowed."""

    def __init__(self, plan: Scenario, target: TargetRecord, *, max_cost: float, prices: Path | None) -> None:
        self.load = load_of(plan)
        self.target = target
        self.max_cost = max_cost
        self.prices = _prices(prices, target)
        self._next = PROJECT_EVERY_REQUESTS

    def __call__(self, glance: Glance, new: tuple[Recent, ...]) -> str | None:
        """Return why the run is to end, or None."""
        del new
        if glance.elapsed_s is None or glance.requests < self._next:
            return None
        self._next = glance.requests + PROJECT_EVERY_REQUESTS
        found = cost.projected(
            self.load,
            self.target.limits,
            elapsed_s=glance.elapsed_s,
            requests=glance.requests,
            region=self.target.region,
            prices=self.prices,
        )
        if found.usd <= self.max_cost:
            return None
        return f"`--max-cost {self.max_cost:g}`: the run is now projected at ${found.usd:.2f}"
