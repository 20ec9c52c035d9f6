"""Create, update or delete a Cloud Run service."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...core import cloud_run
from ...core.errors import CloudError, UsageError
from ...core.quantities import cpu_text
from .calls import CallContext, RetryPolicy, call, explained, on_service
from .clients import Clients
from .operations import Step, wait

if TYPE_CHECKING:
    from google.cloud.run_v2 import Service
    from google.cloud.run_v2.types import RevisionTemplate

    from .settings import ServiceSettings

INVOKER, EVERYONE = "roles/run.invoker", "allUsers"


@dataclass(frozen=True, slots=True)
class Deployed:
    """The result of a deploy.

    Attributes:
        url: the URL of the service.
        revision: the newest revision, which is ready.
        is_new: whether the service is new.
        traffic_percent: the revision's share of the traffic; None if the service does not report it.
        not_set: why the access policy could not be set; "" if the policy was set, or if this was not requested.
    """

    url: str
    revision: str
    is_new: bool
    traffic_percent: int | None = None
    not_set: str = ""


def deploy(
    settings: ServiceSettings,
    *,
    endpoint: str | None = None,
    on_start: Callable[[ServiceSettings], None] = lambda _: None,
    on_progress: Callable[[Step], None] = lambda _: None,
    retry_policy: RetryPolicy | None = None,
) -> Deployed:
    """Create or update the service, wait until its revision is ready, and set who may call it.

    Sending the same settings again makes no new revision, because Cloud Run makes a new revision only when the template
    changes. Settings that are not given (limits, traffic between revisions, service account, VPC, labels, …) stay
    unchanged. A new service gets `ServiceSettings.when_new`, and a service without a maximum number of instances gets
    our default maximum.

    `on_start` is called with the settings to send, as soon as it is known whether the service exists.

    Raises:
        UsageError: `takes_traffic` is off, and no other revision exists that could have the traffic.
        CloudError: Google refused the call or did not answer, or the revision did not become ready.
    """
    from google.api_core.exceptions import Aborted, AlreadyExists, NotFound
    from google.cloud.run_v2 import Service

    clients = Clients(endpoint)
    api = clients.services
    purpose = _purpose("deploying", settings)
    found = _found(clients, settings, purpose=purpose, retry_policy=retry_policy)
    request = _completed(settings, found)
    on_start(request)
    try:
        try:
            future = _send(clients, request, found, purpose=purpose, retry_policy=retry_policy)
        except (AlreadyExists, Aborted):
            # The first of several attempts may have succeeded although no answer came, or someone else may have created
            # it.
            now = _found(clients, settings, purpose=purpose, retry_policy=retry_policy)
            future = _send(clients, request, now, purpose=purpose, retry_policy=retry_policy)
    except (NotFound, AlreadyExists, Aborted) as error:  # the project or the image was not found
        raise explained(error, purpose=purpose) from error
    done = Service.pb(Service())
    wait(future, api.transport, purpose=purpose, retry_policy=retry_policy, on_progress=on_progress).Unpack(done)
    not_set = ""
    if settings.public is not None:
        try:
            set_public(clients, settings, retry_policy=retry_policy)
        except CloudError as error:  # this is not an error, because the revision serves requests anyway
            not_set = (
                f"{error} If your organisation forbids public access, use `--no-allow-unauthenticated` and name "
                f"the callers: `gcloud run services add-iam-policy-binding {settings.service} --project "
                f"{settings.project} --region {settings.region} --member=user:NAME --role={INVOKER}`."
            )
    revision = _last(done.latest_created_revision)
    return Deployed(
        url=done.uri,
        revision=revision,
        is_new=found is None,
        traffic_percent=_share(done, revision),
        not_set=not_set,
    )


def _share(service: Any, revision: str) -> int | None:
    """Return the percentage of the traffic that goes to a revision; None if the service does not report it."""
    latest = _last(service.latest_ready_revision)
    shares = [(_last(traffic.revision) or latest, traffic.percent) for traffic in service.traffic_statuses]
    return sum(percent for name, percent in shares if name == revision) if shares else None


def _found(
    clients: Clients, settings: ServiceSettings, *, purpose: CallContext, retry_policy: RetryPolicy | None
) -> Any:
    """Return the current service, or None."""
    from google.api_core.exceptions import NotFound
    from google.cloud.run_v2 import GetServiceRequest

    request = GetServiceRequest(name=settings.name)
    try:
        return call(clients.services.get_service, request, purpose=purpose, retry_policy=retry_policy)
    except NotFound:
        return None


def _completed(settings: ServiceSettings, found: Service | None) -> ServiceSettings:
    """Return the settings to send: all for a new service, and a maximum of instances for a service without one."""
    if found is None:
        return settings.when_new()
    has_maximum = found.template.scaling.max_instance_count or found.scaling.max_instance_count
    if settings.max_instances is None and not has_maximum:
        return dataclasses.replace(settings, max_instances=cloud_run.DEPLOYED_MAX_INSTANCES)
    return settings


def _send(
    clients: Clients,
    settings: ServiceSettings,
    found: Service | None,
    *,
    purpose: CallContext,
    retry_policy: RetryPolicy | None,
) -> Any:
    """Start to create or update the service, and return the operation."""
    from google.api_core.exceptions import Aborted, AlreadyExists
    from google.cloud.run_v2 import CreateServiceRequest, UpdateServiceRequest

    api = clients.services
    wanted = _wanted(settings, found)
    passed = (AlreadyExists, Aborted)
    if found is not None:
        update = UpdateServiceRequest(service=wanted)
        return call(api.update_service, update, purpose=purpose, retry_policy=retry_policy, passed=passed)
    create = CreateServiceRequest(parent=settings.parent, service=wanted, service_id=settings.service)
    return call(api.create_service, create, purpose=purpose, retry_policy=retry_policy, passed=passed)


def delete(settings: ServiceSettings, *, endpoint: str | None = None) -> bool:
    """Delete the service and wait until it no longer exists. Return whether the service existed.

    Raises:
        CloudError: Google refused the call or did not answer.
    """
    from google.api_core.exceptions import NotFound
    from google.cloud.run_v2 import DeleteServiceRequest

    api = Clients(endpoint).services
    purpose = _purpose("deleting", settings)
    try:
        future = call(api.delete_service, DeleteServiceRequest(name=settings.name), purpose=purpose)
    except NotFound:
        return False
    wait(future, api.transport, purpose=purpose)
    return True


def set_public(clients: Clients, settings: ServiceSettings, *, retry_policy: RetryPolicy | None = None) -> None:
    """Allow everyone to call the service if `settings.public` is set, else only the members of the service's policy.

    Raises:
        CloudError: Google refused the call or did not answer.
    """
    from google.api_core.exceptions import NotFound
    from google.iam.v1.iam_policy_pb2 import GetIamPolicyRequest, SetIamPolicyRequest
    from google.iam.v1.policy_pb2 import Binding

    purpose = _purpose("setting who may call", settings, role="roles/run.admin")
    api = clients.services
    try:
        request = GetIamPolicyRequest(resource=settings.name)
        request.options.requested_policy_version = 3  # 3 is the first version in which a binding may have a condition
        policy = call(api.get_iam_policy, request, purpose=purpose, retry_policy=retry_policy)
        plain = [binding for binding in policy.bindings if binding.role == INVOKER and not binding.condition.expression]
        others = [binding for binding in policy.bindings if binding not in plain]
        members = {member for binding in plain for member in binding.members}
        if settings.public == (EVERYONE in members):
            return
        members ^= {EVERYONE}
        del policy.bindings[:]
        policy.bindings.extend(others)
        if members:  # the API rejects a binding without a member
            policy.bindings.append(Binding(role=INVOKER, members=sorted(members)))
        request = SetIamPolicyRequest(resource=settings.name, policy=policy)
        call(api.set_iam_policy, request, purpose=purpose, retry_policy=retry_policy)
    except NotFound as error:
        raise explained(error, purpose=purpose) from error


def _purpose(doing: str, settings: ServiceSettings, **role: str) -> CallContext:
    return on_service(doing, settings.service, project=settings.project, region=settings.region, **role)


def _wanted(settings: ServiceSettings, found: Service | None) -> Service:
    from google.cloud.run_v2 import Service
    from google.cloud.run_v2.types import TrafficTarget, TrafficTargetAllocationType

    wanted = Service() if found is None else Service(found)
    latest: Any = TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
    pinned: Any = TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
    if not wanted.traffic:
        wanted.traffic = [TrafficTarget(type_=latest, percent=100)]
    if not settings.takes_traffic:
        if found is None or not found.latest_ready_revision:
            raise UsageError(
                f"`--no-traffic`: service {settings.service} has no revision yet that could keep the traffic. Leave "
                "out the option for the first deploy."
            )
        for target in wanted.traffic:
            if target.type_ == latest:  # give its share to the revision that is now the latest ready revision, by name
                target.type_ = pinned
                target.revision = _last(found.latest_ready_revision)
    wanted.client = "lt"
    if settings.public is False:
        wanted.invoker_iam_disabled = False  # with True, Cloud Run would ignore the policy
    _fill(wanted.template, settings)
    return wanted


def _fill(template: RevisionTemplate, settings: ServiceSettings) -> None:
    """Write the settings into the template, and leave the rest unchanged."""
    from google.cloud.run_v2.types import Container, ContainerPort, EnvVar

    is_new = not template.containers
    if is_new:
        template.containers = [Container()]
    container = template.containers[0]
    container.image = settings.image
    if settings.command:
        container.command = list(settings.command)
    if settings.env:
        container.env = [EnvVar(name=name, value=value) for name, value in settings.env]
    if settings.port is not None:
        # so that the name of the port, which may be h2c, is kept
        name = container.ports[0].name if container.ports else ""
        container.ports = [ContainerPort(name=name, container_port=settings.port)]
    if settings.cpu is not None:
        container.resources.limits["cpu"] = cpu_text(settings.cpu)
    if settings.memory_mib is not None:
        container.resources.limits["memory"] = f"{settings.memory_mib:g}Mi"
    if settings.cpu_boost is not None:
        container.resources.startup_cpu_boost = settings.cpu_boost
    if is_new:
        container.resources.cpu_idle = True
    template.revision = f"{settings.service}-{settings.revision_suffix}" if settings.revision_suffix else ""
    if settings.concurrency is not None:
        template.max_instance_request_concurrency = settings.concurrency
    if settings.timeout_s is not None:
        template.timeout = datetime.timedelta(seconds=settings.timeout_s)
    if settings.min_instances is not None:
        template.scaling.min_instance_count = settings.min_instances
    if settings.max_instances is not None:
        # In the API, zero means that the service sets no limit. The project's limit then applies (100 unless raised).
        template.scaling.max_instance_count = settings.max_instances


def _last(name: str) -> str:
    return name.rpartition("/")[2]
