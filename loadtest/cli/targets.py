"""Make the target of a run ready and take it down again, whichever kind it is."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..core.errors import CloudError, LoadTestError, TargetError, UsageError
from ..fleet.fleet import LOOPBACK, free_port
from ..fleet.scenario import Scenario
from ..recording.folder import RunFolder
from ..recording.run import Run, TargetRecord
from ..runs.options import RunOptions
from .terminal import talk

if TYPE_CHECKING:  # imported where it is wanted
    from ..emulator.handle import EmulatorConfig, EmulatorHandle
    from ..platforms.cloudrun.describe import Described

START_S = 60.0
"""How long the service may take to start: importing CatBoost on a busy machine has taken 10 s."""

SAMPLE_S = 5.0
"""How often the local Cloud Run samples during a run: Google's 60 s would leave two points of a 2-min ramp."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something to send load to.

    Attributes:
        record: what `run.json` keeps of it.
        environment: variables that the Locust processes need to reach it.
        collect: called with the closed run while the target still is up: fetches what it has measured itself.
    """

    record: TargetRecord
    environment: Mapping[str, str] = field(default_factory=dict)
    collect: Callable[[RunFolder, Run], None] = lambda folder, run: None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """The words about the target as they were given; None: not given."""

    concurrency: int | None = None
    cpu: str | None = None
    memory: str | None = None
    min_instances: int | None = None
    max_instances: int | None = None
    autoscaler: str = "cloudrun"
    command: str | None = None
    service: str | None = None
    project: str | None = None
    region: str | None = None
    endpoint: str | None = None


@contextmanager
def open_target(options: RunOptions, plan: Scenario, target_options: TargetOptions) -> Iterator[Target]:
    """Make the target ready for as long as the block lasts.

    Raises:
        UsageError: a word about it is off.
        UnusableError: it cannot be started or reached.
    """
    with ExitStack() as stack:
        if options.kind == "local":
            yield stack.enter_context(local_service())
        elif options.kind == "emulator":
            yield stack.enter_context(local_cloud_run(plan, target_options))
        elif options.kind == "cloud":
            yield stack.enter_context(cloud_run(target_options))
        else:
            yield given_url(options)


@contextmanager
def local_service() -> Iterator[Target]:
    """Run the bundled service on a free port of this machine for as long as the block lasts.

    Raises:
        TargetError: it ended or did not answer in time; the text has its last words.
    """
    port = free_port()
    with tempfile.TemporaryFile() as words:
        service = subprocess.Popen(
            [sys.executable, "-m", "target_service"],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - this process has one thread, and the call is one system call
        )
        try:
            url = f"http://{LOOPBACK}:{port}"
            _wait_for(url, service, words)
            yield Target(TargetRecord(kind="local", url=url, service="target_service"))
        finally:
            service.terminate()
            try:
                service.wait(timeout=10)
            except subprocess.TimeoutExpired:
                service.kill()
                service.wait()


def _end_with_parent() -> None:
    """In the child, before it becomes the service: let it be told to stop when this process dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _wait_for(url: str, service: subprocess.Popen[bytes], words: IO[bytes]) -> None:
    give_up_s = time.monotonic() + START_S
    while time.monotonic() < give_up_s:
        if service.poll() is not None:
            raise TargetError(f"The target service ended with status {service.returncode}: {_last(words)}")
        if no_answer(url + "/healthz", timeout_s=1.0) is None:
            return
        time.sleep(0.05)
    raise TargetError(f"The target service did not answer within {START_S:.0f} s: {_last(words)}")


def _last(words: IO[bytes]) -> str:
    words.seek(0)
    text = words.read().decode(errors="replace").strip()
    return text.splitlines()[-1] if text else "it said nothing"


@contextmanager
def local_cloud_run(plan: Scenario, target_options: TargetOptions) -> Iterator[Target]:
    """Run a local Cloud Run in front of the service, scaled to zero, for as long as the block lasts.

    Limits come from the command line, else from the scenario's `limits`, else Cloud Run's defaults with as much CPU
    as serves 30 requests/s, so that a laptop shows what a cloud would.

    Raises:
        EmulatorError: it cannot be started, or its service not deployed.
    """
    import shlex

    from ..core.quantities import cpu_of, memory_bytes_of
    from ..emulator.handle import EmulatorConfig, EmulatorHandle
    from ..emulator.model import EmulatorOptions, RevisionTemplate, Sampling, ServiceKey

    def word(name: str, default: str) -> str:
        given = getattr(target_options, name)
        return str(given if given is not None else plan.limits.get(name, default))

    if target_options.autoscaler not in ("cloudrun", "knative"):
        raise UsageError(f"`--autoscaler {target_options.autoscaler}`: give cloudrun or knative.")
    cpu, memory = word("cpu", "auto"), word("memory", "512Mi")
    try:
        vcpu, memory_bytes = None if cpu == "auto" else cpu_of(cpu), memory_bytes_of(memory)
    except ValueError as error:
        raise UsageError(f"`--cpu {cpu} --memory {memory}`: {error}; --cpu also takes `auto`.") from error
    template = RevisionTemplate(
        command=tuple(shlex.split(target_options.command)) if target_options.command else (),
        cpu=vcpu,
        memory_bytes=memory_bytes,
        concurrency=int(word("concurrency", "80")),
        min_instances=int(word("min_instances", "0")),
        max_instances=int(word("max_instances", "20")),
    )
    order = EmulatorConfig(
        template=template,
        key=ServiceKey(target_options.service or "target-service"),
        options=EmulatorOptions(
            autoscaler="knative" if target_options.autoscaler == "knative" else "cloudrun",
            sampling=Sampling(period_s=SAMPLE_S),
        ),
    )
    with tempfile.TemporaryDirectory(prefix="lt-") as room:
        log = Path(room) / "events"
        with talk.status("deploying to the local Cloud Run"):
            emulator = EmulatorHandle.start(order, log=log)
        with emulator:
            yield _emulated(emulator, order, log)


def _emulated(emulator: EmulatorHandle, order: EmulatorConfig, log: Path) -> Target:
    """Return a running emulator as a target that leaves its series, its log and how it worked with the run."""
    from ..platforms.cloudrun.describe import resolve

    place = order.key
    record = resolve(place.name, project=place.project, region=place.location, endpoint=emulator.api_endpoint)
    record.kind, record.url = "emulator", emulator.url
    fetch = _fetching(emulator.api_endpoint)
    not_limited = emulator.state()["emulator"]["not_limited"]
    if not_limited:
        talk.print(f"[yellow]![/] the instances' CPU and memory are not limited: {not_limited}")

    def collect(folder: RunFolder, run: Run) -> None:
        fetch(folder, run)
        state = emulator.state()
        (revision,) = [each for each in state["services"][0]["revisions"] if each["serving"]]
        told = ("cpu_why", "startup_s", "by_code", "lost_log_lines")
        run.target = run.target.model_copy(
            update={"emulator": {**{name: revision[name] for name in told}, "not_limited": not_limited}}
        )
        folder.write_run(run)
        folder.write_derived(folder.emulator_log, log.read_text(encoding="utf-8", errors="replace"))

    return Target(record, collect=collect)


@contextmanager
def cloud_run(target_options: TargetOptions) -> Iterator[Target]:
    """Resolve a Cloud Run service, with a token served to the Locust processes when it is private.

    Raises:
        UsageError: the service is not named.
        CloudError: Google refused, did not answer, or there is no such service.
    """
    from ..platforms.cloudrun.describe import describe

    if target_options.service is None:
        raise UsageError("`--target cloud`: name the service with --service NAME (or its run.app URL) and --region.")
    with talk.status(f"looking up {target_options.service}"):
        found = describe(
            target_options.service,
            project=target_options.project,
            region=target_options.region,
            endpoint=target_options.endpoint,
        )
    collect = _fetching(target_options.endpoint)
    with admitted(found) as environment:
        yield Target(found.target, environment=environment, collect=collect)


@contextmanager
def admitted(found: Described) -> Iterator[Mapping[str, str]]:
    """Give the variables with which the Locust processes get an ID token for a private service; else none.

    A local Cloud Run lets everyone in. Where it may not be read who is let in, a token does no harm, and its want is
    said.

    Raises:
        CloudError: the service is private, and no token could be had.
    """
    from ..platforms.cloudrun.tokens import IdTokens, TokenServer

    if found.public or found.target.kind == "emulator":
        yield {}
        return
    with ExitStack() as stack:
        try:
            environment = stack.enter_context(TokenServer(IdTokens(found.audience))).environment
        except CloudError as error:
            if found.public is False:
                raise
            talk.print(
                f"[yellow]![/] nobody here may read who may call the service; it is called without a token: {error}"
            )
            environment = {}
        yield environment


def _fetching(endpoint: str | None) -> Callable[[RunFolder, Run], None]:
    """Return a `collect` that fetches the series; what stands against it is said, and the run is kept without."""

    def collect(folder: RunFolder, run: Run) -> None:
        from .metrics import fetch_into

        try:
            fetch_into(folder, run, endpoint=endpoint)
        except LoadTestError as error:
            talk.print(f"[yellow]![/] no cloud series: {error}")
            talk.print(f"The rows are kept; fetch the series later: python lt.py metrics {run.id}", markup=False)
        except KeyboardInterrupt:
            talk.print(f"The rows are kept; fetch the series later: python lt.py metrics {run.id}", markup=False)

    return collect


def given_url(options: RunOptions) -> Target:
    """Return the URL the user named as a target, after making sure that something answers there.

    Raises:
        TargetError: nothing answers.
    """
    assert options.url is not None
    why = no_answer(options.url + "/", timeout_s=10.0)
    if why is not None:
        raise TargetError(f"`--target {options.url}`: nothing answers there ({why}). Is the service running?")
    return Target(TargetRecord(kind="url", url=options.url))


def no_answer(url: str, *, timeout_s: float) -> str | None:
    """Return why nothing answers at `url`; None when anything does, whatever its status.

    ServiceCheckRequest directly, whatever proxies the environment names, because the load goes directly too.
    """
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=timeout_s):
            return None
    except urllib.error.HTTPError:
        return None
    except urllib.error.URLError as error:
        return str(error.reason)
    except OSError as error:
        return str(error)
