"""Be a local Cloud Run: hold its services, its children and its record from start to end."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import cgroups
from . import process_supervisor as children
from .autoscaler import CloudRun, Knative, Policy
from .cgroups import CgroupManager
from .haproxy import find_haproxy
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
)
from .process_supervisor import ProcessSupervisor
from .revision import SharedResources
from .service import Service

KEEP_EVENTS = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth a line: when (Unix time), and what."""

    number: int
    at_s: float
    text: str


class LocalCloudRun:
    """`loadtest.emulator.model.Emulator` with real processes. `startup`, use, `shutdown`; all in one event loop."""

    def __init__(
        self, options: EmulatorOptions | None = None, *, on_event: Callable[[Event], None] | None = None
    ) -> None:
        self.options = options or EmulatorOptions()
        self.events: deque[Event] = deque(maxlen=KEEP_EVENTS)
        self.slices = CgroupManager()
        self._on_event = on_event
        self._told = 0
        self._policy: Policy = Knative() if self.options.autoscaler == "knative" else CloudRun()
        self.idle_s = self._policy.idle_s if self.options.idle_s is None else self.options.idle_s
        self._children = ProcessSupervisor()
        self._recorder = Recorder(self.options.sampling, clock=time.time)
        self._services: dict[ServiceKey, Service] = {}
        self._deleting: dict[ServiceKey, asyncio.Task[None]] = {}
        self._rooms = 0
        self._ground: SharedResources | None = None

    def startup(self) -> None:
        """Clean up what dead emulators left, and get ready to deploy.

        Raises:
            EmulatorError: there is no HAProxy.
        """
        haproxy = find_haproxy()
        for sentence in (*children.sweep(), *cgroups.sweep()):
            self.tell(sentence)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < hard:
            with contextlib.suppress(ValueError, OSError):  # macOS calls its hard limit infinite and refuses it
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._children.startup()
        self.slices.startup()
        if self.slices.why_not:
            self.tell(self.slices.why_not)
        self._ground = SharedResources(
            children=self._children,
            slices=self.slices,
            haproxy=haproxy,
            policy=self._policy,
            idle_s=self.idle_s,
            tell=self.tell,
        )

    async def shutdown(self) -> None:
        """Stop everything and leave nothing behind."""
        for key in list(self._services):
            self.delete_service(key)
        await asyncio.gather(*self._deleting.values())
        self.slices.shutdown()
        self._children.shutdown()

    @property
    def room(self) -> Path:
        """Its folder, for sockets; gone after `shutdown`."""
        return self._children.room

    def tell(self, text: str) -> None:
        """Note something worth a line."""
        self._told += 1
        event = Event(self._told, time.time(), text)
        self.events.append(event)
        if self._on_event is not None:
            self._on_event(event)

    # -- model.Control ------------------------------------------------------------

    def create_service(
        self,
        key: ServiceKey,
        template: RevisionTemplate,
        *,
        labels: Labels = (),
        annotations: Labels = (),
        traffic: str | None = None,
        front_port: int = 0,
    ) -> ServiceStatus:
        """See `loadtest.emulator.model.Control`."""
        if key in self._services or key in self._deleting:
            raise ServiceExistsError(f"Service {key.name} exists already in {key.project}/{key.location}.")
        if self._ground is None:
            raise RuntimeError("startup() was not called")
        self._rooms += 1
        service = Service(
            key,
            labels=labels,
            annotations=annotations,
            front_port=front_port,
            room=self._children.room / str(self._rooms),
            default_argv=self.options.command,
            ground=self._ground,
            record_of=lambda revision: self._recorder.of(key, revision),
        )
        service.deploy(template, traffic=traffic)
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
    ) -> ServiceStatus:
        """See `loadtest.emulator.model.Control`."""
        service = self.find(key)
        service.deploy(template, traffic=traffic)
        if labels is not None:
            service.labels = labels
        if annotations is not None:
            service.annotations = annotations
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
        """Return the service itself.

        Raises:
            ServiceNotFoundError: there is none.
        """
        try:
            return self._services[key]
        except KeyError:
            raise ServiceNotFoundError(f"There is no service {key.name} in {key.project}/{key.location}.") from None

    def all(self) -> Sequence[Service]:
        """Return the services themselves, by key."""
        return [self._services[key] for key in sorted(self._services)]

    async def _delete(self, service: Service) -> None:
        service_key = service.key
        try:
            await service.shutdown()
        finally:
            del self._deleting[service_key]
