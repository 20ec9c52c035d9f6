"""Define the options of `lt deploy`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

Service = Annotated[str, typer.Option("--service", help="The service's name.")]
Image = Annotated[
    str | None, typer.Option("--image", help="Deploy this image. [default: build ours]", show_default=False)
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
    typer.Option(help="Build on this image, as of a mirror. [default: the Dockerfile's python]", show_default=False),
]
OwnCommand = Annotated[
    str | None,
    typer.Option("--command", help="Run this instead of the image's own command.", show_default=False),
]
Concurrency = Annotated[
    int | None, typer.Option(help="The most requests of an instance at the same time. [new: 80]", show_default=False)
]
Cpu = Annotated[str | None, typer.Option(help="vCPU of an instance: 1, 0.5, 500m. [new: 1]", show_default=False)]
Memory = Annotated[str | None, typer.Option(help="Memory of an instance: 512Mi, 4Gi. [new: 512Mi]", show_default=False)]
MinInstances = Annotated[int | None, typer.Option(help="Instances kept with no traffic. [new: 0]", show_default=False)]
MaxInstances = Annotated[
    str | None,
    typer.Option(help="Most instances at a time, or `none`. [new, or without any: 20]", show_default=False),
]
Timeout = Annotated[
    str | None,
    typer.Option(help="After which a request is answered 504: 300, 5m. [new: 300]", show_default=False),
]
CpuBoost = Annotated[
    bool | None,
    typer.Option(
        "--cpu-boost/--no-cpu-boost", help="Give a starting instance more CPU. [new: yes]", show_default=False
    ),
]
Port = Annotated[
    int | None,
    typer.Option(help="The port in the container's $PORT. [new: 8080]", show_default=False),
]
Public = Annotated[
    bool | None,
    typer.Option(
        "--allow-unauthenticated/--no-allow-unauthenticated",
        help="Let everyone call it. [default: as it is; private when new]",
        show_default=False,
    ),
]
Env = Annotated[
    list[str] | None,
    typer.Option("--env", metavar="K=V", help="Set a variable, repeatable; those given replace the service's."),
]
RevisionSuffix = Annotated[
    str | None, typer.Option(help="Name of the revision after the service's.", show_default=False)
]
NoTraffic = Annotated[bool, typer.Option("--no-traffic", help="Leave the traffic where it is.")]
Delete = Annotated[bool, typer.Option("--delete", help="Take the service away instead.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the commands, change nothing.")]
