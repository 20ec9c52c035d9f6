"""Make a Cloud Run service be what its settings say, or take it away."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloudrun.calls import Patience, Purpose, call, explained, on_service
from cloudrun.clients import Clients
from cloudrun.operations import Step, wait
from recording.errors import CloudError, UsageError
from recording.quantities import cpu_text

if TYPE_CHECKING:
    from google.cloud.run_v2 import Service
    from google.cloud.run_v2.types import RevisionTemplate

    from cloudrun.settings import ServiceSettings

INVOKER, EVERYONE = "roles/run.invoker", "allUsers"


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a deploy left behind: the service's URL, its latest ready revision, whether it was new."""

    url: str
    revision: str
    is_new: bool


def deploy(
    settings: ServiceSettings,
    *,
    endpoint: str | None = None,
    on_progress: Callable[[Step], None] = lambda _: None,
    patience: Patience | None = None,
) -> Deployed:
    """Create or update the service, wait until its revision is ready, and set who may call it.

    Sending the same settings again makes no new revision: Cloud Run makes one when the template changes. What the
    settings do not speak of (service account, VPC, labels, …) stays as it is on the service.

    Raises:
        UsageError: `takes_traffic` is off and there is no revision yet that could have it.
        CloudError: Google refused, did not answer, or the revision did not become ready.
    """
    from google.api_core.exceptions import NotFound
    from google.cloud.run_v2 import CreateServiceRequest, GetServiceRequest, Service, UpdateServiceRequest

    clients = Clients(endpoint)
    api = clients.services
    purpose = _purpose("deploying", settings)
    try:
        found = call(api.get_service, GetServiceRequest(name=settings.name), purpose=purpose, patience=patience)
    except NotFound:
        found = None
    wanted = _wanted(settings, found)
    try:
        if found is None:
            request = CreateServiceRequest(parent=settings.parent, service=wanted, service_id=settings.service)
            future = call(api.create_service, request, purpose=purpose, patience=patience)
        else:
            future = call(api.update_service, UpdateServiceRequest(service=wanted), purpose=purpose, patience=patience)
    except NotFound as error:  # of the project or the image: the service's own absence was answered above
        raise CloudError(explained(error, purpose=purpose)) from error
    done = Service.pb(Service())
    wait(future, api.transport, purpose=purpose, patience=patience, on_progress=on_progress).Unpack(done)
    if settings.public is not None:
        set_public(clients, settings, patience=patience)
    return Deployed(url=done.uri, revision=done.latest_ready_revision.rpartition("/")[2], is_new=found is None)


def delete(settings: ServiceSettings, *, endpoint: str | None = None, patience: Patience | None = None) -> bool:
    """Take the service away and wait until it is gone; return whether there was one.

    Raises:
        CloudError: Google refused or did not answer.
    """
    from google.api_core.exceptions import NotFound
    from google.cloud.run_v2 import DeleteServiceRequest

    api = Clients(endpoint).services
    purpose = _purpose("deleting", settings)
    try:
        future = call(api.delete_service, DeleteServiceRequest(name=settings.name), purpose=purpose, patience=patience)
    except NotFound:
        return False
    wait(future, api.transport, purpose=purpose, patience=patience)
    return True


def set_public(clients: Clients, settings: ServiceSettings, *, patience: Patience | None = None) -> None:
    """Let everyone call the service, or only who is named in its policy, as `settings.public` says.

    Raises:
        CloudError: Google refused or did not answer.
    """
    from google.api_core.exceptions import NotFound
    from google.iam.v1.iam_policy_pb2 import GetIamPolicyRequest, SetIamPolicyRequest
    from google.iam.v1.policy_pb2 import Binding

    purpose = _purpose("setting who may call", settings, role="roles/run.admin")
    api = clients.services
    try:
        policy = call(
            api.get_iam_policy, GetIamPolicyRequest(resource=settings.name), purpose=purpose, patience=patience
        )
        invokers = [binding for binding in policy.bindings if binding.role == INVOKER]
        if settings.public == any(EVERYONE in binding.members for binding in invokers):
            return
        if settings.public:
            policy.bindings.append(Binding(role=INVOKER, members=[EVERYONE]))
        for binding in invokers:
            if not settings.public and EVERYONE in binding.members:
                binding.members.remove(EVERYONE)
        request = SetIamPolicyRequest(resource=settings.name, policy=policy)
        call(api.set_iam_policy, request, purpose=purpose, patience=patience)
    except NotFound as error:
        raise CloudError(explained(error, purpose=purpose)) from error


def _purpose(doing: str, settings: ServiceSettings, **role: str) -> Purpose:
    return on_service(doing, settings.service, project=settings.project, region=settings.region, **role)


def _wanted(settings: ServiceSettings, found: Service | None) -> Service:
    from google.cloud.run_v2 import Service
    from google.cloud.run_v2.types import TrafficTarget, TrafficTargetAllocationType

    wanted = Service() if found is None else Service(found)
    if settings.takes_traffic:
        latest = TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
        wanted.traffic = [TrafficTarget(type_=latest, percent=100)]
    elif found is None or not found.latest_ready_revision:
        raise UsageError(
            f"`--no-traffic`: service {settings.service} has no revision yet that could keep the traffic. Leave it out "
            "for the first deploy."
        )
    else:
        pinned = TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
        current = found.latest_ready_revision.rpartition("/")[2]
        wanted.traffic = [TrafficTarget(type_=pinned, revision=current, percent=100)]
    wanted.client = "lt"
    _fill(wanted.template, settings)
    return wanted


def _fill(template: RevisionTemplate, settings: ServiceSettings) -> None:
    from google.cloud.run_v2.types import Container, ContainerPort, EnvVar, ResourceRequirements, RevisionScaling

    if not template.containers:
        template.containers = [Container()]
    container = template.containers[0]
    container.image = settings.image
    container.ports = [ContainerPort(container_port=settings.port)]
    if settings.command:
        container.command = list(settings.command)
    if settings.env:
        container.env = [EnvVar(name=name, value=value) for name, value in settings.env]
    container.resources = ResourceRequirements(
        limits={"cpu": cpu_text(settings.cpu), "memory": f"{settings.memory_mib:g}Mi"},
        cpu_idle=True,
        startup_cpu_boost=settings.cpu_boost,
    )
    template.revision = f"{settings.service}-{settings.revision_suffix}" if settings.revision_suffix else ""
    template.max_instance_request_concurrency = settings.concurrency
    template.timeout = datetime.timedelta(seconds=settings.timeout_s)
    # Zero stands for "no limit of ours" in the API; it then applies the project's own (100 unless raised).
    template.scaling = RevisionScaling(
        min_instance_count=settings.min_instances, max_instance_count=settings.max_instances or 0
    )
