"""Define the options of `lt deploy`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ..core import cloud_run

Service = Annotated[str, typer.Option("--service", help="The service's name.")]
Image = Annotated[
    str | None,
    typer.Option("--image", help="Deploy this image. [default: built from the checkout]", show_default=False),
]
Build = Annotated[
    Literal["local", "cloud"] | None,
    typer.Option(
        "--build",
        help="Build with this machine's docker, or Cloud Build. [default: local; with --endpoint: nothing]",
        show_default=False,
    ),
]
BaseImage = Annotated[
    str | None,
    typer.Option(
        help="Base image of the build, such as one from a mirror. [default: the Dockerfile's python]",
        show_default=False,
    ),
]
OwnCommand = Annotated[
    str | None,
    typer.Option("--command", help="Command to run instead of the image's own.", show_default=False),
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        help=f"Most requests that an instance handles at once. [new: {cloud_run.CONCURRENCY}]", show_default=False
    ),
]
Cpu = Annotated[
    str | None, typer.Option(help=f"vCPU of an instance: 1, 0.5, 500m. [new: {cloud_run.CPU:g}]", show_default=False)
]
Memory = Annotated[
    str | None,
    typer.Option(help=f"Memory of an instance: 512Mi, 4Gi. [new: {cloud_run.MEMORY_MIB:g}Mi]", show_default=False),
]
MinInstances = Annotated[
    int | None, typer.Option(help="Instances kept running without traffic. [new: 0]", show_default=False)
]
MaxInstances = Annotated[
    str | None,
    typer.Option(
        help="Most instances at a time, or `none`. [new, or where the service has no limit: "
        f"{cloud_run.DEPLOYED_MAX_INSTANCES}]",
        show_default=False,
    ),
]
Timeout = Annotated[
    str | None,
    typer.Option(
        help=f"Time after which a request is answered with 504: 300, 5m. [new: {cloud_run.TIMEOUT_S:g}]",
        show_default=False,
    ),
]
CpuBoost = Annotated[
    bool | None,
    typer.Option(
        "--cpu-boost/--no-cpu-boost", help="Give a starting instance more CPU. [new: yes]", show_default=False
    ),
]
Port = Annotated[
    int | None,
    typer.Option(help=f"The port in the container's $PORT. [new: {cloud_run.PORT}]", show_default=False),
]
Public = Annotated[
    bool | None,
    typer.Option(
        "--allow-unauthenticated/--no-allow-unauthenticated",
        help="Allow calls without authentication. [default: unchanged; private when new]",
        show_default=False,
    ),
]
Env = Annotated[
    list[str] | None,
    typer.Option(
        "--env", metavar="K=V", help="Set an environment variable; repeatable; together they replace the service's."
    ),
]
RevisionSuffix = Annotated[
    str | None, typer.Option(help="Suffix of the revision's name, after the service's name.", show_default=False)
]
NoTraffic = Annotated[bool, typer.Option("--no-traffic", help="Send no traffic to the new revision.")]
Delete = Annotated[bool, typer.Option("--delete", help="Delete the service instead.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the commands and change nothing.")]
