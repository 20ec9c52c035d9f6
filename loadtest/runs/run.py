"""Run a scenario against a target and record every request."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.errors import FleetError, UsageError
from ..core.objectives import Objective, parse_objective
from ..core.plan import STEADY_AT_LEAST_S, Point, steady_s
from ..fleet.first_answers import FailingEndpoint, FirstAnswers
from ..fleet.join import invitation, join_secret
from ..fleet.plan import FleetPlan
from ..fleet.scenario import Request, Scenario, describe_one, first_requests
from ..fleet.stop_conditions import StopOn
from ..platforms.base import Platform, ScenarioNeeds, Target
from ..platforms.registry import platform_of
from ..recording.folder import RunFolder
from ..recording.run import AnswerCheckRecord, Run, TargetRecord
from .answers import answers_before
from .budget import Budget, CostGuard, budget_of, confirm_leaving
from .hosts import decide_hosts, with_scheme
from .options import RunOptions
from .record import close_record, open_record
from .watch import AbortCondition, End, LogRunConsole, RunConsole, watch

if TYPE_CHECKING:
    from ..fleet.fleet import Fleet


Goals = Callable[[Sequence[Point]], tuple[AbortCondition, ...]]
"""A function that takes the points of the plan (empty if the plan is not known) and returns the goals, which are
conditions that end the run as complete."""


def no_goals(points: Sequence[Point]) -> tuple[AbortCondition, ...]:
    """Return no goals, so that the run lasts as long as planned."""
    del points
    return ()


@dataclass(frozen=True, slots=True)
class RunResult:
    """A recorded run.

    Attributes:
        folder: the run's folder.
        record: the content of its `run.json`.
        interrupted: whether the user ended the run.
        aborted: whether an abort condition ended the run.
        failing: the endpoints whose first answers all failed, if this ended the run.
    """

    folder: RunFolder
    record: Run
    interrupted: bool
    aborted: bool
    failing: tuple[FailingEndpoint, ...] = ()


def run(options: RunOptions, console: RunConsole | None = None, goals: Goals = no_goals) -> RunResult:
    """Run the scenario against the target, and return the recorded run.

    Args:
        options: the options from `parse_options`.
        console: prints messages and asks questions. Without a console, messages go to the `loadtest` logger, and a run
            that would send load to another machine is rejected unless the options say yes.
        goals: takes the scenario's plan; returns conditions that end the run as complete.

    Raises:
        UsageError: the scenario cannot be imported, or the user did not agree to send load to the target.
        UnusableError: the target, the fleet or the run's folder could not be used.
    """
    from ..fleet.fleet import require_ports

    console = console or LogRunConsole()
    secret = join_secret(options.fleet.bind, os.environ)
    require_ports(options.fleet)
    platform = platform_of(options.platform)
    with console.status(f"reading the scenario {options.locustfile.stem}"):
        plan = _planned(options, console)
    options = with_scheme(options, plan)
    _require_two_users(options, plan)
    objectives = (*map(parse_objective, plan.objectives), *options.objectives)
    if warning := never_steady(objectives, plan.points):
        console.warn(warning)
    first = FirstAnswers()
    conditions: list[AbortCondition] = [first] if options.check else []
    conditions += [StopOn(condition, plan.points) for condition in options.stop_on]
    hosts = decide_hosts(plan, _named(options), override=options.override_hosts)
    if hosts.sentence is not None:
        console.say(hosts.sentence)
    _ask_before_looking(options, plan, console)
    needs = _needs(options, plan)
    with ExitStack() as stack:
        target = stack.enter_context(platform.open(options.target, needs=needs, console=console))
        budget = _agreed(platform, options, plan, target, console)
        host = target.record.url if hosts.replaces else None
        answers = stack.enter_context(answers_before(options, plan, target, host=host, console=console))
        where = target.record.url or ", ".join(dict.fromkeys(filter(None, plan.hosts.values()))) or "no host"
        folder = _recorded(options, plan, target, where, answers.record)
        console.say(f"{plan.name} → {where}, recorded in {folder.path}")
        conditions += [] if budget is None else [CostGuard(budget)]
        fleet_plan = FleetPlan(
            options=options.fleet,
            scenario=plan,
            host=host,
            join_secret=secret,
            environment=target.environment,
            answers=answers.file,
        )
        try:
            end = _driven(options, plan, target, folder, fleet_plan, conditions, console, goals=goals(plan.points))
        except FleetError as error:
            close_record(folder, interrupted=False, reasons=(f"it never began: {str(error).splitlines()[0]}",))
            raise
        record = close_record(folder, interrupted=end.cut_short, reasons=end.reasons)
        target.collect(folder, record)
    return RunResult(folder, record, end.interrupted, end.aborted, failing=tuple(first.failing) if end.aborted else ())


def never_steady(objectives: Sequence[Objective], points: Sequence[Point]) -> str:
    """Return a message if objectives on the steady phase cannot be judged, as the plan has no such phase; else ""."""
    steady = steady_s(points)
    asked = [objective.text for objective in objectives if objective.phase == "steady"]
    if not asked or not points or (steady is not None and steady[1] - steady[0] >= STEADY_AT_LEAST_S):
        return ""
    return (
        f"{'; '.join(asked)}: cannot be judged, because the plan does not stay at its maximum for {STEADY_AT_LEAST_S} "
        "s and so has no steady phase. Use a longer --duration or a higher --spawn-rate."
    )


def _needs(options: RunOptions, plan: Scenario) -> ScenarioNeeds:
    """Return the properties of the scenario that the platform may use."""
    asked = {name: getattr(options, name) for name in ("user_classes", "tags", "exclude_tags", "arguments")}
    sends = first_requests(options.locustfile, Request(**asked), seed=options.fleet.seed) if plan.http_classes else ()
    return ScenarioNeeds(
        limits=plan.limits,
        speaks_http=bool(plan.http_classes),
        most_users=max((users for _, users in plan.points), default=plan.users),
        first_requests=sends,
    )


def _require_two_users(options: RunOptions, plan: Scenario) -> None:
    """Check that a run against two targets has a user for each target, and a user class that can call both targets.

    Raises:
        UsageError: the number of users or the user classes are not sufficient.
    """
    if not options.target.sides:
        return
    if plan.users is not None and plan.users < 2:
        raise UsageError(f"`--users {plan.users}`: two targets share the users; give at least 2.")
    if not plan.http_classes:
        raise UsageError(
            f"{plan.path.name}: a run against two targets needs a user class that calls a base URL, such as FastUser "
            f"or HttpUser."
        )


def _planned(options: RunOptions, console: RunConsole) -> Scenario:
    """Describe the scenario with these options, and print which settings come from Locust's configuration."""
    plan = describe_one(
        options.locustfile,
        users=options.users,
        spawn_rate=options.spawn_rate,
        duration_s=options.duration_s,
        user_classes=options.user_classes,
        shape=options.shape,
        tags=options.tags,
        exclude_tags=options.exclude_tags,
        arguments=options.arguments,
    )
    for note in plan.notes:
        console.say(note)
    return plan


def _named(options: RunOptions) -> str | None:
    """Return the target as named in the options, a URL or a platform; None if the scenario's own hosts are used."""
    return options.target.url or options.platform if platform_of(options.platform).has_own_address else None


def _ask_before_looking(options: RunOptions, plan: Scenario, console: RunConsole) -> None:
    """Ask before anything is sent to a URL, even before the request that checks whether the URL answers."""
    hosts = () if platform_of(options.platform).has_own_address else sorted({*filter(None, plan.hosts.values())})
    sides = [side.options.url for side in options.target.sides]
    share = 0.5 if sides else 1.0
    for url in filter(None, (options.target.url, *sides, *hosts)):
        record = TargetRecord(kind=options.platform, url=url)
        confirm_leaving(record, plan, yes=options.yes, console=console, share=share)


def _agreed(
    platform: Platform, options: RunOptions, plan: Scenario, target: Target, console: RunConsole
) -> Budget | None:
    """Ask whether to send the load, and state its cost, unless the user has already agreed to send load to the URL.

    Return the budget, if there is one.
    """
    if target.sides:
        for side, given in zip(target.sides, options.target.sides, strict=True):
            if given.options.url is None:
                _agreed_on_half(platform_of(given.platform), options, plan, side.target, console)
        return None
    costs = platform.costs(target.record, options.prices) if platform.capabilities.bills else None
    if costs is None:
        if target.record.url and options.target.url is None:
            confirm_leaving(target.record, plan, yes=options.yes, console=console)
        return None
    budget = budget_of(plan, target.record, costs, max_usd=options.max_usd, runs=options.runs)
    confirm_leaving(target.record, plan, yes=options.yes, console=console, budget=budget)
    return budget


def _agreed_on_half(
    platform: Platform, options: RunOptions, plan: Scenario, target: TargetRecord, console: RunConsole
) -> None:
    """Ask before half of the load goes to one of two targets, and state the cost of that half."""
    costs = platform.costs(target, options.prices) if platform.capabilities.bills else None
    budget = None
    if costs is not None:
        budget = budget_of(plan, target, costs, max_usd=None, runs=options.runs, share=0.5)
    confirm_leaving(target, plan, yes=options.yes, console=console, budget=budget, share=0.5)


def _recorded(
    options: RunOptions, plan: Scenario, target: Target, where: str, answers: AnswerCheckRecord | None
) -> RunFolder:
    """Create the run's folder. `where` names the target that the users call."""
    objectives = (*plan.objectives, *(objective.text for objective in options.objectives))
    return open_record(
        options.runs,
        options,
        plan,
        target.record.model_copy(update={"url": where}),
        sides=target.sides,
        objectives=tuple(dict.fromkeys(objectives)),
        prices=options.prices,
        answer_check=answers,
    )


def _driven(
    options: RunOptions,
    plan: Scenario,
    target: Target,
    folder: RunFolder,
    fleet_plan: FleetPlan,
    conditions: Sequence[AbortCondition],
    console: RunConsole,
    *,
    goals: tuple[AbortCondition, ...],
) -> End:
    """Run the fleet to its end and show its progress."""
    from ..fleet.fleet import Fleet

    with Fleet(fleet_plan, folder) as fleet:
        if options.fleet.expect_workers > options.fleet.workers:
            _invite(options, target, fleet, console)
        if options.fleet.ui_port is not None:
            console.say(f"Locust's own page: {fleet.ui_url}")
        return watch(fleet, folder, plan.duration_s, tuple(conditions), console, goals=goals)


def _invite(options: RunOptions, target: Target, fleet: Fleet, console: RunConsole) -> None:
    """Print how the other workers can join, and what they need for a private service."""
    if target.environment:
        console.warn(
            "the service is private, and workers on other machines get no token from this machine: start "
            "them with LT_TOKEN_AUDIENCE on machines with a service account (docs/distributed.md)."
        )
    console.say(
        invitation(
            missing=options.fleet.expect_workers - options.fleet.workers,
            bind=options.fleet.bind,
            port=fleet.port,
            secret=fleet.plan.join_secret,
            environment=os.environ,
        )
    )
