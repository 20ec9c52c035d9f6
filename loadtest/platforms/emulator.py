"""Run a local Cloud Run with its own service as the target of a run."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..core import cloud_run
from ..core.console import Console
from ..core.errors import UsageError
from ..core.quantities import argv_of, cpu_of, memory_bytes_of
from ..core.temp_folders import temporary_folder
from ..recording.capabilities import EMULATOR, Capabilities
from ..recording.folder import RunFolder
from ..recording.run import Outcome, Run
from .base import Platform, ScenarioNeeds, Target, TargetOptions
from .cloudrun.platform import CloudRun, collecting

if TYPE_CHECKING:
    from ..emulator.handle import EmulatorConfig, EmulatorHandle

SAMPLE_S = 5.0
"""Sampling period of the local Cloud Run during a run. With Google's period of 60 s, a ramp of 2 min would have only
two points."""

MOST = cloud_run.MOST_CONCURRENCY
"""Upper limit of the concurrency and of the number of instances."""

AUTOSCALERS = ("cloudrun", "knative")

FACTS = ("cpu_why", "cpu_s_per_request", "requests_per_user_s", "startup_s", "by_code", "lost_log_lines")
"""Those fields of the service's state in the emulator that a run records."""


class Emulator(Platform):
    """A local Cloud Run that runs the bundled service or the command of `--command`, and starts with zero instances."""

    kind: ClassVar[str] = "emulator"
    capabilities: ClassVar[Capabilities] = EMULATOR

    def check_options(self, options: TargetOptions) -> None:
        """Check that the options can be parsed and are within their bounds.

        The scenario's own `limits` are not checked.
        """
        config_of(options, {})

    @contextmanager
    def open(self, options: TargetOptions, *, needs: ScenarioNeeds, console: Console) -> Iterator[Target]:
        """Start the emulator, with its service deployed and scaled to zero. The emulator ends with the block.

        Limits come from the options, or from the scenario's `limits` if an option is not given. The defaults are the
        same as on Cloud Run, except that an instance has just enough CPU for 30 requests/s, so that the service scales
        on a laptop as in the cloud.

        Raises:
            UsageError: a limit cannot be parsed.
            EmulatorError: the emulator cannot be started, or its service cannot be deployed.
        """
        from ..emulator.handle import EmulatorHandle

        config = config_of(options, needs.limits, first_requests=needs.first_requests)
        with temporary_folder("log") as folder:
            log = folder / "events"
            measures = ", measuring the scenario's first requests" if config.template.cpu is None else ""
            with console.status(f"deploying to the local Cloud Run{measures}"):
                emulator = EmulatorHandle.start(config, log=log)
            with emulator:
                _say_size(_facts(emulator.state(), config), needs, console)
                yield _target(emulator, config, log, console)

    def fetch_metrics(self, folder: RunFolder, run: Run, options: TargetOptions, console: Console) -> None:
        """Fetch the series again from an emulator that is still running.

        Raises:
            UsageError: the options do not name the address of the emulator.
        """
        if options.endpoint is None:
            raise UsageError(
                f"{run.id} ran on a local Cloud Run, and its series were fetched when the run ended. "
                "Give `--endpoint HOST:PORT` to fetch them again, if the emulator is still running."
            )
        CloudRun().fetch_metrics(folder, run, options, console)


def config_of(
    options: TargetOptions, limits: Mapping[str, object], *, first_requests: tuple[str, ...] = ()
) -> EmulatorConfig:
    """Return the emulator's configuration.

    Each value comes from the options, or from the scenario's `limits`, or from the defaults.

    Raises:
        UsageError: a value cannot be parsed, or is out of its bounds; the message names the value.
    """
    from ..emulator.handle import EmulatorConfig
    from ..emulator.model import EmulatorOptions, RevisionTemplate, Sampling, ServiceKey

    def value(name: str, default: str) -> str:
        given = getattr(options, name)
        return str(given if given is not None else limits.get(name, default))

    if options.autoscaler not in AUTOSCALERS:
        raise UsageError(f"`--autoscaler {options.autoscaler}`: give cloudrun or knative.")
    cpu, memory = value("cpu", "auto"), value("memory", f"{cloud_run.MEMORY_MIB:g}Mi")
    try:
        vcpu, memory_bytes = None if cpu == "auto" else cpu_of(cpu), memory_bytes_of(memory)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"`--cpu {cpu} --memory {memory}`: {error}; --cpu also takes `auto`.") from error
    try:
        argv = () if options.command is None else argv_of(options.command)
    except ValueError as error:
        raise UsageError(f"`--command`: {error}.") from error
    concurrency = _whole("concurrency", value("concurrency", str(cloud_run.CONCURRENCY)), least=1)
    fewest = _whole("min-instances", value("min_instances", "0"), least=0)
    most = _whole("max-instances", value("max_instances", str(cloud_run.DEPLOYED_MAX_INSTANCES)), least=1)
    if fewest > most:
        raise UsageError(f"`--min-instances {fewest}`: must be at most `--max-instances {most}`.")
    return EmulatorConfig(
        template=RevisionTemplate(
            command=argv,
            cpu=vcpu,
            memory_bytes=memory_bytes,
            concurrency=concurrency,
            min_instances=fewest,
            max_instances=most,
        ),
        key=ServiceKey(_service_name(options.service)),
        options=EmulatorOptions(
            autoscaler="knative" if options.autoscaler == "knative" else "cloudrun",
            sampling=Sampling(period_s=SAMPLE_S),
            first_requests=first_requests,
        ),
    )


def _whole(option: str, text: str, *, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not least <= number <= MOST:
        raise UsageError(f"`--{option} {text}`: give a whole number from {least} to {MOST}.")
    return number


def _service_name(given: str | None) -> str:
    name = given or cloud_run.SERVICE
    if not cloud_run.is_service_name(name):
        raise UsageError(
            f"`--service {name}`: give 1 to 49 characters (a-z, 0-9 and -) that begin with a letter, such as "
            "my-service."
        )
    return name


def _target(emulator: EmulatorHandle, config: EmulatorConfig, log: Path, console: Console) -> Target:
    """Return a running emulator as a target whose series, log and state are stored with the run."""
    from .cloudrun.describe import resolve

    place = config.key
    record = resolve(place.name, project=place.project, region=place.location, endpoint=emulator.api_endpoint)
    record.url = emulator.url
    fetch = collecting(emulator.api_endpoint, console)
    not_limited = emulator.state()["emulator"]["not_limited"]
    if not_limited:
        console.warn(f"the instances' CPU and memory are not limited: {not_limited}")

    watch = _Watch(emulator, console)
    watch.start()

    def collect(folder: RunFolder, run: Run) -> None:
        watch.stop()
        if watch.found:
            run.reasons.extend(watch.found)
            if run.outcome is Outcome.COMPLETE:
                run.outcome = Outcome.DEGRADED
        if emulator.why_stuck():
            console.warn("the emulator no longer answers: its series and its state are missing in the run")
        else:
            fetch(folder, run)
            facts = _facts(emulator.state(), config)
            run.target = run.target.model_copy(update={"emulator": {**facts, "not_limited": not_limited}})
        folder.write_run(run)
        folder.write_derived(folder.emulator_log, log.read_text(encoding="utf-8", errors="replace"))

    return Target(record, collect=collect)


def _facts(state: Mapping[str, Any], config: EmulatorConfig) -> dict[str, object]:
    """Return the recorded fields of the run's own service.

    Other services may have been deployed to the same emulator.
    """
    key = config.key
    for service in state["services"]:
        if (service["name"], service["project"], service["location"]) == (key.name, key.project, key.location):
            serving = [revision for revision in service["revisions"] if revision["serving"]]
            if serving:
                return {name: serving[-1][name] for name in FACTS}
    return {}


def _say_size(facts: Mapping[str, Any], needs: ScenarioNeeds, console: Console) -> None:
    """Print how an instance's CPU was chosen, and warn if the plan needs more CPU than this machine has."""
    if not facts.get("cpu_why"):
        return
    console.say(f"--cpu auto: {facts['cpu_why']}.")
    rate, cost_s, users = facts["requests_per_user_s"], facts["cpu_s_per_request"], needs.most_users
    if rate and users and (warning := too_much(users * rate, cost_s, cores=os.cpu_count() or 1)):
        console.warn(warning)


def too_much(per_s: float, cost_s: float, *, cores: int) -> str:
    """Return a warning that this machine cannot run the service at the planned rate; "" if the machine can.

    Args:
        per_s: the plan's highest rate, in requests per second.
        cost_s: the service's CPU time for one request; the load generator and the data plane need CPU too.
        cores: the number of cores of this machine.
    """
    if per_s * cost_s < cores:
        return ""
    return (
        f"the plan asks for up to {per_s:,.0f} requests/s at {cost_s * 1000:.3g} ms of CPU each: {per_s * cost_s:.1f} "
        f"cores for the service alone, and this machine has {cores}. The limit would be this machine and not the "
        f"service: run at most {0.5 * cores / cost_s:,.0f} requests/s (--users), or use a machine with more cores."
    )


class _Watch(threading.Thread):
    """Check every second whether the emulator still works, and print one warning if it does not."""

    def __init__(self, emulator: EmulatorHandle, console: Console) -> None:
        super().__init__(name="lt-emulator-watch", daemon=True)
        self.found: list[str] = []
        self._emulator, self._console = emulator, console
        self._over = threading.Event()

    def run(self) -> None:
        """Check until `stop` is called."""
        while not self._over.wait(1.0):
            why = self._emulator.why_stuck()
            if why and why not in self.found:
                self.found.append(why)
                self._console.warn(why)

    def stop(self) -> None:
        """Stop checking."""
        self._over.set()
        self.join(timeout=5)
