"""Declare the options of `lt run`, in the groups its help shows them in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core import cloud_run

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
        help="A bundled scenario (`lt scenarios`), or the path of any locustfile. [default: generated from the OpenAPI "
        "document of the --target URL]",
        show_default=False,
    ),
]
Get = Annotated[
    list[str] | None,
    typer.Option(
        "--get",
        metavar="PATH",
        help="GET this path of the target, instead of running a scenario; repeatable.",
        show_default=False,
    ),
]
Target = Annotated[
    str,
    typer.Option(
        "--target",
        "-t",
        metavar="local|emulator|cloud|none|URL",
        help="What to test: `local` starts the bundled service on this machine, `emulator` a local Cloud Run; `none` "
        "uses the hosts that the scenario names. A URL may have any scheme.",
    ),
]
Label = Annotated[
    str | None, typer.Option(help="A label for the run, by which other verbs find it.", show_default=False)
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before load leaves this machine.")]

Users = Annotated[
    int | None,
    typer.Option(help="Most users at a time. [default: the scenario's]", show_default=False, rich_help_panel=_PLAN),
]
SpawnRate = Annotated[
    float | None,
    typer.Option(help="Users started per second. [default: the scenario's]", show_default=False, rich_help_panel=_PLAN),
]
Duration = Annotated[
    str | None,
    typer.Option(help="Length: 90s, 2m, 1h30m. [default: the scenario's]", show_default=False, rich_help_panel=_PLAN),
]
Seed = Annotated[int, typer.Option(help="Seed of the generated data.", rich_help_panel=_PLAN)]

UserClass = Annotated[
    list[str] | None,
    typer.Option(
        "--user-class",
        metavar="NAME",
        help="Run only this user class; repeatable. [default: all]",
        show_default=False,
        rich_help_panel=_PLAN,
    ),
]
Shape = Annotated[
    str | None,
    typer.Option(
        "--shape",
        metavar="NAME",
        help="The load shape to use if the scenario has several; `none` to run without one.",
        show_default=False,
        rich_help_panel=_PLAN,
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tags",
        metavar="TAG",
        help="Run only tasks with this tag; repeatable, or comma-separated.",
        show_default=False,
        rich_help_panel=_PLAN,
    ),
]
ExcludeTags = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude-tags",
        metavar="TAG",
        help="Leave out tasks with this tag; repeatable, or comma-separated.",
        show_default=False,
        rich_help_panel=_PLAN,
    ),
]
OverrideHosts = Annotated[
    bool,
    typer.Option(
        "--override-hosts",
        help="Send everything to the target, even if user classes name several hosts.",
        rich_help_panel=_PLAN,
    ),
]
Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[-- ARGUMENTS]", help="The scenario's own arguments, such as `-- --tenant a`.", show_default=False
    ),
]

Slo = Annotated[
    list[str] | None,
    typer.Option(
        "--slo",
        metavar="OBJECTIVE",
        help='An objective such as "p95(steady) < 300ms" or "error_rate < 1%"; repeatable; added to the scenario\'s.',
        show_default=False,
        rich_help_panel=_JUDGE,
    ),
]
StopOn = Annotated[
    list[str] | None,
    typer.Option(
        "--stop-on",
        metavar="CONDITION",
        help='End the run early under this condition, such as "error_rate > 50% for 10s"; repeatable.',
        show_default=False,
        rich_help_panel=_JUDGE,
    ),
]
DefaultObjective = Annotated[
    bool,
    typer.Option(
        "--default-objective/--no-default-objective",
        help="Imply the objective `error_rate < 1%` where no objective bounds errors.",
        rich_help_panel=_JUDGE,
    ),
]
Check = Annotated[
    bool,
    typer.Option(
        "--check/--no-check",
        help="End the run when the first answers of an endpoint all fail.",
        rich_help_panel=_JUDGE,
    ),
]
CheckAnswers = Annotated[
    bool,
    typer.Option(
        "--check-answers",
        help="Take the answers to the scenario's first requests before the load, and compare them under load.",
        rich_help_panel=_JUDGE,
    ),
]
IgnoreField = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore-field",
        metavar="NAME",
        help="A field of the answers that may differ, as `request_id` or `meta.time`; repeatable, or with commas.",
        show_default=False,
        rich_help_panel=_JUDGE,
    ),
]
AnswerTolerance = Annotated[
    float,
    typer.Option(
        "--answer-tolerance",
        metavar="RATIO",
        help="By how much numbers of the answers may differ: relative, or absolute below 1.",
        rich_help_panel=_JUDGE,
    ),
]
AllowDegraded = Annotated[
    bool,
    typer.Option("--allow-degraded", help="Judge the objectives even if rows are missing.", rich_help_panel=_JUDGE),
]

Workers = Annotated[
    int | None,
    typer.Option(
        help="Load-generating processes on this machine. [default: cores − 1]",
        show_default=False,
        rich_help_panel=_FLEET,
    ),
]
ExpectWorkers = Annotated[
    int | None,
    typer.Option(
        help="Total number of workers to wait for; the rest join with `lt worker`. [default: those of --workers]",
        show_default=False,
        rich_help_panel=_FLEET,
    ),
]
Bind = Annotated[
    str,
    typer.Option(
        help="Address the master listens on; beyond loopback, workers join with a secret that is printed.",
        rich_help_panel=_FLEET,
    ),
]
Port = Annotated[int, typer.Option(help="Port the master listens on; 0 takes a free one.", rich_help_panel=_FLEET)]
JoinTimeout = Annotated[str, typer.Option(help="How long to wait for the workers.", rich_help_panel=_FLEET)]
Ui = Annotated[
    int | None,
    typer.Option(
        "--ui",
        metavar="PORT",
        help="Also serve Locust's own web page, on this loopback port.",
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
        help=f"Most requests that an instance handles at once. [default: {cloud_run.CONCURRENCY}]",
        show_default=False,
        rich_help_panel=_LIMITS,
    ),
]
Cpu = Annotated[
    str | None,
    typer.Option(
        help="vCPU of an instance: 1, 0.05, or `auto` for as much as 30 requests/s need. [default: auto]",
        show_default=False,
        rich_help_panel=_LIMITS,
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        help=f"Memory of an instance. [default: {cloud_run.MEMORY_MIB:g}Mi]",
        show_default=False,
        rich_help_panel=_LIMITS,
    ),
]
MinInstances = Annotated[
    int | None,
    typer.Option(
        help="Instances kept running without traffic. [default: 0]", show_default=False, rich_help_panel=_LIMITS
    ),
]
MaxInstances = Annotated[
    int | None,
    typer.Option(
        help=f"Most instances at a time. [default: {cloud_run.DEPLOYED_MAX_INSTANCES}]",
        show_default=False,
        rich_help_panel=_LIMITS,
    ),
]
Autoscaler = Annotated[
    str, typer.Option(metavar="cloudrun|knative", help="Whose scaling rules apply.", rich_help_panel=_LIMITS)
]
Command = Annotated[
    str | None,
    typer.Option(
        help="Command that starts a service on $PORT. [default: the bundled one]",
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
    str | None,
    typer.Option(help="Region of the service, such as europe-west2.", show_default=False, rich_help_panel=_CLOUD),
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Use a local Cloud Run (`lt emulate`) instead of Google.",
        show_default=False,
        rich_help_panel=_CLOUD,
    ),
]
MaxCost = Annotated[
    float | None,
    typer.Option(
        metavar="USD",
        help="Refuse a run whose estimated cost is above this; stop one whose projected cost passes it.",
        show_default=False,
        rich_help_panel=_CLOUD,
    ),
]
Prices = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="JSON file with prices that replace the built-in, dated ones (docs/run-folder.md).",
        show_default=False,
        rich_help_panel=_CLOUD,
    ),
]
FreeTier = Annotated[
    bool,
    typer.Option("--free-tier", help="Subtract the monthly free tier from every cost.", rich_help_panel=_CLOUD),
]
