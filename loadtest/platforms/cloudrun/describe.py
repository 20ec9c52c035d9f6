"""Look up a Cloud Run service: its URL, the revision that gets the traffic, and that revision's limits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...core.errors import CloudError, UsageError
from ...core.quantities import cpu_of, memory_bytes_of
from ...recording.run import Limits, TargetRecord
from .calls import CallContext, RetryPolicy, call, explained, on_service
from .clients import LOCAL_REGION, Clients

if TYPE_CHECKING:
    from google.cloud.run_v2 import Service

DETERMINISTIC_URL = re.compile(r"(?P<service>[a-z][a-z0-9-]*)-\d+\.(?P<region>[a-z]+-[a-z]+\d+)\.run\.app")
"""`SERVICE-PROJECTNUMBER.REGION.run.app`. The older form `SERVICE-HASH-CODE.a.run.app` does not contain the region."""


@dataclass(frozen=True, slots=True)
class Described:
    """A service, with the data that a run or the doctor needs.

    Attributes:
        target: the record for `run.json`.
        public: whether everyone may call the service; None if our credentials may not read the service's policy.
        probe: kind of the startup probe: `http`, `grpc` or `tcp` (Cloud Run's default).
        ready: whether the service's latest revision is ready.
        message: the message of the service, if the service is not ready.
        audience: the audience of an ID token for the service. This is the service's own URL, even if the URL of a tag
            is called.
    """

    target: TargetRecord
    public: bool | None
    probe: str
    ready: bool
    message: str
    audience: str


def resolve(
    service: str,
    *,
    project: str | None = None,
    region: str | None = None,
    endpoint: str | None = None,
    retry_policy: RetryPolicy | None = None,
) -> TargetRecord:
    """Return the current record of the service that `service` names (a name or a `run.app` URL).

    Raises:
        UsageError: neither the arguments nor this machine's credentials name the project or the region.
        CloudError: Google refused the call or did not answer, or there is no such service.
    """
    return describe(service, project=project, region=region, endpoint=endpoint, retry_policy=retry_policy).target


def describe(
    service: str,
    *,
    project: str | None = None,
    region: str | None = None,
    endpoint: str | None = None,
    retry_policy: RetryPolicy | None = None,
) -> Described:
    """Look up the service. The arguments and errors are the same as in `resolve`."""
    from google.api_core.exceptions import NotFound
    from google.cloud.run_v2 import GetRevisionRequest

    clients = Clients(endpoint)
    project, region = place_of(service, project=project, region=region, clients=clients)
    purpose = on_service("describing", service, project=project, region=region, role="roles/run.viewer")
    try:
        found = _find(clients, service, project=project, region=region, purpose=purpose, retry_policy=retry_policy)
        tagged = next(
            (traffic for traffic in found.traffic_statuses if traffic.uri and traffic.uri == service.rstrip("/")), None
        )
        revision = (_last(tagged.revision) if tagged else "") or _serving(found)
        template: Any = found.template
        if revision and revision != _last(found.latest_created_revision):
            request = GetRevisionRequest(name=f"{found.name}/revisions/{revision}")
            template = call(clients.revisions.get_revision, request, purpose=purpose, retry_policy=retry_policy)
    except NotFound as error:
        raise explained(error, purpose=purpose, retry_policy=retry_policy) from error
    target = TargetRecord(
        kind="emulator" if endpoint else "cloud",
        url=service.rstrip("/") if "://" in service else found.uri,
        service=_last(found.name),
        project=project,
        region=region,
        revision=revision,
        limits=_limits(found, template),
    )
    container = template.containers[0]
    probe = "http" if container.startup_probe.http_get.path else "grpc" if container.startup_probe.grpc.port else "tcp"
    condition = found.terminal_condition
    return Described(
        target=target,
        public=_is_public(clients, found, purpose=purpose, retry_policy=retry_policy),
        probe=probe,
        ready=condition.state.name == "CONDITION_SUCCEEDED",
        message=condition.message,
        audience=found.uri,
    )


def place_of(service: str, *, project: str | None, region: str | None, clients: Clients) -> tuple[str, str]:
    """Return project and region, from the options, the URL or the credentials.

    A local endpoint has its own project and region.

    Raises:
        UsageError: project or region is missing; the message names the option.
    """
    from_url = DETERMINISTIC_URL.fullmatch(urlsplit(service).netloc)
    region = region or (from_url["region"] if from_url else None) or (LOCAL_REGION if clients.endpoint else None)
    if not region:
        raise UsageError("region missing: pass `--region`.")
    project = project or clients.project
    if not project:
        raise UsageError(
            "Give `--project`: this machine's credentials name no project (`gcloud config set project ID`)."
        )
    return project, region


def _find(
    clients: Clients, service: str, *, project: str, region: str, purpose: CallContext, retry_policy: RetryPolicy | None
) -> Service:
    from google.cloud.run_v2 import GetServiceRequest, ListServicesRequest

    parent = f"projects/{project}/locations/{region}"
    if "://" not in service:
        request = GetServiceRequest(name=f"{parent}/services/{service}")
        named: Service = call(clients.services.get_service, request, purpose=purpose, retry_policy=retry_policy)
        return named
    wanted = service.rstrip("/")
    listing = ListServicesRequest(parent=parent)
    while True:
        page = call(clients.services.list_services, listing, purpose=purpose, retry_policy=retry_policy)
        listed: list[Service] = [found for found in page.services if wanted in _urls(found)]
        if listed:
            return listed[0]
        if not page.next_page_token:
            break
        listing.page_token = page.next_page_token
    raise CloudError(
        f"No service of project {project} in {region} has the URL {service}. List what exists: `{purpose.look}`.",
        cure=purpose.look,
    )


def _urls(service: Service) -> set[str]:
    """Return every URL of a service: its own two URLs, and the URLs of its traffic tags."""
    return {service.uri, *service.urls, *(traffic.uri for traffic in service.traffic_statuses if traffic.uri)}


def _serving(service: Service) -> str | None:
    """Return the revision with the largest share of the traffic, or the latest ready revision if none is pinned."""
    latest = _last(service.latest_ready_revision) or None
    shares = [(status.percent, _last(status.revision) or latest) for status in service.traffic_statuses]
    return max(shares, key=lambda share: share[0])[1] if shares else latest


def _limits(service: Service, template: Any) -> Limits:
    given = template.containers[0].resources
    most = [count for count in (template.scaling.max_instance_count, service.scaling.max_instance_count) if count > 0]
    cpu, memory = given.limits.get("cpu"), given.limits.get("memory")
    return Limits(
        cpu=cpu_of(cpu) if cpu else None,
        memory_mib=memory_bytes_of(memory) / 2**20 if memory else None,
        concurrency=template.max_instance_request_concurrency or None,
        min_instances=max(template.scaling.min_instance_count, service.scaling.min_instance_count),
        max_instances=min(most, default=None),
        timeout_s=template.timeout.total_seconds() or None,
        cpu_boost=given.startup_cpu_boost,
        instance_billing=not given.cpu_idle,
        gpu=given.limits.get("nvidia.com/gpu"),
        manual_instances=service.scaling.manual_instance_count or None,
    )


def _is_public(
    clients: Clients, service: Service, *, purpose: CallContext, retry_policy: RetryPolicy | None
) -> bool | None:
    """Return whether everyone may call the service.

    The function reads the policy of the service and sends no request to the service, so no instance starts.
    """
    from google.api_core.exceptions import NotFound
    from google.iam.v1.iam_policy_pb2 import GetIamPolicyRequest

    if service.invoker_iam_disabled:
        return True
    request = GetIamPolicyRequest(resource=service.name)
    try:
        policy = call(clients.services.get_iam_policy, request, purpose=purpose, retry_policy=retry_policy)
    except (CloudError, NotFound):
        return None
    return any("allUsers" in binding.members for binding in policy.bindings if binding.role == "roles/run.invoker")


def _last(name: str) -> str:
    return name.rpartition("/")[2]
