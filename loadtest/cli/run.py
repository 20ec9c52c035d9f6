"""The verb `run`: record a scenario against a target, then report it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from . import options as cli
from .runs import RunsOption

if TYPE_CHECKING:  # imported by the verb itself: `lt --help` must not pay for it
    from ..runs.run import RunResult
    from .live import LivePage

SHOWN_CHARS = 500
"""Of the body of a failed answer; the report and `failures.csv` have more."""


def run(  # long by its list of options alone: a line each
    scenario: cli.Scenario = None,
    arguments: cli.Arguments = None,
    target: cli.Target = "local",
    get: cli.Get = None,
    label: cli.Label = None,
    yes: cli.Yes = False,
    runs: RunsOption = Path("runs"),
    users: cli.Users = None,
    spawn_rate: cli.SpawnRate = None,
    duration: cli.Duration = None,
    seed: cli.Seed = 1,
    user_class: cli.UserClass = None,
    shape: cli.Shape = None,
    tags: cli.Tags = None,
    exclude_tags: cli.ExcludeTags = None,
    override_hosts: cli.OverrideHosts = False,
    slo: cli.Slo = None,
    stop_on: cli.StopOn = None,
    default_objective: cli.DefaultObjective = True,
    check: cli.Check = True,
    check_answers: cli.CheckAnswers = False,
    ignore_field: cli.IgnoreField = None,
    answer_tolerance: cli.AnswerTolerance = 1e-6,
    allow_degraded: cli.AllowDegraded = False,
    workers: cli.Workers = None,
    expect_workers: cli.ExpectWorkers = None,
    bind: cli.Bind = "127.0.0.1",
    port: cli.Port = 0,
    join_timeout: cli.JoinTimeout = "60s",
    ui: cli.Ui = None,
    live: cli.LivePort = None,
    open_it: cli.Open = False,
    concurrency: cli.Concurrency = None,
    cpu: cli.Cpu = None,
    memory: cli.Memory = None,
    min_instances: cli.MinInstances = None,
    max_instances: cli.MaxInstances = None,
    autoscaler: cli.Autoscaler = "cloudrun",
    command: cli.Command = None,
    service: cli.Service = None,
    project: cli.Project = None,
    region: cli.Region = None,
    endpoint: cli.Endpoint = None,
    max_cost: cli.MaxCost = None,
    prices: cli.Prices = None,
    free_tier: cli.FreeTier = False,
) -> int:
    """Run a scenario, record every request, print the summary and write the report.

    Examples:
        python lt.py run --scenario ramp300

        python lt.py run --scenario ramp300 --target emulator

        python lt.py run --scenario step --duration 10m --slo "p95(steady) < 300ms"

        python lt.py run --target http://127.0.0.1:8080

        python lt.py run --scenario my_locustfile.py --target http://127.0.0.1:8080 --users 50 --duration 2m
    """
    given = locals()
    for of_the_page in ("allow_degraded", "live", "open_it"):  # of the report, not of the run
        del given[of_the_page]

    from ..core.errors import UsageError
    from ..runs.options import parse_options
    from ..runs.run import run as record
    from .console import TerminalConsole

    with ExitStack() as stack:
        if scenario is None:
            del given["get"]
            given |= stack.enter_context(written(target, gets=get or [], seed=seed, yes=yes))
        elif given.pop("get"):
            raise UsageError(f"`--get {get}`: cannot be combined with --scenario, which defines what is sent.")
        options = parse_options(**given)
        page = stack.enter_context(live_page(live, open_it=open_it)) if live is not None or open_it else None
        recorded = record(options, TerminalConsole(page))
        return print_report(recorded, allow_degraded=allow_degraded, live=page)


@contextmanager
def written(url: str, *, gets: list[str], seed: int, yes: bool) -> Iterator[dict[str, str]]:
    """Write a scenario for a run that names none; yield the options that it replaces."""
    from ..core.addresses import parse_base_url
    from ..core.errors import UsageError
    from ..openapi.quick import quick_scenario
    from ..openapi.wire import HttpWire
    from .init import ask_before_trying, show_tried

    if ":" in url:
        url = parse_base_url(url, option="--target")
        url = url if "://" in url else f"http://{url}"
    if not url.startswith(("http://", "https://")):
        raise UsageError(
            f"`--target {url}` without --scenario: name a scenario (`lt scenarios` lists them), or give the URL of a "
            "service whose OpenAPI document says what to send."
        )
    if not gets:
        ask_before_trying(url, yes=yes)
    with quick_scenario(url, gets=gets, seed=seed, wire=HttpWire(), say=show_tried) as quick:
        yield {"scenario": str(quick.path), "target": quick.target}


@contextmanager
def live_page(port: int | None, *, open_it: bool) -> Iterator[LivePage]:
    """Serve the run's page while the block lasts; it shows what ends the block early."""
    from ..core.errors import LoadTestError
    from .live import LivePage
    from .terminal import talk

    with LivePage(port or 0) as page:
        talk.print(f"live page: {page.url}", markup=False)
        if open_it:
            typer.launch(page.url)
        try:
            yield page
        except LoadTestError as error:
            page.fail(str(error))
            raise


def print_report(recorded: RunResult, *, allow_degraded: bool, live: LivePage | None) -> int:
    """Print the summary, write the page, and return what the run and its objectives came to as an exit code."""
    from reports.render.text import render_text
    from reports.summary.build import build_report

    from ..api import write_page
    from ..core.exit_codes import ExitCode
    from .report import exit_code
    from .terminal import out, write_data

    if live is not None:
        live.reporting()
    made = build_report([recorded.folder.path])
    page = write_page(made, [recorded.folder])
    write_data(render_text(made, brief=True) + "\n")
    out.print(f"report: {page}", markup=False)
    show_failing(recorded)
    if live is not None:
        live.finish(page)
    code = exit_code(made, allow_degraded=allow_degraded)
    return ExitCode.INTERRUPTED if recorded.interrupted else ExitCode.MISSED if recorded.aborted else code


def show_failing(recorded: RunResult) -> None:
    """Print each endpoint whose first answers all failed, with what the first of them says, and the way out."""
    from reports.render.bodies import gist_of

    from .terminal import talk

    bodies = {(body.method, body.name, body.status): body.body for body in recorded.record.failed_bodies}
    for end in recorded.failing:
        body = bodies.get((end.method, end.name, end.status), "")
        talk.print(f"\n[red]✗[/] {escape(end.sentence)}.")
        gist = gist_of(body)
        for text in dict.fromkeys(filter(None, (gist, body[:SHOWN_CHARS]))):
            talk.print(f"  {text}", markup=False, highlight=False)
    if recorded.failing:
        talk.print("Correct the scenario or the service; `--no-check` lets the load go on all the same.", markup=False)
