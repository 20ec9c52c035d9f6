"""The verb `deploy`: make the target service run on Cloud Run, or on the local one, or take it away."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from ..platforms.cloudrun.build import Command
    from ..platforms.cloudrun.settings import ServiceSettings

ROOT = Path(__file__).parents[2]

ProjectOption = Annotated[
    str | None,
    typer.Option("--project", help="Google Cloud project. [default: the credentials' own]", show_default=False),
]
RegionOption = Annotated[
    str | None, typer.Option("--region", help="Cloud Run region, as europe-west2.", show_default=False)
]
EndpointOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        metavar="HOST:PORT",
        help="Speak to a local Cloud Run (`lt emulate` prints its address) instead of Google.",
        show_default=False,
    ),
]


def deploy(
    service: Annotated[str, typer.Option("--service", help="The service's name.")] = "default-service",
    project: ProjectOption = None,
    region: RegionOption = None,
    image: Annotated[
        str | None, typer.Option("--image", help="Deploy this image. [default: build ours]", show_default=False)
    ] = None,
    build: Annotated[
        Literal["local", "cloud"] | None,
        typer.Option(
            "--build",
            help="Build with this machine's docker, or Cloud Build. [default: local; with --endpoint: nothing]",
            show_default=False,
        ),
    ] = None,
    base_image: Annotated[
        str | None,
        typer.Option(
            help="Build on this image, as of a mirror. [default: the Dockerfile's python]", show_default=False
        ),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option("--command", help="Run this instead of the image's own command.", show_default=False),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="Requests an instance is given at once. [new: 80]", show_default=False)
    ] = None,
    cpu: Annotated[
        str | None, typer.Option(help="vCPU of an instance: 1, 0.5, 500m. [new: 1]", show_default=False)
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="Memory of an instance: 512Mi, 4Gi. [new: 512Mi]", show_default=False)
    ] = None,
    min_instances: Annotated[
        int | None, typer.Option(help="Instances kept with no traffic. [new: 0]", show_default=False)
    ] = None,
    max_instances: Annotated[
        str | None,
        typer.Option(help="Most instances at a time, or `none`. [new, or without any: 20]", show_default=False),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(help="After which a request is answered 504: 300, 5m. [new: 300]", show_default=False),
    ] = None,
    cpu_boost: Annotated[
        bool | None,
        typer.Option(
            "--cpu-boost/--no-cpu-boost", help="Give a starting instance more CPU. [new: yes]", show_default=False
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="The port the container is told to listen on. [new: 8080]", show_default=False),
    ] = None,
    public: Annotated[
        bool | None,
        typer.Option(
            "--allow-unauthenticated/--no-allow-unauthenticated",
            help="Let everyone call it. [default: as it is; private when new]",
            show_default=False,
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="K=V", help="Set a variable, repeatable; those given replace the service's."),
    ] = None,
    revision_suffix: Annotated[
        str | None, typer.Option(help="Name of the revision after the service's.", show_default=False)
    ] = None,
    no_traffic: Annotated[bool, typer.Option("--no-traffic", help="Leave the traffic where it is.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Take the service away instead.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands, change nothing.")] = False,
    endpoint: EndpointOption = None,
) -> int:
    """Build, push and deploy the target service (or `--image`) to Cloud Run, or to the emulator.

    Prints the service's URL. What is not said stays as it is on the service; a new one gets the values after "new". The
    same sources (or image) with the same settings again change nothing.

    Examples:
        python lt.py deploy --project my-project --region europe-west2 --dry-run

        python lt.py deploy --endpoint 127.0.0.1:8901 --concurrency 8

        python lt.py deploy --delete --project my-project --region europe-west2
    """
    import shlex

    from ..core.errors import UsageError
    from ..platforms.cloudrun import settings as settings_of
    from ..platforms.cloudrun.build import build_commands, image_name, source_tag
    from .terminal import talk

    if image and (build or base_image):
        raise UsageError(f"`--image {image}`: names what is there already; leave `--build` and `--base-image` out.")
    how = build or (None if image or endpoint or delete else "local")
    if base_image and how is None:
        raise UsageError(f"`--base-image {base_image}`: nothing is built here; add `--build local` or `--build cloud`.")
    project, region = _place(project, region, endpoint=endpoint, dry_run=dry_run)
    if how:
        tag = source_tag(ROOT, base=base_image)
        image = image_name(project=project, region=region, service=service, tag=tag)
    asked = settings_of.ServiceSettings(
        service=service,
        project=project,
        region=region,
        image=image or "target_service",  # a local Cloud Run runs the project's own service
        concurrency=concurrency,
        cpu=None if cpu is None else settings_of.parse_cpu(cpu),
        memory_mib=None if memory is None else settings_of.parse_memory(memory),
        min_instances=min_instances,
        max_instances=None if max_instances is None else settings_of.parse_max_instances(max_instances),
        timeout_s=None if timeout is None else settings_of.parse_timeout(timeout),
        cpu_boost=cpu_boost,
        port=port,
        public=public,
        env=settings_of.parse_env(env or ()),
        command=tuple(shlex.split(command or "")),
        revision_suffix=revision_suffix,
        takes_traffic=not no_traffic,
    )
    settings = settings_of.validated(asked, local=endpoint is not None)
    if settings.max_instances == 0 and not delete:
        talk.print(
            "[yellow]![/] `--max-instances none`: a mistake in a load test may start, and bill, as many instances as "
            "the project allows. Give a number."
        )
    if delete:
        return _delete(settings, endpoint=endpoint, dry_run=dry_run)
    commands = build_commands(settings.image, project=project, region=region, how=how, base=base_image) if how else []
    return _deploy(settings, commands, endpoint=endpoint, dry_run=dry_run)


def _deploy(settings: ServiceSettings, commands: list[Command], *, endpoint: str | None, dry_run: bool) -> int:
    from ..core.exit_codes import ExitCode
    from ..platforms.cloudrun.build import deploy_command, run_all
    from ..platforms.cloudrun.deploy import deploy as deploy_service
    from .terminal import out, talk

    if dry_run:
        for command in (*commands, deploy_command(settings.when_new())):
            out.print(str(command), markup=False)
        return 0
    run_all(commands, folder=ROOT, on_start=lambda command: talk.print(f"$ {command}", markup=False))

    def show(asked: ServiceSettings) -> None:
        told = dataclasses.replace(asked, env=tuple((name, "…") for name, _ in asked.env))  # values may be secrets
        talk.print(f"$ {deploy_command(told)}   (through the API)", markup=False)

    with talk.status("deploying") as line:
        deployed = deploy_service(
            settings,
            endpoint=endpoint,
            on_start=show,
            on_progress=lambda step: line.update(f"deploying, {step.elapsed_s:.0f} s {step.message}"),
        )
    word = "created with" if deployed.is_new else "has"
    gets = "" if deployed.traffic_percent is None else f", with {deployed.traffic_percent} % of the traffic"
    talk.print(f"[green]✓[/] {settings.service} {word} revision {deployed.revision}{gets}")
    if deployed.traffic_percent == 0:
        place = f"--project {settings.project} --region {settings.region}"
        move = f"gcloud run services update-traffic {settings.service} {place} --to-latest"
        talk.print(f"Give it all of it: {move}", markup=False)
    out.print(deployed.url, markup=False)
    if deployed.not_set:
        talk.print(f"Deployed, but who may call it stays as it was: {deployed.not_set}", markup=False)
        return ExitCode.UNUSABLE
    return 0


def _delete(settings: ServiceSettings, *, endpoint: str | None, dry_run: bool) -> int:
    from ..platforms.cloudrun.build import delete_command
    from ..platforms.cloudrun.deploy import delete as delete_service
    from .terminal import out, talk

    if dry_run:
        out.print(str(delete_command(settings)), markup=False)
        return 0
    with talk.status("deleting"):
        was_there = delete_service(settings, endpoint=endpoint)
    word = "is gone" if was_there else "was not there"
    talk.print(f"[green]✓[/] {settings.service} {word} ({settings.region}, project {settings.project})")
    return 0


def _place(project: str | None, region: str | None, *, endpoint: str | None, dry_run: bool) -> tuple[str, str]:
    """Return project and region; a dry run needs no credentials and prints a place-holder where none was given."""
    from ..platforms.cloudrun.clients import Clients
    from ..platforms.cloudrun.describe import place_of

    if dry_run and not endpoint:
        return project or "PROJECT", region or "REGION"
    clients = Clients(endpoint)
    place = place_of("", project=project, region=region, clients=clients)
    if not endpoint:
        _ = clients.credentials  # missing ones are said now, not after minutes of building
    return place
