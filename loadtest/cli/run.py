"""The verb `run`: record a scenario against a target, then report it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from . import options as words
from .runs import RunsOption

if TYPE_CHECKING:  # imported by the verb itself: `lt --help` must not pay for it
    from ..recording.folder import RunFolder


def run(  # long by its list of options alone: a line each
    scenario: words.Scenario = None,
    arguments: words.Arguments = None,
    target: words.Target = "local",
    get: words.Get = None,
    label: words.Label = None,
    yes: words.Yes = False,
    runs: RunsOption = Path("runs"),
    users: words.Users = None,
    spawn_rate: words.SpawnRate = None,
    duration: words.Duration = None,
    seed: words.Seed = 1,
    user_class: words.UserClass = None,
    shape: words.Shape = None,
    tags: words.Tags = None,
    exclude_tags: words.ExcludeTags = None,
    override_hosts: words.OverrideHosts = False,
    slo: words.Slo = None,
    stop_on: words.StopOn = None,
    default_objective: words.DefaultObjective = True,
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

        python lt.py run --target http://127.0.0.1:8080

        python lt.py run --scenario my_locustfile.py --target http://127.0.0.1:8080 --users 50 --duration 2m
    """
    given = locals()
    del given["allow_degraded"]  # of the report, not of the run

    from ..core.errors import UsageError
    from ..core.exit_codes import ExitCode
    from ..runs.options import parse_options
    from ..runs.run import run as record
    from .console import TerminalConsole

    with ExitStack() as stack:
        if scenario is None:
            del given["get"]
            given |= stack.enter_context(written(target, gets=get or [], seed=seed, yes=yes))
        elif given.pop("get"):
            raise UsageError(f"`--get {get}`: not beside --scenario, which says itself what it sends.")
        recorded = record(parse_options(**given), TerminalConsole())
    code = _report(recorded.folder, allow_degraded=allow_degraded)
    return ExitCode.INTERRUPTED if recorded.interrupted else ExitCode.MISSED if recorded.aborted else code


@contextmanager
def written(url: str, *, gets: list[str], seed: int, yes: bool) -> Iterator[dict[str, str]]:
    """Write a scenario for a run that names none; yield the options that it replaces."""
    from ..core.addresses import parse_base_url
    from ..core.errors import UsageError
    from ..openapi.quick import quick_scenario
    from ..openapi.wire import HttpWire
    from .init import ask_before_trying, say_tried

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
    with quick_scenario(url, gets=gets, seed=seed, wire=HttpWire(), say=say_tried) as quick:
        yield {"scenario": str(quick.path), "target": quick.target}


def _report(folder: RunFolder, *, allow_degraded: bool) -> int:
    """Print the summary, write the page, and return what the objectives came to as an exit code."""
    from reports.render.text import render_text
    from reports.summary.build import build_report

    from ..api import write_page
    from .report import exit_code
    from .terminal import out, write_data

    made = build_report([folder.path])
    page = write_page(made, [folder])
    write_data(render_text(made, brief=True) + "\n")
    out.print(f"report: {page}", markup=False)
    return exit_code(made, allow_degraded=allow_degraded)
