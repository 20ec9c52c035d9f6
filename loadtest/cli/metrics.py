"""The verb `metrics`: fetch (again) the Cloud Run series of a recorded run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as cli
from .runs import RunsOption


def metrics(
    run: Annotated[
        str, typer.Argument(help="The run: its id, a prefix of it, its label, `latest`, or a path.")
    ] = "latest",
    service: Annotated[
        str | None,
        typer.Option("--service", help="Use this service instead of the service of the run.", show_default=False),
    ] = None,
    project: cli.Project = None,
    region: cli.Region = None,
    endpoint: cli.Endpoint = None,
    runs: RunsOption = Path("runs"),
) -> int:
    """Fetch the series of a run's Cloud Run service, wait until they cover the run, and store them in the run folder.

    Series that were stored before are replaced when all new series have arrived. Make the run's report again to use the
    new series.

    Examples:
        python lt.py metrics latest

        python lt.py metrics 20260817T101500Z-ramp300-cloud --project my-project --region europe-west2
    """
    from rich.markup import escape

    from ..api import refresh_index
    from ..platforms.base import TargetOptions
    from ..platforms.registry import platform_of
    from ..recording.catalogue import find_run
    from .console import TerminalConsole
    from .terminal import talk

    folder = find_run(runs, run)
    record = folder.ensure_sealed()
    place = TargetOptions(service=service, project=project, region=region, endpoint=endpoint)
    platform_of(record.target.kind).fetch_metrics(folder, record, place, TerminalConsole())
    refresh_index(folder.path.parent)
    talk.print(
        f"[green]✓[/] stored in {escape(str(folder.path))}; make the report again: "
        f"python lt.py report {escape(record.id)}"
    )
    return 0
