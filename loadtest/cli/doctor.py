"""The verb `doctor`: say what is missing or risky before a long run."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..core import cloud_run
from . import options as cli
from .runs import RunsOption

if TYPE_CHECKING:  # each verb imports these itself, so that `lt --help` stays fast
    from ..core.checks import Check


def doctor(
    target: Annotated[
        Literal["local", "emulator", "cloud"],
        typer.Option("--target", "-t", help="Target of the planned run; `cloud` checks the service too."),
    ] = "local",
    users: Annotated[int, typer.Option(help="Maximum number of users in the planned run.")] = 300,
    workers: Annotated[
        int | None, typer.Option(help="Workers on this machine. [default: cores − 1]", show_default=False)
    ] = None,
    duration: Annotated[str, typer.Option(help="Length of the planned run: 90s, 2m, 1h.")] = "2m",
    service: Annotated[str, typer.Option("--service", help="The service: its name, or its run.app URL.")] = (
        cloud_run.SERVICE
    ),
    project: cli.Project = None,
    region: cli.Region = None,
    path: Annotated[str, typer.Option(help="Path to which one real request is posted.")] = "/predict",
    endpoint: cli.Endpoint = None,
    runs: RunsOption = Path("runs"),
) -> int:
    """Say what is missing or risky before a long run: ✓ good, ! risky, ✗ missing, each with the command that fixes it.

    Checking a cloud target sends four requests to the service. The exit code is 4 if something is missing.

    Examples:
        python lt.py doctor

        python lt.py doctor --target cloud --project my-project --region europe-west2 --duration 1h
    """
    from target_service.schema import EXAMPLES

    from ..core.errors import UsageError
    from ..core.exit_codes import ExitCode
    from ..platforms.base import CheckRequest, TargetOptions
    from ..platforms.cloudrun.settings import parse_timeout
    from ..platforms.registry import platform_of
    from .machine import check_machine

    for option, number in (("--users", users), ("--workers", 1 if workers is None else workers)):
        if number < 1:
            raise UsageError(f"`{option} {number}`: must be at least 1.")
    request = CheckRequest(
        options=TargetOptions(service=service, project=project, region=region, endpoint=endpoint),
        run_s=parse_timeout(duration, option="--duration"),
        path=path,
        payload=EXAMPLES[0],
    )
    here = check_machine(users=users, workers=workers or max(1, (os.cpu_count() or 2) - 1), runs=runs)
    there = platform_of("cloud" if endpoint is not None else target).checks(request)
    good = [_shown(check) for check in itertools.chain(here, there)]
    return 0 if all(good) else ExitCode.UNUSABLE


def _shown(check: Check) -> bool:
    """Print a check; return False if its result prevents a run."""
    from ..core.checks import Mark
    from .terminal import out

    color = {Mark.GOOD: "green", Mark.RISKY: "yellow", Mark.BAD: "red"}[check.mark]
    out.print(f"[{color}]{check.mark}[/] {check.name}: ", end="")
    out.print(check.finding, markup=False)
    if check.cure and check.mark is not Mark.GOOD:
        out.print(f"    → {check.cure}", markup=False)
    return check.mark is not Mark.BAD
