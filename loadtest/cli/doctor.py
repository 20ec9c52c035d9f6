"""The verb `doctor`: say what is missing or risky before a long run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..core import cloud_run
from . import options as cli
from .runs import RunsOption


def doctor(
    target: Annotated[
        Literal["local", "emulator", "cloud"],
        typer.Option("--target", "-t", help="What the run will be against; `cloud` looks at the service too."),
    ] = "local",
    users: Annotated[int, typer.Option(help="Most users at a time, of the planned run.")] = 300,
    workers: Annotated[
        int | None, typer.Option(help="Workers on this machine. [default: cores − 1]", show_default=False)
    ] = None,
    duration: Annotated[str, typer.Option(help="Length of the planned run: 90s, 2m, 1h.")] = "2m",
    service: Annotated[str, typer.Option("--service", help="The service: its name, or its run.app URL.")] = (
        cloud_run.SERVICE
    ),
    project: cli.Project = None,
    region: cli.Region = None,
    path: Annotated[str, typer.Option(help="Where one real request is posted.")] = "/predict",
    endpoint: cli.Endpoint = None,
    runs: RunsOption = Path("runs"),
) -> int:
    """Say what is missing or risky before a long run: ✓ good, ! risky, ✗ missing, each with the command that cures it.

    Looking at the cloud sends four requests to the service. Ends with 4 when something is missing.

    Examples:
        python lt.py doctor

        python lt.py doctor --target cloud --project my-project --region europe-west2 --duration 1h
    """
    from target_service.schema import EXAMPLES

    from ..core.checks import Check, Mark
    from ..core.errors import UsageError
    from ..core.exit_codes import ExitCode
    from ..platforms.base import CheckRequest, TargetOptions
    from ..platforms.cloudrun.settings import parse_timeout
    from ..platforms.registry import platform_of
    from .machine import check_machine
    from .terminal import out

    for option, number in (("--users", users), ("--workers", 1 if workers is None else workers)):
        if number < 1:
            raise UsageError(f"`{option} {number}`: must be at least 1.")
    request = CheckRequest(
        options=TargetOptions(service=service, project=project, region=region, endpoint=endpoint),
        run_s=parse_timeout(duration, option="--duration"),
        path=path,
        payload=EXAMPLES[0],
    )
    color = {Mark.GOOD: "green", Mark.RISKY: "yellow", Mark.BAD: "red"}
    found: list[Check] = []

    def show(check: Check) -> None:
        found.append(check)
        out.print(f"[{color[check.mark]}]{check.mark}[/] {check.name}: ", end="")
        out.print(check.finding, markup=False)
        if check.cure and check.mark is not Mark.GOOD:
            out.print(f"    → {check.cure}", markup=False)

    for check in check_machine(users=users, workers=workers or max(1, (os.cpu_count() or 2) - 1), runs=runs):
        show(check)
    for check in platform_of("cloud" if endpoint is not None else target).checks(request):
        show(check)
    return ExitCode.UNUSABLE if any(check.mark is Mark.BAD for check in found) else 0
