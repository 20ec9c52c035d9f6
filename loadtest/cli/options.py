"""Declare the options of `lt run`, in the groups its help shows them in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_PLAN, _JUDGE, _PAGE, _FLEET, _LIMITS, _CLOUD = (
    "The load",
    "The judgement",
    "The live page",
    "Load generators",
    "The local Cloud Run (--target emulator)",
    "Cloud Run (--target cloud)",
)

Scenario = Annotated[
    str | None,
    typer.Option(
        "--scenario",
        "-s",
        help="A bundled scenario (`lt scenarios`), or the path of any locustfile. [default: written from the OpenAPI "
        "document of the --target URL]",
        show_default=False,
    ),
]
Get = Annotated[
    list[str] | None,
    typer.Option(
        "--get",
        metavar="PATH",
        help="In place of a scenario: GET this path of the target; repeatable.",
        show_default=False,
    ),
]
Target = Annotated[
    str,
    typer.Option(
        "--target",
        "-t",
        metavar="local|emulator|cloud|none|URL",
        help="What to test; `local` starts the bundled service here, `emulator` a local Cloud Run, `none` leaves it to "
        "the scenario's own hosts. A URL may have any scheme.",
    ),
]
Label = Annotated[str | None, typer.Option(help="A name of your own for the run.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before load leaves this machine.")]

Users = Annotated[
    int | None,
    typer.Option(help="Most users at a time. [default: the scenario's]", show_default=False, rich_help_panel=_PLAN),
]
SpawnRate = Annotated[
    float | None,
    typer.Option(help="Users started per s. [default: the scenario's]", show_default=False, rich_help_panel=_PLAN),
]
Duration = Annotated[
    str | None,
    typer.Option(help="Length: 90s, 2m, 1h30m. [default: the scenario's]", show_default=False, rich_help_panel=_PLAN),
]
Seed = Annotated[int, typer.Option(help="Seed of what is sent.", rich_help_panel=_PLAN)]

UserClass = Annotated[
    list[str] | None,
    typer.Option(
        "--user-class",
        metavar="NAME",
        help="Run this user class only; repeatable. [default: all]",
        show_default=False,
        rich_help_panel=_PLAN,
    ),
]
Shape = Annotated[
    str | None,
    typer.Option(
        "--shape",
        metavar="NAME",
        help="The load shape, where the scenario has several; `none` to run without one.",
        show_default=False,
        rich_help_panel=_PLAN,
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tags",
        metavar="TAG",
        help="Run only tasks with this tag; repeatable, or with commas.",
        show_default=False,
        rich_help_panel=_PLAN,
    ),
]
ExcludeTags = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude-tags",
        metavar="TAG",
        help="Leave out tasks with this tag; repeatable, or with commas.",
        show_default=False,
        rich_help_panel=_PLAN,
    ),
]
OverrideHosts = Annotated[
    bool,
    typer.Option(
        "--override-hosts",
        help="Send everything to the target, also where user classes name several hosts.",
        rich_help_panel=_PLAN,
    ),
]
Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[-- ARGUMENTS]", help="The scenario's own arguments, as `-- --tenant a`.", show_default=False
    ),
]

Slo = Annotated[
    list[str] | None,
    typer.Option(
        "--slo",
        metavar="OBJECTIVE",
        help='An objective, as "p95(steady) < 300ms" or "error_rate < 1%"; repeatable, beside the scenario\'s own.',
        show_default=False,
        rich_help_panel=_JUDGE,
    ),
]
StopOn = Annotated[
    list[str] | None,
    typer.Option(
        "--stop-on",
        metavar="CONDITION",
        help='End the run early when this is so: "error_rate > 50% for 10s"; repeatable.',
        show_default=False,
        rich_help_panel=_JUDGE,
    ),
]
DefaultObjective = Annotated[
    bool,
    typer.Option(
        "--default-objective/--no-default-objective",
        help="Judge `error_rate < 1%` where no objective bounds errors.",
        rich_help_panel=_JUDGE,
    ),
]
AllowDegraded = Annotated[
    bool,
    typer.Option("--allow-degraded", help="Judge a run with missing rows all the same.", rich_help_panel=_JUDGE),
]

Workers = Annotated[
    int | None,
    typer.Option(
        help="Load-generating processes here. [default: cores − 1]", show_default=False, rich_help_panel=_FLEET
    ),
]
ExpectWorkers = Annotated[
    int | None,
    typer.Option(
        help="Wait for this many in all; others join with `lt worker`. [default: those of --workers]",
        show_default=False,
        rich_help_panel=_FLEET,
    ),
]
Bind = Annotated[
    str,
    typer.Option(
        help="Address the master listens on; off loopback, workers join with the secret that is printed.",
        rich_help_panel=_FLEET,
    ),
]
Port = Annotated[int, typer.Option(help="Port of it; 0 takes a free one.", rich_help_panel=_FLEET)]
JoinTimeout = Annotated[str, typer.Option(help="How long to wait for the workers.", rich_help_panel=_FLEET)]
Ui = Annotated[
    int | None,
    typer.Option(
        "--ui",
        metavar="PORT",
        help="Open Locust's own web page on this loopback port beside it.",
        show_default=False,
        rich_help_panel=_FLEET,
    ),
]
LivePort = Annotated[
    int | None,
    typer.Option(
        "--live",
        metavar="PORT",
        min=0,
        max=65_535,
        help="Serve the report on this loopback port while the run goes; 0 takes a free one.",
        show_default=False,
        rich_help_panel=_PAGE,
    ),
]
Open = Annotated[
    bool,
    typer.Option("--open", help="Open the live page in the browser; it becomes the report.", rich_help_panel=_PAGE),
]

Concurrency = Annotated[
    int | None,
    typer.Option(
        help="Requests an instance is given at once. [default: 80]", show_default=False, rich_help_panel=_LIMITS
    ),
]
Cpu = Annotated[
    str | None,
    typer.Option(
        help="vCPU of an instance: 1, 0.05, or `auto` for what serves 30 requests/s. [default: auto]",
        show_default=False,
        rich_help_panel=_LIMITS,
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(help="Memory of an instance. [default: 512Mi]", show_default=False, rich_help_panel=_LIMITS),
]
MinInstances = Annotated[
    int | None,
    typer.Option(help="Instances kept with no traffic. [default: 0]", show_default=False, rich_help_panel=_LIMITS),
]
MaxInstances = Annotated[
    int | None,
    typer.Option(help="Most instances at a time. [default: 20]", show_default=False, rich_help_panel=_LIMITS),
]
Autoscaler = Annotated[
    str, typer.Option(metavar="cloudrun|knative", help="Whose rules decide.", rich_help_panel=_LIMITS)
]
Command = Annotated[
    str | None,
    typer.Option(
        help="Any other service that honours $PORT. [default: the bundled one]",
        show_default=False,
        rich_help_panel=_LIMITS,
    ),
]

Service = Annotated[
    str | None,
    typer.Option(help="The service's name, or its run.app URL.", show_default=False, rich_help_panel=_CLOUD),
]
Project = Annotated[
    str | None,
    typer.Option(help="Google Cloud project. [default: the credentials']", show_default=False, rich_help_panel=_CLOUD),
]
Region = Annotated[
    str | None, typer.Option(help="Its region, as europe-west2.", show_default=False, rich_help_panel=_CLOUD)
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Speak to a local Cloud Run (`lt emulate`) instead of Google.",
        show_default=False,
        rich_help_panel=_CLOUD,
    ),
]
MaxCost = Annotated[
    float | None,
    typer.Option(
        metavar="USD",
        help="Refuse a run estimated above this, and stop one whose projection passes it.",
        show_default=False,
        rich_help_panel=_CLOUD,
    ),
]
Prices = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="JSON with prices in place of the dated built-in ones (docs/run-folder.md).",
        show_default=False,
        rich_help_panel=_CLOUD,
    ),
]
FreeTier = Annotated[
    bool,
    typer.Option("--free-tier", help="Take the month's free amounts off every cost.", rich_help_panel=_CLOUD),
]
