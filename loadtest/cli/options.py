"""Declare the options that several verbs share, in the groups that their help shows."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from ..core import cloud_run
from .runs import RunsOption

PLAN, JUDGE, PAGE, FLEET, LIMITS, CLOUD = (
    "The load",
    "The judgement",
    "The live page",
    "Load generators",
    "The local Cloud Run (--target emulator)",
    "Cloud Run (--target cloud)",
)


def option(help: str, *names: str, panel: str | None = None, metavar: str | None = None, **more: Any) -> Any:
    """Declare an option. If the default is not a fixed value, write `[default: …]` in the help text."""
    return typer.Option(*names, help=help, rich_help_panel=panel, metavar=metavar, **more)


def takes(*groups: type) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a verb the options that these classes declare as attributes, in this order."""
    declared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=getattr(group, name), annotation=annotation)
        for group in groups
        for name, annotation in get_type_hints(group, include_extras=True).items()
    ]

    def with_options(verb: Callable[..., int]) -> Callable[..., int]:
        verb.__signature__ = inspect.Signature(declared, return_annotation=int)  # type: ignore[attr-defined]
        return verb

    return with_options


class Common:
    """The options that say what is run, and where it is recorded."""

    scenario: Annotated[
        str | None,
        option(
            "A bundled scenario (`lt scenarios`), or the path of any locustfile. [default: generated from the OpenAPI "
            "document of the --target URL]",
            "--scenario",
            "-s",
        ),
    ] = None
    get: Annotated[
        list[str] | None,
        option("GET this path of the target, instead of running a scenario; repeatable.", "--get", metavar="PATH"),
    ] = None
    label: Annotated[str | None, option("A label for the run, by which other verbs find it.")] = None
    yes: Annotated[bool, option("Do not ask before sending load to another machine.", "--yes", "-y")] = False
    runs: RunsOption = Path("runs")


class Plan:
    """The options that say how much load is sent, and by which users and tasks."""

    users: Annotated[int | None, option("Maximum number of users. [default: the scenario's]", panel=PLAN)] = None
    spawn_rate: Annotated[float | None, option("Users started per second. [default: the scenario's]", panel=PLAN)] = (
        None
    )
    duration: Annotated[str | None, option("Length: 90s, 2m, 1h30m. [default: the scenario's]", panel=PLAN)] = None
    seed: Annotated[int, option("Seed of the generated data.", panel=PLAN)] = 1
    user_class: Annotated[
        list[str] | None,
        option("Run only this user class; repeatable. [default: all]", panel=PLAN, metavar="NAME"),
    ] = None
    shape: Annotated[
        str | None,
        option(
            "The load shape to use if the scenario has several; `none` to run without one.", panel=PLAN, metavar="NAME"
        ),
    ] = None
    tags: Annotated[
        list[str] | None,
        option("Run only tasks with this tag; repeatable, or comma-separated.", panel=PLAN, metavar="TAG"),
    ] = None
    exclude_tags: Annotated[
        list[str] | None,
        option("Leave out tasks with this tag; repeatable, or comma-separated.", panel=PLAN, metavar="TAG"),
    ] = None
    override_hosts: Annotated[
        bool,
        option(
            "Send all requests to the target, even if user classes name several hosts.", "--override-hosts", panel=PLAN
        ),
    ] = False


class Judgement:
    """The options for objectives and for conditions that end the run."""

    slo: Annotated[
        list[str] | None,
        option(
            'An objective such as "p95(steady) < 300ms" or "error_rate < 1%"; repeatable; '
            "added to the objectives of the scenario.",
            panel=JUDGE,
            metavar="OBJECTIVE",
        ),
    ] = None
    stop_on: Annotated[
        list[str] | None,
        option(
            'End the run early under this condition, such as "error_rate > 50% for 10s"; repeatable.',
            panel=JUDGE,
            metavar="CONDITION",
        ),
    ] = None
    default_objective: Annotated[
        bool, option("Add the objective `error_rate < 1%` if no objective limits errors.", panel=JUDGE)
    ] = True
    check: Annotated[bool, option("End the run if the first answers of an endpoint all fail.", panel=JUDGE)] = True
    allow_degraded: Annotated[
        bool,
        option("Judge the objectives even if the run is degraded (rows are missing).", "--allow-degraded", panel=JUDGE),
    ] = False


class Fleet:
    """The options of the processes that make the load."""

    workers: Annotated[
        int | None, option("Load-generating processes on this machine. [default: cores − 1]", panel=FLEET)
    ] = None
    expect_workers: Annotated[
        int | None,
        option(
            "Total number of workers to wait for, including those that join with `lt worker`. [default: the number of "
            "--workers]",
            panel=FLEET,
        ),
    ] = None
    bind: Annotated[
        str,
        option(
            "Address the master listens on. On an address other than loopback, workers need a secret to join; `lt` "
            "prints it.",
            panel=FLEET,
        ),
    ] = "127.0.0.1"
    port: Annotated[int, option("Port the master listens on; 0 takes a free port.", panel=FLEET)] = 0
    join_timeout: Annotated[str, option("How long to wait for the workers.", panel=FLEET)] = "60s"


class Page:
    """The options of the live page."""

    live: Annotated[
        int | None,
        option(
            "Serve the report on this loopback port during the run; 0 takes a free port.",
            panel=PAGE,
            metavar="PORT",
            min=0,
            max=65_535,
        ),
    ] = None
    open_it: Annotated[
        bool, option("Open the live page in the browser; at the end the page shows the report.", "--open", panel=PAGE)
    ] = False


Project = Annotated[str | None, option("Google Cloud project. [default: the credentials']", panel=CLOUD)]
Region = Annotated[str | None, option("Region of the service, such as europe-west2.", panel=CLOUD)]
Endpoint = Annotated[
    str | None,
    option("Use a local Cloud Run (`lt emulate`) instead of Google.", panel=CLOUD, metavar="HOST:PORT"),
]


Prices = Annotated[
    Path | None,
    option(
        "JSON file with prices that replace the built-in list prices (docs/run-folder.md).", panel=CLOUD, metavar="FILE"
    ),
]
FreeTier = Annotated[bool, option("Subtract the monthly free tier from every cost.", "--free-tier", panel=CLOUD)]


class Target:
    """The options of the target."""

    target: Annotated[
        str,
        option(
            "What to test: `local` starts the bundled service on this machine, `emulator` a local Cloud Run; `none` "
            "uses the hosts that the scenario names. A URL may have any scheme.",
            "--target",
            "-t",
            metavar="local|emulator|cloud|none|URL",
        ),
    ] = "local"
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- ARGUMENTS]", help="The scenario's own arguments, such as `-- --tenant a`."),
    ] = None


class Answers:
    """The options that say how answers under load are compared with answers from before the load."""

    check_answers: Annotated[
        bool,
        option(
            "Send the scenario's first requests before the load, and compare the answers under load with these "
            "answers.",
            "--check-answers",
            panel=JUDGE,
        ),
    ] = False
    ignore_field: Annotated[
        list[str] | None,
        option(
            "A field of the answers that may differ, such as `request_id` or `meta.time`; repeatable, or "
            "comma-separated.",
            panel=JUDGE,
            metavar="NAME",
        ),
    ] = None
    answer_tolerance: Annotated[
        float,
        option(
            "How much numbers in answers may differ: relative to the number, absolute for numbers below 1.",
            panel=JUDGE,
            metavar="RATIO",
        ),
    ] = 1e-6


class LocustPage:
    """The options of Locust's own web page."""

    ui: Annotated[
        int | None,
        option("Also serve Locust's own web page, on this loopback port.", panel=FLEET, metavar="PORT"),
    ] = None


class Service:
    """The options of the service that a run starts, or finds on Cloud Run."""

    concurrency: Annotated[
        int | None,
        option(f"Most requests that an instance handles at once. [default: {cloud_run.CONCURRENCY}]", panel=LIMITS),
    ] = None
    cpu: Annotated[
        str | None,
        option("vCPU of an instance: 1, 0.05, or `auto`: enough for 30 requests/s. [default: auto]", panel=LIMITS),
    ] = None
    memory: Annotated[
        str | None, option(f"Memory of an instance. [default: {cloud_run.MEMORY_MIB:g}Mi]", panel=LIMITS)
    ] = None
    min_instances: Annotated[
        int | None, option("Instances kept running without traffic. [default: none]", panel=LIMITS)
    ] = None
    max_instances: Annotated[
        int | None, option(f"Most instances at a time. [default: {cloud_run.DEPLOYED_MAX_INSTANCES}]", panel=LIMITS)
    ] = None
    autoscaler: Annotated[str, option("Whose scaling rules apply.", panel=LIMITS, metavar="cloudrun|knative")] = (
        "cloudrun"
    )
    command: Annotated[
        str | None, option("Command that starts a service on $PORT. [default: the bundled service]", panel=LIMITS)
    ] = None
    service: Annotated[str | None, option("The service's name, or its run.app URL.", panel=CLOUD)] = None
    project: Project = None
    region: Region = None
    endpoint: Endpoint = None
    max_cost: Annotated[
        float | None,
        option(
            "Reject the run if its estimated cost is above this, and end it early if its projected cost exceeds this.",
            panel=CLOUD,
            metavar="USD",
        ),
    ] = None
    prices: Prices = None
    free_tier: FreeTier = False
