"""Build the service's image and push it to Artifact Registry, with the same commands that a person would type."""

from __future__ import annotations

import hashlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import CloudError, UsageError
from .settings import ServiceSettings

REPOSITORY = "lt"
"""The Artifact Registry repository that contains the images."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a build. If the command `unless` succeeds, this command is not needed and is not run."""

    argv: tuple[str, ...]
    unless: tuple[str, ...] = ()

    def __str__(self) -> str:
        line = shlex.join(self.argv)
        return f"{shlex.join(self.unless)} || {line}" if self.unless else line


def image_name(*, project: str, region: str, service: str, tag: str) -> str:
    """Return the full name of a service's image in Artifact Registry."""
    return f"{region}-docker.pkg.dev/{project}/{REPOSITORY}/{service}:{tag}"


def source_tag(folder: Path, *, base: str | None = None) -> str:
    """Return a tag for the sources of the `service` target: 16 hex digits of their SHA-256.

    A second deploy of the same sources therefore uses the same image and makes no new revision.

    Raises:
        UsageError: the folder has no Dockerfile.
    """
    if not (folder / "Dockerfile").exists():
        raise UsageError(f"{folder} contains no Dockerfile to build: use a checkout of the project, or give `--image`.")
    files = [folder / name for name in ("Dockerfile", "pyproject.toml", "uv.lock")]
    files += sorted(path for path in (folder / "target_service").rglob("*") if "__pycache__" not in path.parts)
    digest = hashlib.sha256((base or "").encode())
    for path in files:
        if path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest() + str(path.relative_to(folder)).encode() + b"\0")
    return digest.hexdigest()[:16]


def build_commands(image: str, *, project: str, region: str, how: str, base: str | None = None) -> list[Command]:
    """Return the commands that build `image` from the Dockerfile's `service` target.

    Run these commands in the project's folder.

    Args:
        image: the full name of the image in Artifact Registry.
        project: the project that pays for the build.
        region: the region of the repository.
        how: `local` builds with this machine's docker, `cloud` with Cloud Build.
        base: the base image to use instead of the base image in the Dockerfile.
    """
    options = ("--build-arg", f"PYTHON_IMAGE={base}") if base else ()
    place = ("--project", project, "--location", region)
    repositories = ("gcloud", "artifacts", "repositories")
    commands = [
        Command(
            (*repositories, "create", REPOSITORY, "--repository-format", "docker", *place),
            unless=(*repositories, "describe", REPOSITORY, *place),
        )
    ]
    if how == "cloud":
        submit = ("gcloud", "builds", "submit", "--config", "deploy/cloudbuild.yaml", "--project", project)
        filled = f"_IMAGE={image}" + (f",_OPTIONS={shlex.join(options)}" if options else "")
        return [*commands, Command((*submit, "--substitutions", filled, "."))]
    return [
        *commands,
        Command(("gcloud", "auth", "configure-docker", f"{region}-docker.pkg.dev", "--quiet")),
        # Cloud Run runs only amd64. On an arm64 laptop, docker would build for arm64.
        Command(("docker", "build", "--platform", "linux/amd64", "--target", "service", "--tag", image, *options, ".")),
        Command(("docker", "push", image)),
    ]


def deploy_command(settings: ServiceSettings) -> Command:
    """Return the gcloud command that applies `settings`."""
    argv = ["gcloud", "run", "deploy", settings.service, "--image", settings.image]
    argv += ["--project", settings.project, "--region", settings.region]
    for option, value, form in (
        ("--concurrency", settings.concurrency, "{}"),
        ("--cpu", settings.cpu, "{:g}"),
        ("--memory", settings.memory_mib, "{:g}Mi"),
        ("--min-instances", settings.min_instances, "{}"),
        ("--max-instances", settings.max_instances, "{}" if settings.max_instances else "default"),
        ("--timeout", settings.timeout_s, "{:g}"),
        ("--port", settings.port, "{}"),
    ):
        if value is not None:
            argv += [option, form.format(value)]
    for option, wanted in (("cpu-boost", settings.cpu_boost), ("allow-unauthenticated", settings.public)):
        if wanted is not None:
            argv.append(f"--{option}" if wanted else f"--no-{option}")
    if settings.env:
        argv += ["--set-env-vars", _listed([f"{name}={value}" for name, value in settings.env])]
    if settings.command:
        argv.append(f"--command={_listed(settings.command)}")
    if settings.revision_suffix:
        argv += ["--revision-suffix", settings.revision_suffix]
    if not settings.takes_traffic:
        argv.append("--no-traffic")
    return Command(tuple(argv))


def _listed(parts: Sequence[str]) -> str:
    """Return the parts in gcloud's notation for a list: ^X^ makes X the separator (gcloud topic escaping)."""
    separator = next(mark for mark in ";|~#@%&\x1f" if not any(mark in part for part in parts))
    return f"^{separator}^" + separator.join(parts)


def delete_command(settings: ServiceSettings) -> Command:
    """Return the gcloud command that deletes the service."""
    place = ("--project", settings.project, "--region", settings.region)
    return Command(("gcloud", "run", "services", "delete", settings.service, *place))


def run_all(commands: list[Command], *, folder: Path, on_start: Callable[[Command], None]) -> None:
    """Run the commands one after the other in `folder`. The output of the commands goes to stderr.

    Raises:
        CloudError: a command is not installed or failed; the commands after it were not run.
    """
    for command in commands:
        on_start(command)
        if command.unless and _run(command.unless, folder, quiet=True) == 0:
            continue
        status = _run(command.argv, folder, quiet=False)
        if status != 0:
            raise CloudError(f"`{shlex.join(command.argv)}` ended with status {status}; its output is above.")


def _run(argv: tuple[str, ...], folder: Path, *, quiet: bool) -> int:
    if shutil.which(argv[0]) is None:
        cure = (
            "install Docker, or build with Cloud Build: `--build cloud`"
            if argv[0] == "docker"
            else "install it: https://cloud.google.com/sdk/docs/install"
        )
        raise CloudError(f"`{argv[0]}` was not found, but `{shlex.join(argv)}` needs it: {cure}.")
    output = subprocess.DEVNULL if quiet else sys.stderr
    return subprocess.run(
        argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
    ).returncode
