"""The verb `deploy`: make the target service run on Cloud Run, or on the local one, or take it away."""

from __future__ import annotations

from ..core import cloud_run
from . import deploy_options as deploying
from . import options


def deploy(  # long by its list of options alone: a line each, in and out
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
    from rich.markup import escape

    from ..core.exit_codes import ExitCode
    from ..platforms.base import DeployOptions
    from ..platforms.registry import deployable
    from .console import TerminalConsole
    from .terminal import out, talk

    wanted = DeployOptions(
        service=service,
        project=project,
        region=region,
        image=image,
        build=build,
        base_image=base_image,
        command=command or "",
        concurrency=concurrency,
        cpu=cpu,
        memory=memory,
        min_instances=min_instances,
        max_instances=max_instances,
        timeout=timeout,
        cpu_boost=cpu_boost,
        port=port,
        public=public,
        env=tuple(env or ()),
        revision_suffix=revision_suffix,
        takes_traffic=not no_traffic,
        delete=delete,
        endpoint=endpoint,
    )
    console = TerminalConsole()
    deployment = deployable().deployment(wanted, dry_run=dry_run, console=console)
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
