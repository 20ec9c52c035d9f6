"""The verb `emulate`: run a local Cloud Run until Ctrl-C."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ..core import cloud_run

LONGEST_S = 86_400.0

Boost = Annotated[bool, typer.Option("--cpu-boost/--no-cpu-boost", help="Lift the CPU limit while an instance starts.")]


def emulate(  # the function is long because of its list of options
    command: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND", help="Command that an instance runs; it listens on $PORT. [default: the bundled service]"
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the service; 0 takes a free port.")] = 8080,
    api_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of Google's APIs and of /state; 0 takes a free port.")
    ] = 0,
    concurrency: Annotated[
        int, typer.Option(help="Most requests that an instance handles at once.")
    ] = cloud_run.CONCURRENCY,
    cpu: Annotated[
        str,
        typer.Option(
            help="vCPU of an instance; `auto`: enough to serve 30 requests/s at "
            f"{100 * cloud_run.TARGET_RATIO:g} % CPU."
        ),
    ] = "1",
    memory: Annotated[
        str, typer.Option(help="Memory of an instance, such as 512Mi or 4Gi.")
    ] = f"{cloud_run.MEMORY_MIB:g}Mi",
    min_instances: Annotated[int, typer.Option(help="Instances kept running without traffic.")] = 0,
    max_instances: Annotated[int, typer.Option(help="Most instances at a time.")] = cloud_run.DEPLOYED_MAX_INSTANCES,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time after which a request is answered with 504.")
    ] = cloud_run.TIMEOUT_S,
    cpu_boost: Boost = True,
    autoscaler: Annotated[Literal["cloudrun", "knative"], typer.Option(help="Whose scaling rules apply.")] = "cloudrun",
    idle_time: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help=f"How long an idle instance is kept. [default: {cloud_run.IDLE_S:g}; with knative "
            f"{cloud_run.KNATIVE_IDLE_S:g}]",
        ),
    ] = None,
    sample_period: Annotated[
        float, typer.Option(metavar="SECONDS", help="Sampling period of the metrics; Cloud Run's is 60.")
    ] = 60,
    service: Annotated[str, typer.Option(help="The service's name.")] = cloud_run.SERVICE,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="K=V", help="Set an environment variable of the instances; repeatable."),
    ] = None,
    allow_any_command: Annotated[
        bool,
        typer.Option("--allow-any-command", help="Allow clients with the access token to deploy other commands too."),
    ] = False,
) -> int:
    """Run a local Cloud Run in front of the target service (or of any command) until Ctrl-C.

    Requests wait in a queue while no instance is running, and instances start and stop as the load changes. Google's
    own API clients can deploy to it and read its metrics. These clients need the access token; the emulator prints the
    path of the file that contains it. Instances get PATH, HOME and similar variables of this shell's environment, and
    the variables of `--env`.

    Examples:
    `python lt.py emulate --cpu auto` · `python lt.py emulate --command "node server.js" --concurrency 10 --cpu 0.5`
    """
    from dataclasses import replace

    from ..core.extras import require

    require("emulator", "The local Cloud Run")
    from ..emulator.model import Sampling
    from ..platforms.base import TargetOptions
    from ..platforms.cloudrun.settings import parse_env
    from ..platforms.emulator import config_of
    from .emulator_page import watch

    given = TargetOptions(
        command=command,
        cpu=cpu,
        memory=memory,
        concurrency=concurrency,
        min_instances=min_instances,
        max_instances=max_instances,
        autoscaler=autoscaler,
        service=service,
    )
    config = config_of(given, {})
    template = replace(
        config.template,
        command=(),
        timeout_s=_seconds("--timeout", timeout),
        cpu_boost=cpu_boost,
        env=tuple(sorted(dict(parse_env(env or ())).items())),
    )
    options = replace(
        config.options,
        idle_s=None if idle_time is None else _seconds("--idle-time", idle_time),
        sampling=Sampling(period_s=_seconds("--sample-period", sample_period)),
        api_port=api_port,
        command=config.template.command,
        allow_any_command=allow_any_command,
    )
    return watch(replace(config, template=template, options=options, front_port=port))


def _seconds(option: str, value: float) -> float:
    from ..core.errors import UsageError

    if not 0 < value <= LONGEST_S:
        raise UsageError(f"`{option} {value:g}`: must be above 0 s, and at most a day.")
    return value
