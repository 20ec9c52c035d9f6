"""Define the emulator's interfaces for deploying services and for reading the recorded metrics.

There are two interfaces. Call both only on the emulator's event loop: no call blocks, and no call is thread-safe.

    Control   create, update and delete services; return their status       implemented by control.py
    Readings  the points of a metric in an interval                       implemented by metrics_store.py

`Emulator` combines both. `tests/emulator/fake.py` implements a fake emulator for tests of other modules.

Changing a service returns at once, with the service in phase DEPLOYING; `settled` waits until it is READY or FAILED.
Google's long-running operations work in the same way.

api_listener.py opens the one local port, detects HTTP/2 (gRPC) or HTTP/1 by the first bytes, checks access
(`core.access`), and mounts

    google_api.grpc_server.start(emulator: Emulator, address: str) -> grpc.aio.Server    async; it listens on `address`
        (`unix:PATH`) when it returns, and the listener stops it
    google_api.knative.routes(emulator: Emulator) -> list[starlette.routing.BaseRoute]   beside /state
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from ..core import cloud_run
from ..core.errors import EmulatorError, UsageError

Labels = tuple[tuple[str, str], ...]
"""Label names with their values, sorted by name. Unlike a dict, this type is hashable."""


class ServiceExistsError(EmulatorError):
    """A service with this name exists already."""


class ServiceNotFoundError(EmulatorError):
    """There is no service with this name."""


class TemplateError(EmulatorError, UsageError):
    """The template is invalid, and the service is unchanged."""


@dataclass(frozen=True, slots=True, order=True)
class ServiceKey:
    """The name of a service: `projects/PROJECT/locations/LOCATION/services/NAME`."""

    name: str
    project: str = "local"
    location: str = "local"


@dataclass(frozen=True, slots=True)
class StartupProbe:
    """The startup probe, which decides when an instance counts as started.

    The default is the same as on Cloud Run: TCP, for at most 240 s.

    Attributes:
        kind: `tcp` (the port accepts) or `http` (GET `path` answers 200…399).
        initial_delay_s: delay before the first try.
        period_s: the declared time between two tries; together with `failure_threshold` it limits the start time. The
            emulator probes every 50 ms, which corresponds to how Cloud Run's default probe behaves, and gives up after
            `initial_delay_s + period_s * failure_threshold`.
        timeout_s: timeout of an HTTP try.
    """

    kind: Literal["tcp", "http"] = "tcp"
    path: str = "/"
    initial_delay_s: float = 0.0
    period_s: float = 240.0
    timeout_s: float = 1.0
    failure_threshold: int = 1


@dataclass(frozen=True, slots=True)
class RevisionTemplate:
    """The command and the limits of a revision, with Cloud Run's names.

    Attributes:
        command: argv of the process, which runs in the emulator's directory; empty for the bundled service.
        args: appended to `command` (or to the default command).
        env: variables that are added to those that a program needs to run (`process_supervisor`). The emulator always
            sets PORT, K_SERVICE, K_REVISION and K_CONFIGURATION itself.
        port: the declared container port, which is only reported. Each instance gets a free port of this machine in
            $PORT.
        image: the declared image, which is only reported. The emulator runs `command`, never an image.
        cpu: vCPU per instance. If `cpu` is None, the deploy chooses a value with which an instance serves about 30
        requests/s at the 60 % target (RevisionStatus.cpu has the result).
        memory_bytes: memory per instance.
        concurrency: the most requests that an instance receives at the same time.
        timeout_s: time after which a request is answered with 504.
        revision_name: full name of the new revision; None for `SERVICE-00001-abc` and so on.
        cpu_target_ratio, concurrency_target_ratio: the autoscaler's targets for the use of vCPU and of concurrency;
        None for the autoscaler's default (Cloud Run: 0.60).
        kept: the fields that the emulator only stores and returns, as names and JSON (`google_api.fields`).
    """

    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Labels = ()
    port: int = cloud_run.PORT
    image: str = ""
    cpu: float | None = cloud_run.CPU
    memory_bytes: int = round(cloud_run.MEMORY_MIB) * 2**20
    concurrency: int = cloud_run.CONCURRENCY
    min_instances: int = 0
    max_instances: int = cloud_run.MAX_INSTANCES
    timeout_s: float = cloud_run.TIMEOUT_S
    cpu_boost: bool = True
    startup_probe: StartupProbe = StartupProbe()
    revision_name: str | None = None
    cpu_target_ratio: float | None = None
    concurrency_target_ratio: float | None = None
    kept: Labels = ()


class Phase(StrEnum):
    """The phase of a service or a revision."""

    DEPLOYING = "deploying"
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class RevisionStatus:
    """The current status of one revision.

    Attributes:
        created_s: Unix time.
        message: why the revision failed, with the last lines of output of the process; "" if the revision did not fail.
        cpu: vCPU in effect; None until chosen.
        startup_s: how long the first instance took until the probe passed; None until measured.
        pending_limit_s: how long a request waits for an instance before it gets 429; None until known.
        serving: whether the revision gets the service's traffic.
        active, idle, starting: current number of instances by state.
    """

    name: str
    template: RevisionTemplate
    created_s: float
    phase: Phase
    message: str = ""
    cpu: float | None = None
    startup_s: float | None = None
    pending_limit_s: float | None = None
    serving: bool = False
    active: int = 0
    idle: int = 0
    starting: int = 0


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The current status of one service.

    Attributes:
        uid: unique id of this creation of the service.
        url: the service's base URL, `http://127.0.0.1:PORT`, which never changes.
        generation: 1 at creation, increased by every update.
        observed_generation: the newest generation that is READY or FAILED.
        created_s, updated_s: Unix time.
        template: the template of the newest generation.
        traffic: the revision that gets all traffic; None means the latest revision that is ready.
        revisions: the service's revisions, oldest first; they are deleted only with the service.
        phase: the phase of the newest generation. If an update FAILED, the service continues to serve the previous
            revision.
        message: why the service failed; "" if it did not fail.
        kept: the same as in RevisionTemplate, for the service itself.
    """

    key: ServiceKey
    uid: str
    url: str
    generation: int
    observed_generation: int
    created_s: float
    updated_s: float
    labels: Labels
    annotations: Labels
    template: RevisionTemplate
    traffic: str | None
    revisions: tuple[RevisionStatus, ...]
    latest_created_revision: str | None
    latest_ready_revision: str | None
    phase: Phase
    message: str = ""
    kept: Labels = ()


class Control(Protocol):
    """Manage the services of a local Cloud Run."""

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
        """Start to deploy a new service, and return it in phase DEPLOYING.

        Args:
            key: its name.
            template: the template of the service's first revision.
            labels: these are stored and not used.
            annotations: these are stored and not used.
            traffic: as in ServiceStatus.
            kept: as in ServiceStatus.
            front_port: the service's port on 127.0.0.1; 0 takes a free port.

        Raises:
            ServiceExistsError: a service with that key exists.
            TemplateError: the template cannot work on any machine; the message names the field and the value, and says
                what to do.
            EmulatorError: the port is taken.
        """
        ...

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
        """Start to replace the service's template, and return the service.

        If the template is equal to the current template, no new revision is made. If `labels`, `annotations` or `kept`
        is None, the service keeps its current values.

        Raises:
            ServiceNotFoundError: there is no such service.
            TemplateError: as in `create_service`; also if `traffic` names no revision of this service.
        """
        ...

    def delete_service(self, key: ServiceKey) -> ServiceStatus:
        """Begin to stop the service, and return it in phase DELETING.

        The name of the service is free when `deleted` returns.

        Raises:
            ServiceNotFoundError: there is no such service.
        """
        ...

    async def settled(self, key: ServiceKey, generation: int) -> ServiceStatus:
        """Wait until `generation` is READY or FAILED (or a newer generation has replaced it), and return the service.

        Raises:
            ServiceNotFoundError: there is no such service, or it was deleted in the meantime.
        """
        ...

    async def deleted(self, key: ServiceKey) -> None:
        """Wait until the service is removed completely. Return at once if there is no such service."""
        ...

    def service(self, key: ServiceKey) -> ServiceStatus:
        """Return the current service.

        Raises:
            ServiceNotFoundError: there is no such service.
        """
        ...

    def services(self) -> Sequence[ServiceStatus]:
        """Return every service, by key."""
        ...


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution over buckets, as in Cloud Monitoring.

    Attributes:
        bounds: ascending; bucket i contains values in [bounds[i-1], bounds[i]).
        counts: one count per bucket, so one more than bounds.
    """

    count: int
    mean: float
    sum_of_squared_deviation: float
    bounds: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One sample. One value: a GAUGE has `start_s == end_s`, and a DELTA covers `[start_s, end_s)`.

    Times are Unix times in whole periods.
    """

    start_s: float
    end_s: float
    value: int | float | Distribution


@dataclass(frozen=True, slots=True)
class Series:
    """The points of one metric, one revision, one set of metric labels; oldest point first.

    If a revision has no values in a period, there is no point for this period, because missing is not zero. A period
    gets its point when the period is complete and the ingest delay has passed.
    """

    metric: str
    service: ServiceKey
    revision: str
    labels: Labels
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """The period of recorded points, and the delay until they can be read."""

    period_s: float = 60.0
    ingest_delay_s: float = 0.0


class Readings(Protocol):
    """Returns the recorded metrics, including those of deleted services."""

    @property
    def sampling(self) -> Sampling:
        """The period and the delay of the points."""
        ...

    def series(self, metric: str, *, start_s: float, end_s: float) -> Sequence[Series]:
        """Return every series of a metric type, with the points whose end is in `(start_s, end_s]`.

        Args:
            metric: a type of `metric_types.METRICS`; all other types have no series.
            start_s: Unix time.
            end_s: Unix time.
        """
        ...


class Emulator(Control, Readings, Protocol):
    """A local Cloud Run, which manages services and returns recorded metrics."""


@dataclass(frozen=True, slots=True)
class EmulatorOptions:
    """Options of one emulator, the same for all its services.

    Attributes:
        autoscaler: `cloudrun` or `knative`.
        idle_s: how long an idle instance is kept; None for the autoscaler's own time.
        api_port: the local port of Google's APIs and of the state; 0 takes a free port.
        command: the command for templates that have none; empty for the bundled service.
        allow_any_command: whether deploys may run commands other than `command`.
        first_requests: a command that sends a scenario's first requests to the base URL in its last argument, with the
            protocol described in `sizing.py`. If `first_requests` is empty, the service's own example request is sent
            to choose an instance's CPU.
    """

    autoscaler: Literal["cloudrun", "knative"] = "cloudrun"
    idle_s: float | None = None
    sampling: Sampling = field(default_factory=Sampling)
    api_port: int = 0
    command: tuple[str, ...] = ()
    allow_any_command: bool = False
    first_requests: tuple[str, ...] = ()
