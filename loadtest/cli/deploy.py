"""The verb `deploy`: deploy the target service to Cloud Run or to the emulator, or delete it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ..core import cloud_run
from .options import Endpoint, Project, Region, option, takes


class Deploy:
    """The options that say what is deployed, where, and with which settings."""

    service: Annotated[str, option("The service's name.", "--service")] = cloud_run.SERVICE
    project: Project = None
    region: Region = None
    image: Annotated[str | None, option("Deploy this image. [default: built from the checkout]")] = None
    build: Annotated[
        Literal["local", "cloud"] | None,
        option("Build with this machine's docker, or Cloud Build. [default: local; with --endpoint, nothing is built]"),
    ] = None
    base_image: Annotated[
        str | None,
        option("Base image of the build, such as one from a mirror. [default: the Dockerfile's python]"),
    ] = None
    command: Annotated[str | None, option("Command to run instead of the command of the image.")] = None
    concurrency: Annotated[
        int | None,
        option(f"Most requests that an instance handles at once; a new service gets {cloud_run.CONCURRENCY}."),
    ] = None
    cpu: Annotated[str | None, option(f"vCPU of an instance: 1, 0.5, 500m; a new service gets {cloud_run.CPU:g}.")] = (
        None
    )
    memory: Annotated[
        str | None,
        option(f"Memory of an instance: 512Mi, 4Gi; a new service gets {cloud_run.MEMORY_MIB:g}Mi."),
    ] = None
    min_instances: Annotated[
        int | None, option("Instances kept running without traffic; a new service keeps none.")
    ] = None
    max_instances: Annotated[
        str | None,
        option(
            f"Most instances at a time, or `none`; a service without a limit gets {cloud_run.DEPLOYED_MAX_INSTANCES}."
        ),
    ] = None
    timeout: Annotated[
        str | None,
        option(
            f"Time after which a request is answered with 504: 300, 5m; a new service gets {cloud_run.TIMEOUT_S:g} s."
        ),
    ] = None
    cpu_boost: Annotated[
        bool | None,
        option("Give a starting instance more CPU; on by default for a new service.", "--cpu-boost/--no-cpu-boost"),
    ] = None
    port: Annotated[int | None, option(f"The port in the container's $PORT; a new service gets {cloud_run.PORT}.")] = (
        None
    )
    public: Annotated[
        bool | None,
        option(
            "Allow calls without authentication. [default: unchanged; private when new]",
            "--allow-unauthenticated/--no-allow-unauthenticated",
        ),
    ] = None
    env: Annotated[
        list[str] | None,
        option(
            "Set an environment variable; repeatable; the given variables replace all variables of the service.",
            metavar="K=V",
        ),
    ] = None
    revision_suffix: Annotated[str | None, option("Suffix of the revision's name, after the service's name.")] = None
    no_traffic: Annotated[bool, option("Send no traffic to the new revision.", "--no-traffic")] = False
    delete: Annotated[bool, option("Delete the service instead.", "--delete")] = False
    dry_run: Annotated[bool, option("Print the commands and change nothing.", "--dry-run")] = False
    endpoint: Endpoint = None


@takes(Deploy)
def deploy(*, command: str | None, env: list[str] | None, no_traffic: bool, dry_run: bool, **given: Any) -> int:
    """Build, push and deploy the target service (or `--image`) to Cloud Run, or to the emulator.

    Prints the service's URL. Options that are not given leave the service unchanged. Deploying the same sources (or
    image) with the same settings again changes nothing.

    Examples:
        python lt.py deploy --project my-project --region europe-west2 --dry-run

        python lt.py deploy --endpoint 127.0.0.1:8901 --concurrency 8
    """
    from rich.markup import escape

    from ..core.exit_codes import ExitCode
    from ..platforms.base import DeployOptions
    from ..platforms.registry import deployable
    from .console import TerminalConsole
    from .terminal import out, talk

    given_options = DeployOptions(command=command or "", env=tuple(env or ()), takes_traffic=not no_traffic, **given)
    console = TerminalConsole()
    deployment = deployable().deployment(given_options, dry_run=dry_run, console=console)
    if dry_run:
        for line in deployment.commands():
            out.print(line, markup=False)
        return 0
    result = deployment.apply(console)
    talk.print(f"[green]✓[/] {escape(result.text)}")
    if result.next_step:
        console.say(result.next_step)
    if result.url:
        out.print(result.url, markup=False)
    if result.incomplete:
        console.say(result.incomplete)
        return ExitCode.UNUSABLE
    return 0
