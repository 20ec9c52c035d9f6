"""Carry out `lt deploy` on Cloud Run or on a local Cloud Run: build, push, deploy, or delete."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.console import Console
from ...core.errors import UsageError
from ..base import Deployment, DeployOptions, DeployResult
from .build import Command, build_commands, delete_command, deploy_command, image_name, run_all, source_tag
from .clients import Clients
from .describe import place_of
from .settings import ServiceSettings, parse_settings

ROOT = Path(__file__).parents[3]
"""The checkout. The folder whose Dockerfile and target service are built."""


def prepare(options: DeployOptions, *, dry_run: bool, console: Console) -> Deployment:
    """Check the options, and return the deploy that they describe, without beginning it.

    Raises:
        UsageError: options contradict each other, or Cloud Run would reject a setting.
        CloudError: there are no credentials, and the deploy is not a dry run.
    """
    how = _how_to_build(options)
    project, region = _place(options, dry_run=dry_run)
    image = options.image
    if how:
        tag = source_tag(ROOT, base=options.base_image)
        image = image_name(project=project, region=region, service=options.service, tag=tag)
    settings = parse_settings(
        service=options.service,
        project=project,
        region=region,
        image=image,
        concurrency=options.concurrency,
        cpu=options.cpu,
        memory=options.memory,
        min_instances=options.min_instances,
        max_instances=options.max_instances,
        timeout=options.timeout,
        cpu_boost=options.cpu_boost,
        port=options.port,
        public=options.public,
        env=options.env,
        command=options.command,
        revision_suffix=options.revision_suffix,
        takes_traffic=options.takes_traffic,
        local=options.endpoint is not None,
    )
    if options.delete:
        return _Removal(settings, options.endpoint)
    if settings.max_instances == 0:
        console.warn(
            "`--max-instances none`: a mistake in a load test may start, and bill, as many instances as the project "
            "allows. Give a number."
        )
    built = (
        ()
        if how is None
        else build_commands(image or "", project=project, region=region, how=how, base=options.base_image)
    )
    return _Deploy(settings, options.endpoint, tuple(built))


@dataclass(frozen=True, slots=True)
class _Deploy(Deployment):
    settings: ServiceSettings
    endpoint: str | None
    build: Sequence[Command]

    def commands(self) -> tuple[str, ...]:
        return tuple(str(command) for command in (*self.build, deploy_command(self.settings.when_new())))

    def apply(self, console: Console) -> DeployResult:
        from .deploy import deploy

        run_all(list(self.build), folder=ROOT, on_start=lambda command: console.say(f"$ {command}"))

        def show(settings: ServiceSettings) -> None:
            # the values are hidden, because they may be secrets
            hidden = tuple((name, "…") for name, _ in settings.env)
            console.say(f"$ {deploy_command(dataclasses.replace(settings, env=hidden))}   (through the API)")

        with console.status("deploying") as update:
            deployed = deploy(
                self.settings,
                endpoint=self.endpoint,
                on_start=show,
                on_progress=lambda step: update(f"deploying, {step.elapsed_s:.0f} s {step.message}"),
            )
        settings, percent = self.settings, deployed.traffic_percent
        verb = "created with" if deployed.is_new else "has"
        gets = "" if percent is None else f", with {percent} % of the traffic"
        move = (
            f"gcloud run services update-traffic {settings.service} --project {settings.project} "
            f"--region {settings.region} --to-latest"
        )
        return DeployResult(
            text=f"{settings.service} {verb} revision {deployed.revision}{gets}",
            url=deployed.url,
            next_step=f"To send all traffic to the new revision: {move}" if percent == 0 else "",
            incomplete=deployed.not_set and f"Deployed, but the access policy is unchanged: {deployed.not_set}",
        )


@dataclass(frozen=True, slots=True)
class _Removal(Deployment):
    settings: ServiceSettings
    endpoint: str | None

    def commands(self) -> tuple[str, ...]:
        return (str(delete_command(self.settings)),)

    def apply(self, console: Console) -> DeployResult:
        from .deploy import delete

        with console.status("deleting"):
            was_there = delete(self.settings, endpoint=self.endpoint)
        settings = self.settings
        found = "is gone" if was_there else "did not exist"
        return DeployResult(f"{settings.service} {found} ({settings.region}, project {settings.project})")


def _how_to_build(options: DeployOptions) -> str | None:
    """Return where the image is built: `local`, `cloud`, or None if nothing is built.

    Raises:
        UsageError: the options contradict each other.
    """
    image, build, base = options.image, options.build, options.base_image
    if image and (build or base):
        raise UsageError(f"`--image {image}`: that image exists already; leave out `--build` and `--base-image`.")
    how = build or (None if image or options.endpoint or options.delete else "local")
    if base and how is None:
        raise UsageError(f"`--base-image {base}`: nothing is built here; add `--build local` or `--build cloud`.")
    return how


def _place(options: DeployOptions, *, dry_run: bool) -> tuple[str, str]:
    """Return project and region.

    A dry run needs no credentials; it prints a placeholder for each value that is missing.
    """
    if dry_run and not options.endpoint:
        return options.project or "PROJECT", options.region or "REGION"
    clients = Clients(options.endpoint)
    place = place_of("", project=options.project, region=options.region, clients=clients)
    if not options.endpoint:
        _ = clients.credentials  # so that missing credentials are reported now, and not after minutes of building
    return place
