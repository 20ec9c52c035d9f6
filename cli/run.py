"""The verb `run`: record a scenario against a target, then report it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.runs import RunsOption

if TYPE_CHECKING:  # everything below is imported by the verb: `lt --help` must not pay for it
    from cli.targets import Target
    from loadtest.fleet import Fleet
    from loadtest.options import RunOptions
    from loadtest.scenario import Scenario
    from recording.folder import RunFolder

LOOK_EVERY_S = 0.25


def run(
    scenario: Annotated[
        str,
        typer.Option("--scenario", "-s", help="A bundled scenario (`lt scenarios`), or the path of any locustfile."),
    ],
    target: Annotated[
        str,
        typer.Option(
            "--target",
            "-t",
            metavar="local|emulator|cloud|URL",
            help="What to test; `local` starts the bundled service.",
        ),
    ] = "local",
    users: Annotated[int | None, typer.Option(help="Most users at a time, in place of the scenario's.")] = None,
    spawn_rate: Annotated[
        float | None, typer.Option(help="Users started per second, in place of the scenario's.")
    ] = None,
    duration: Annotated[str | None, typer.Option(help="Length (90s, 2m, 1h30m), in place of the scenario's.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of what is sent.")] = 1,
    workers: Annotated[
        int | None,
        typer.Option(help="Load-generating processes on this machine. [default: cores − 1]", show_default=False),
    ] = None,
    label: Annotated[str | None, typer.Option(help="A name of your own for the run.")] = None,
    ui: Annotated[
        int | None,
        typer.Option("--ui", metavar="PORT", help="Open Locust's own web page on this loopback port beside it."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before load leaves this machine.")] = False,
    runs: RunsOption = Path("runs"),
) -> int:
    """Run a scenario, record every request, print the summary and write the report.

    Examples:
        python lt.py run --scenario ramp300

        python lt.py run --scenario step --duration 10m --workers 2

        python lt.py run --scenario my_locustfile.py --target http://127.0.0.1:8080 --users 50 --duration 2m
    """
    from cli.terminal import talk
    from loadtest.options import parse_options
    from loadtest.record import close_record, open_record
    from loadtest.scenario import describe_one

    options = parse_options(
        scenario=scenario,
        target=target,
        users=users,
        spawn_rate=spawn_rate,
        duration=duration,
        seed=seed,
        workers=workers,
        label=label,
        ui_port=ui,
    )
    plan = describe_one(
        options.locustfile, users=options.users, spawn_rate=options.spawn_rate, duration_s=options.duration_s
    )
    _confirm(options, plan, yes=yes)
    with _target(options) as there:
        folder = open_record(runs, options, plan, there.record, objectives=plan.objectives)
        talk.print(f"{plan.name} → {there.record.url}, recorded in {folder.path}")
        end = _drive(options, plan, there, folder)
        there.collect(folder)
    close_record(folder, interrupted=end.interrupted, reasons=end.reasons)
    return _report(folder, interrupted=end.interrupted)


@dataclass(frozen=True, slots=True)
class _End:
    """How the fleet ended: by the user's wish, and what was wrong."""

    interrupted: bool
    reasons: tuple[str, ...]


@contextmanager
def _target(options: RunOptions) -> Iterator[Target]:
    from cli.targets import given_url, local_service

    with local_service() if options.kind == "local" else given_url(options) as target:
        yield target


def _confirm(options: RunOptions, plan: Scenario, *, yes: bool) -> None:
    """Ask before load leaves this machine.

    Raises:
        UsageError: it was not wanted, or nobody is there to be asked.
    """
    import sys

    from loadtest.options import is_loopback
    from recording.errors import UsageError

    if yes or options.url is None or is_loopback(options.url):
        return
    budget = plan.request_budget()
    amount = f"up to {budget:,.0f} requests" if budget is not None else "an unknown number of requests"
    if not sys.stdin.isatty():
        raise UsageError(f"`--target {options.url}` is not this machine: {amount} would go there. Confirm with --yes.")
    if not typer.confirm(f"Send {amount} to {options.url}?"):
        raise UsageError("Nothing was sent.")


def _drive(options: RunOptions, plan: Scenario, target: Target, folder: RunFolder) -> _End:
    """Run the fleet to its end, showing how it does."""
    from loadtest.fleet import Fleet, FleetPlan

    fleet_plan = FleetPlan(
        locustfile=options.locustfile,
        host=target.record.url,
        workers=options.workers,
        expect_workers=options.expect_workers,
        users=plan.users if plan.shape is None else options.users,
        spawn_rate=plan.spawn_rate if plan.shape is None else options.spawn_rate,
        duration_s=plan.duration_s if plan.shape is None else options.duration_s,
        seed=options.seed,
        bind=options.bind,
        port=options.port,
        join_timeout_s=options.join_timeout_s,
        ui_port=options.ui_port,
        environment=target.environment,
    )
    with Fleet(fleet_plan, folder) as fleet:
        return _watch(fleet, folder, plan.duration_s)


def _watch(fleet: Fleet, folder: RunFolder, planned_s: float | None) -> _End:
    """Watch the fleet to its end; Ctrl-C asks it to end early, a second one forces it.

    Raises:
        FleetError: it ended before the first request; the text has its last words.
    """
    from cli.progress import ProgressLine
    from loadtest.progress import Follower
    from recording.errors import FleetError

    follower = Follower(folder)
    interrupted = False
    with ProgressLine(planned_s) as line:
        while True:
            try:
                while fleet.running():
                    line.show(follower.look(time.monotonic())[0], ending=interrupted)
                    time.sleep(LOOK_EVERY_S)
                code = fleet.finish()
                break
            except KeyboardInterrupt:
                if interrupted:
                    return _End(
                        interrupted=True, reasons=("a second Ctrl-C forced the end: the last rows may be missing",)
                    )
                interrupted = True
                fleet.stop()
    if code != 0 and follower.look(time.monotonic())[0].requests == 0 and not interrupted:
        raise FleetError(f"Locust ended with status {code} before the first request:\n{fleet.last_words()}")
    if code < 0:
        return _End(interrupted=True, reasons=(f"the Locust master was ended by signal {-code}",))
    return _End(interrupted=interrupted, reasons=(f"Locust ended with status {code}",) if code else ())


def _report(folder: RunFolder, *, interrupted: bool) -> int:
    from cli.terminal import out

    run = folder.read_run()
    out.print(f"{run.outcome.value}: {folder.path}")
    for reason in run.reasons:
        out.print(f"  {reason}", markup=False)
    return 130 if interrupted else 0 if run.outcome.value == "complete" else 3
