"""The verb `deploy`: make the target service run on Cloud Run, or on the local one, or take it away."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..core import cloud_run
from . import deploy_options as deploying
from . import options

if TYPE_CHECKING:
    from ..platforms.cloudrun.build import Command
    from ..platforms.cloudrun.settings import ServiceSettings

Build = Literal["local", "cloud"]

ROOT = Path(__file__).parents[2]


def deploy(
    service: deploying.Service = cloud_run.SERVICE,
    project: options.Project = None,
    region: options.Region = None,
    image: deploying.Image = None,
    build: deploying.Build = None,
    base_image: deploying.BaseImage = None,
    command: deploying.OwnCommand = None,
    concurrency: deploying.Concurrency = None,
    cpu: deploying.Cpu = None,
    memory: deploying.Memory = None,
    min_instances: deploying.MinInstances = None,
    max_instances: deploying.MaxInstances = None,
    timeout: deploying.Timeout = None,
    cpu_boost: deploying.CpuBoost = None,
    port: deploying.Port = None,
    public: deploying.Public = None,
    env: deploying.Env = None,
    revision_suffix: deploying.RevisionSuffix = None,
    no_traffic: deploying.NoTraffic = False,
    delete: deploying.Delete = False,
    dry_run: deploying.DryRun = False,
    endpoint: options.Endpoint = None,
) -> int:
    """Build, push and deploy the target service (or `--image`) to Cloud Run, or to the emulator.

    Prints the service's URL. Options that are not given leave the service unchanged; a new service gets the values
    after "new". Deploying the same sources (or image) with the same settings again changes nothing.

    Examples:
        python lt.py deploy --project my-project --region europe-west2 --dry-run

        python lt.py deploy --endpoint 127.0.0.1:8901 --concurrency 8
    """
    how = _how_to_build(image, build, base_image, endpoint=endpoint, delete=delete)
    project, region = _place(project, region, endpoint=endpoint, dry_run=dry_run)
    settings = _settings(
        service=service,
        project=project,
        region=region,
        image=_image(service, project, region, base_image) if how else image,
        concurrency=concurrency,
        cpu=cpu,
        memory=memory,
        min_instances=min_instances,
        max_instances=max_instances,
        timeout=timeout,
        cpu_boost=cpu_boost,
        port=port,
        public=public,
        env=env or (),
        command=command or "",
        revision_suffix=revision_suffix,
        takes_traffic=not no_traffic,
        local=endpoint is not None,
    )
    if delete:
        return _delete(settings, endpoint=endpoint, dry_run=dry_run)
    return _deploy(settings, _commands(settings, how, base_image), endpoint=endpoint, dry_run=dry_run)


def _settings(**given: Any) -> ServiceSettings:
    """Return what the options ask for; heavy imports wait until here."""
    from ..platforms.cloudrun.settings import parse_settings

    return parse_settings(**given)


def _how_to_build(
    image: str | None, build: Build | None, base_image: str | None, *, endpoint: str | None, delete: bool
) -> Build | None:
    """Return with what the image is built; None: not at all.

    Raises:
        UsageError: the options contradict each other.
    """
    from ..core.errors import UsageError

    if image and (build or base_image):
        raise UsageError(f"`--image {image}`: names what is there already; leave `--build` and `--base-image` out.")
    how = build or (None if image or endpoint or delete else "local")
    if base_image and how is None:
        raise UsageError(f"`--base-image {base_image}`: nothing is built here; add `--build local` or `--build cloud`.")
    return how


def _image(service: str, project: str, region: str, base_image: str | None) -> str:
    """Return the name of the image that is built from these sources."""
    from ..platforms.cloudrun.build import image_name, source_tag

    return image_name(project=project, region=region, service=service, tag=source_tag(ROOT, base=base_image))


def _commands(settings: ServiceSettings, how: Build | None, base_image: str | None) -> list[Command]:
    """Return what builds and pushes the image; warn of a service that may grow without bound."""
    from ..platforms.cloudrun.build import build_commands
    from .terminal import talk

    if settings.max_instances == 0:
        talk.print(
            "[yellow]![/] `--max-instances none`: a mistake in a load test may start, and bill, as many instances as "
            "the project allows. Give a number."
        )
    if how is None:
        return []
    return build_commands(settings.image, project=settings.project, region=settings.region, how=how, base=base_image)


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

    def show(settings: ServiceSettings) -> None:
        shown = dataclasses.replace(
            settings, env=tuple((name, "…") for name, _ in settings.env)
        )  # values may be secrets
        talk.print(f"$ {deploy_command(shown)}   (through the API)", markup=False)

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
        _ = clients.credentials  # missing ones are reported now, not after minutes of building
    return place
