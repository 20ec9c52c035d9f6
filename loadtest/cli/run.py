"""The verb `run`: record a scenario against a target, then report it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from . import options as words
from .runs import RunsOption

if TYPE_CHECKING:  # imported by the verb itself: `lt --help` must not pay for it
    from ..fleet.scenario import Scenario
    from ..recording.folder import RunFolder
    from ..runs.options import RunOptions
    from ..runs.watch import AbortCondition, End
    from .targets import Target

MISSED, INTERRUPTED = 1, 130


def run(
    scenario: words.Scenario,
    target: words.Target = "local",
    label: words.Label = None,
    yes: words.Yes = False,
    runs: RunsOption = Path("runs"),
    users: words.Users = None,
    spawn_rate: words.SpawnRate = None,
    duration: words.Duration = None,
    seed: words.Seed = 1,
    slo: words.Slo = None,
    stop_on: words.StopOn = None,
    allow_degraded: words.AllowDegraded = False,
    workers: words.Workers = None,
    expect_workers: words.ExpectWorkers = None,
    bind: words.Bind = "127.0.0.1",
    port: words.Port = 0,
    join_timeout: words.JoinTimeout = "60s",
    ui: words.Ui = None,
    concurrency: words.Concurrency = None,
    cpu: words.Cpu = None,
    memory: words.Memory = None,
    min_instances: words.MinInstances = None,
    max_instances: words.MaxInstances = None,
    autoscaler: words.Autoscaler = "cloudrun",
    command: words.Command = None,
    service: words.Service = None,
    project: words.Project = None,
    region: words.Region = None,
    endpoint: words.Endpoint = None,
    max_cost: words.MaxCost = None,
    prices: words.Prices = None,
    free_tier: words.FreeTier = False,
) -> int:
    """Run a scenario, record every request, print the summary and write the report.

    Examples:
        python lt.py run --scenario ramp300

        python lt.py run --scenario ramp300 --target emulator

        python lt.py run --scenario step --duration 10m --slo "p95(steady) < 300ms"

        python lt.py run --scenario my_locustfile.py --target http://127.0.0.1:8080 --users 50 --duration 2m
    """
    from ..core.errors import UsageError
    from ..core.objectives import parse_objective
    from ..core.prices import prices_for
    from ..fleet.scenario import describe_one
    from ..fleet.stop_conditions import StopOn
    from ..recording.run import TargetRecord
    from ..runs.budget import CostGuard, budget_of, confirm_leaving
    from ..runs.options import parse_options
    from ..runs.record import close_record, open_record
    from .prices import overrides
    from .targets import TargetOptions, open_target
    from .terminal import talk

    options = parse_options(
        scenario=scenario,
        target=target,
        users=users,
        spawn_rate=spawn_rate,
        duration=duration,
        seed=seed,
        workers=workers,
        expect_workers=expect_workers,
        bind=bind,
        port=port,
        join_timeout=join_timeout,
        label=label,
        ui_port=ui,
    )
    abort_conditions: list[AbortCondition] = [StopOn(parse_objective(condition)) for condition in stop_on or ()]
    plan = describe_one(
        options.locustfile, users=options.users, spawn_rate=options.spawn_rate, duration_s=options.duration_s
    )
    objectives = tuple(dict.fromkeys(parse_objective(text).text for text in (*plan.objectives, *(slo or ()))))
    target_options = TargetOptions(
        concurrency=concurrency,
        cpu=cpu,
        memory=memory,
        min_instances=min_instances,
        max_instances=max_instances,
        autoscaler=autoscaler,
        command=command,
        service=service,
        project=project,
        region=region,
        endpoint=endpoint,
    )
    priced = overrides(prices, free_tier=free_tier)
    limits = {"concurrency": concurrency, "cpu": cpu, "memory": memory, "command": command}
    limits |= {"min-instances": min_instances, "max-instances": max_instances}
    if options.kind != "emulator" and (given := [name for name, value in limits.items() if value is not None]):
        raise UsageError(
            f"`--{given[0]} {limits[given[0]]}`: only `--target emulator` takes it; a service has its own."
        )
    if max_cost is not None and options.kind != "cloud":
        raise UsageError(
            f"`--max-cost {max_cost:g}`: only what runs against `--target cloud` costs is known beforehand."
        )
    if options.url is not None:  # asked before anything is sent there, were it only to see whether it answers
        confirm_leaving(TargetRecord(kind="url", url=options.url), plan, yes=yes)
    with open_target(options, plan, target_options) as there:
        if options.kind == "cloud":
            of_region = prices_for(there.record.region, priced)
            budget = budget_of(plan, there.record, of_region, max_usd=max_cost, runs=runs)
            confirm_leaving(there.record, plan, yes=yes, budget=budget)
            abort_conditions.append(CostGuard(budget))
        if there.environment and options.expect_workers > options.workers:
            talk.print(
                "[yellow]![/] the service is private, and workers of other machines get no token from here: start them "
                "with LT_TOKEN_AUDIENCE where they have a service account, or they are refused (docs/distributed.md)."
            )
        folder = open_record(runs, options, plan, there.record, objectives=objectives, prices=priced)
        talk.print(f"{plan.name} → {there.record.url}, recorded in {folder.path}", markup=False)
        end = _drive(options, plan, there, folder, tuple(abort_conditions))
        closed = close_record(folder, interrupted=end.interrupted or end.aborted, reasons=end.reasons)
        there.collect(folder, closed)
    code = _report(folder, allow_degraded=allow_degraded)
    return INTERRUPTED if end.interrupted else MISSED if end.aborted else code


def _drive(
    options: RunOptions, plan: Scenario, target: Target, folder: RunFolder, abort_conditions: tuple[AbortCondition, ...]
) -> End:
    """Run the fleet to its end, showing how it does."""
    from ..fleet.fleet import Fleet, FleetPlan
    from ..runs.watch import watch
    from .terminal import talk

    shaped = plan.shape is not None  # without a shape Locust needs all three words to know when to end
    fleet_plan = FleetPlan(
        locustfile=options.locustfile,
        host=target.record.url,
        workers=options.workers,
        expect_workers=options.expect_workers,
        users=options.users if shaped else plan.users,
        spawn_rate=options.spawn_rate if shaped else plan.spawn_rate,
        duration_s=options.duration_s if shaped else plan.duration_s,
        seed=options.seed,
        bind=options.bind,
        port=options.port,
        join_timeout_s=options.join_timeout_s,
        ui_port=options.ui_port,
        environment=target.environment,
    )
    with Fleet(fleet_plan, folder) as fleet:
        if options.expect_workers > options.workers:
            _invite(options, fleet.port)
        if options.ui_port is not None:
            talk.print(f"Locust's own page: http://127.0.0.1:{options.ui_port}", markup=False)
        return watch(fleet, folder, plan.duration_s, abort_conditions)


def _invite(options: RunOptions, port: int) -> None:
    """Say how the other workers join."""
    from .terminal import talk

    missing = options.expect_workers - options.workers
    host = options.bind if options.bind != "0.0.0.0" else "THIS_MACHINE"
    talk.print(f"waiting for {missing} worker(s); on the other machines: python lt.py worker --master {host}:{port}")


def _report(folder: RunFolder, *, allow_degraded: bool) -> int:
    """Print the summary, write the page, and return what the objectives came to as an exit code."""
    from reports.render.text import render_text
    from reports.summary.build import build_report

    from .report import exit_code, write_page
    from .terminal import out

    made = build_report([folder.path])
    out.print(render_text(made, brief=True), markup=False)
    out.print(f"report: {write_page(made, [folder])}", markup=False)
    return exit_code(made, allow_degraded=allow_degraded)
