"""The verb `ab`: one run against two targets, and what the second one is against the first."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from . import options as cli
from .runs import RunsOption

Targets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="A B [-- ARGUMENTS]",
        help="Both targets: URLs, `local` (the bundled service), or commands in quotes that honour $PORT; B is "
        "measured against A. After `--` the scenario's own arguments.",
        show_default=False,
    ),
]
Commands = Annotated[
    list[str] | None,
    typer.Option(
        "--command",
        metavar="COMMAND",
        help="In place of A and B, twice: a service that honours $PORT, started here.",
        show_default=False,
    ),
]
Margins = Annotated[
    list[str] | None,
    typer.Option(
        "--margin",
        metavar="p95=5%",
        help="How much slower B may be: exit with 1 beyond it, with 3 when that cannot be decided. Also p50, p99, and "
        '"p95(POST /predict)=10%"; repeatable. [default: p95=5%]',
        show_default=False,
        rich_help_panel="The judgement",
    ),
]
UntilDecided = Annotated[
    bool,
    typer.Option(
        "--until-decided",
        help="End as soon as every margin is decided, by intervals that hold at every look; at the latest after "
        "--max-duration.",
        rich_help_panel="The judgement",
    ),
]
MaxDuration = Annotated[
    str | None,
    typer.Option(
        metavar="LENGTH",
        help="With --until-decided: the longest that it may take. [default: the scenario's]",
        show_default=False,
        rich_help_panel="The judgement",
    ),
]


def ab(  # long by its list of options alone: a line each
    targets: Targets = None,
    command: Commands = None,
    scenario: cli.Scenario = None,
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
    margin: Margins = None,
    until_decided: UntilDecided = False,
    max_duration: MaxDuration = None,
    slo: cli.Slo = None,
    stop_on: cli.StopOn = None,
    default_objective: cli.DefaultObjective = True,
    check: cli.Check = True,
    allow_degraded: cli.AllowDegraded = False,
    workers: cli.Workers = None,
    expect_workers: cli.ExpectWorkers = None,
    bind: cli.Bind = "127.0.0.1",
    port: cli.Port = 0,
    join_timeout: cli.JoinTimeout = "60s",
    live: cli.LivePort = None,
    open_it: cli.Open = False,
) -> int:
    """Run a scenario against two targets at once, and say whether B is slower than A.

    Half of the users call each; both see the same seconds, the same machine and payloads drawn alike, so that drift
    does not pass for a difference. The exit code says what the margins and B's objectives came to: 0 B is not slower
    beyond the margin, 1 it is or an objective was missed, 3 undecided.

    Examples:
        python lt.py ab http://127.0.0.1:8080 http://127.0.0.1:8081 --scenario steady

        python lt.py ab local local --scenario steady --duration 2m

        python lt.py ab --command "uvicorn old:app --port $PORT" --command "uvicorn new:app --port $PORT" -s my.py

        python lt.py ab URL_A URL_B -s steady --until-decided --max-duration 20m --margin p99=10%
    """
    given = locals()
    for ours in ("targets", "command", "margin", "max_duration", "allow_degraded", "live", "open_it"):
        del given[ours]

    from ..core.errors import UsageError
    from ..core.margins import DEFAULT_MARGIN
    from ..runs.options import parse_options
    from ..runs.run import run as record
    from .console import TerminalConsole
    from .decision import Decision
    from .run import live_page, print_report, written

    sides, arguments = _split(targets or [], command or [])
    if max_duration is not None and not until_decided:
        raise UsageError(f"`--max-duration {max_duration}`: valid only with --until-decided; else give --duration.")
    if until_decided:
        if duration is not None:
            raise UsageError(f"`--duration {duration}`: --until-decided takes --max-duration in its place.")
        given["duration"] = max_duration
    given |= {"sides": sides, "commands": command, "arguments": arguments, "margins": margin or [DEFAULT_MARGIN]}
    with ExitStack() as stack:
        if scenario is None:
            del given["get"]
            found = stack.enter_context(written(sides[0] if sides else "local", gets=get or [], seed=seed, yes=yes))
            given["scenario"] = found["scenario"]
        elif given.pop("get"):
            raise UsageError(f"`--get {get}`: cannot be combined with --scenario, which defines what is sent.")
        options = parse_options(**given)
        if until_decided and (of_endpoint := [margin.text for margin in options.margins if margin.scope]):
            raise UsageError(f"`--margin {of_endpoint[0]}`: --until-decided takes margins of all requests only.")
        decision = Decision(options.margins, ends=until_decided)
        page = stack.enter_context(live_page(live, open_it=open_it)) if live is not None or open_it else None
        recorded = record(options, TerminalConsole(page, lambda: decision.text), decision.begin)
        decision.keep(recorded.folder)
        return print_report(recorded, allow_degraded=allow_degraded, live=page)


def _split(targets: list[str], commands: list[str]) -> tuple[list[str], list[str]]:
    """Return both targets, none where commands stand in their place, and the scenario's own arguments.

    Raises:
        UsageError: there are not two.
    """
    from ..core.errors import UsageError

    if commands:
        if len(commands) != 2:
            raise UsageError("`--command`: give it twice, for A and for B; or name them as A and B.")
        return [], targets
    if len(targets) < 2 or targets[1].startswith("-"):
        raise UsageError(
            "Name two targets: `lt ab A B`, each a URL, `local`, or a command in quotes that honours $PORT."
        )
    return targets[:2], targets[2:]
