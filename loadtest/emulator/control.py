"""Manage the emulator's services, processes and metrics."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shlex
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..core.cloud_run import TARGET_RATIO
from .autoscaler import CloudRun, Knative, Policy
from .cgroups import CgroupManager
from .folders import EmulatorFolder
from .haproxy import find_haproxy
from .instance_pool import TARGET_SERVICE, SharedResources
from .leftovers import sweep
from .metrics_store import Recorder
from .model import (
    EmulatorOptions,
    Labels,
    RevisionTemplate,
    Sampling,
    Series,
    ServiceExistsError,
    ServiceKey,
    ServiceNotFoundError,
    ServiceStatus,
    TemplateError,
)
from .process_supervisor import ProcessSupervisor
from .service import Service, check_key

KEEP_EVENTS = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """An event for the log: its Unix time and its text."""

    number: int
    at_s: float
    text: str


class LocalCloudRun:
    """`loadtest.emulator.model.Emulator` with real processes.

    Call `startup`, use the object, and call `shutdown`, all in the same event loop.
    """

    def __init__(
        self, options: EmulatorOptions | None = None, *, on_event: Callable[[Event], None] | None = None
    ) -> None:
        self.options = options or EmulatorOptions()
        self.events: deque[Event] = deque(maxlen=KEEP_EVENTS)
        self.not_limited = ""
        self._on_event = on_event
        self._event_count = 0
        self._default_policy = self._policy(RevisionTemplate())
        self.idle_s = self._default_policy.idle_s if self.options.idle_s is None else self.options.idle_s
        self._recorder = Recorder(self.options.sampling, clock=time.time)
        self._services: dict[ServiceKey, Service] = {}
        self._deleting: dict[ServiceKey, asyncio.Task[None]] = {}
        self._service_count = 0
        self._commands: set[tuple[str, ...]] = {self.options.command or TARGET_SERVICE}
        self._resources: SharedResources | None = None
        self._folder: EmulatorFolder | None = None

    def startup(self) -> None:
        """Remove what killed emulators left behind, and prepare to deploy.

        Raises:
            EmulatorError: HAProxy was not found.
        """
        haproxy = find_haproxy()
        for sentence in sweep():
            self.log_event(sentence)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < hard:
            # macOS reports an infinite hard limit, but does not accept it
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._folder = EmulatorFolder.make()
        cgroups = CgroupManager(self._folder.mark)
        self._resources = SharedResources(
            supervisor=ProcessSupervisor(self._folder.mark),
            cgroups=cgroups,
            haproxy=haproxy,
            policy=self._policy,
            idle_s=self.idle_s,
            first_requests=self.options.first_requests,
            log_event=self.log_event,
        )
        cgroups.startup()
        self.not_limited = cgroups.why_not
        if self.not_limited:
            self.log_event(self.not_limited)

    async def shutdown(self) -> None:
        """Stop everything and clean up. This method also works after an interrupted `startup`."""
        for key in list(self._services):
            self.delete_service(key)
        await asyncio.gather(*self._deleting.values(), return_exceptions=True)
        if self._resources is not None:
            self._resources.supervisor.shutdown()
            self._resources.cgroups.shutdown()
        if self._folder is not None:
            self._folder.remove()

    @property
    def folder(self) -> EmulatorFolder:
        """The emulator's folder; `shutdown` removes it."""
        if self._folder is None:
            raise RuntimeError("startup() was not called")
        return self._folder

    def log_event(self, text: str) -> None:
        """Add an event to the log."""
        self._event_count += 1
        event = Event(self._event_count, time.time(), text)
        self.events.append(event)
        if self._on_event is not None:
            self._on_event(event)

    def permit_command(self, template: RevisionTemplate) -> None:
        """Allow services to run this template's command, in addition to the command that was given at the start."""
        self._commands.add(self._argv(template))

    def _argv(self, template: RevisionTemplate) -> tuple[str, ...]:
        return (*(template.command or self.options.command or TARGET_SERVICE), *template.args)

    def _check_command(self, template: RevisionTemplate) -> None:
        argv = self._argv(template)
        if not self.options.allow_any_command and argv not in self._commands:
            raise TemplateError(
                f"command {shlex.join(argv)}: this emulator runs only the command that it was started with. Leave the "
                "command out, or start the emulator with --allow-any-command."
            )

    def _policy(self, template: RevisionTemplate) -> Policy:
        if self.options.autoscaler == "knative":
            return Knative()
        return CloudRun(
            cpu_target_ratio=template.cpu_target_ratio or TARGET_RATIO,
            concurrency_target_ratio=template.concurrency_target_ratio or TARGET_RATIO,
        )

    # -- model.Control ------------------------------------------------------------

    def create_service(
        self,
        key: ServiceKey,
        template: RevisionTemplate,
        *,
        labels: Labels = (),
        annotations: Labels = (),
        traffic: str | None = None,
        kept: Labels = (),
        front_port: int = 0,
    ) -> ServiceStatus:
        """See `loadtest.emulator.model.Control`."""
        if key in self._services or key in self._deleting:
            raise ServiceExistsError(f"Service {key.name} exists already in {key.project}/{key.location}.")
        check_key(key)
        self._check_command(template)
        if self._resources is None:
            raise RuntimeError("startup() was not called")
        self._service_count += 1
        service = Service(
            key,
            labels=labels,
            annotations=annotations,
            kept=kept,
            front_port=front_port,
            directory=self.folder.path / str(self._service_count),
            default_argv=self.options.command,
            resources=self._resources,
            record_of=lambda revision: self._recorder.of(key, revision),
        )
        try:
            service.deploy(template, traffic=traffic)
        except TemplateError:
            service.release_port()
            raise
        self._services[key] = service
        return service.status()

    def update_service(
        self,
        key: ServiceKey,
        template: RevisionTemplate,
        *,
        labels: Labels | None = None,
        annotations: Labels | None = None,
        traffic: str | None = None,
        kept: Labels | None = None,
    ) -> ServiceStatus:
        """See `loadtest.emulator.model.Control`."""
        service = self.find(key)
        self._check_command(template)
        service.deploy(template, traffic=traffic)
        if labels is not None:
            service.labels = labels
        if annotations is not None:
            service.annotations = annotations
        if kept is not None:
            service.kept = kept
        return service.status()

    def delete_service(self, key: ServiceKey) -> ServiceStatus:
        """See `loadtest.emulator.model.Control`."""
        service = self.find(key)
        del self._services[key]
        self._deleting[key] = asyncio.create_task(self._delete(service))
        return service.status()

    async def settled(self, key: ServiceKey, generation: int) -> ServiceStatus:
        """See `loadtest.emulator.model.Control`."""
        return await self.find(key).settled(generation)

    async def deleted(self, key: ServiceKey) -> None:
        """See `loadtest.emulator.model.Control`."""
        if key in self._deleting:
            await asyncio.shield(self._deleting[key])

    def service(self, key: ServiceKey) -> ServiceStatus:
        """See `loadtest.emulator.model.Control`."""
        return self.find(key).status()

    def services(self) -> Sequence[ServiceStatus]:
        """See `loadtest.emulator.model.Control`."""
        return [self._services[key].status() for key in sorted(self._services)]

    # -- model.Readings ------------------------------------------------------------

    @property
    def sampling(self) -> Sampling:
        """See `loadtest.emulator.model.Readings`."""
        return self.options.sampling

    def series(self, metric: str, *, start_s: float, end_s: float) -> Sequence[Series]:
        """See `loadtest.emulator.model.Readings`."""
        return self._recorder.series(metric, start_s=start_s, end_s=end_s)

    # -- for the state page ------------------------------------------------------------------------------------------

    def find(self, key: ServiceKey) -> Service:
        """Return the service object.

        Raises:
            ServiceNotFoundError: there is no such service.
        """
        try:
            return self._services[key]
        except KeyError:
            raise ServiceNotFoundError(f"There is no service {key.name} in {key.project}/{key.location}.") from None

    def all(self) -> Sequence[Service]:
        """Return the service objects by key."""
        return [self._services[key] for key in sorted(self._services)]

    async def _delete(self, service: Service) -> None:
        service_key = service.key
        try:
            await service.shutdown()
        finally:
            del self._deleting[service_key]
