"""Translate between `google.cloud.run.v2` messages and the emulator's model of services."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud import run_v2
from google.protobuf import json_format

from ...core.quantities import cpu_of, cpu_text, memory_bytes_of, memory_text
from ..model import Labels, Phase, RevisionStatus, RevisionTemplate, ServiceKey, ServiceStatus, StartupProbe
from .fields import CPU_IDLE, EACH, FieldError, Kept, Path, check, is_googles, kept_in, shown

DEFAULT = RevisionTemplate()
DEFAULT_PROBE = StartupProbe()

STATES: dict[Phase, Any] = {
    Phase.DEPLOYING: run_v2.Condition.State.CONDITION_RECONCILING,
    Phase.DELETING: run_v2.Condition.State.CONDITION_RECONCILING,
    Phase.READY: run_v2.Condition.State.CONDITION_SUCCEEDED,
    Phase.FAILED: run_v2.Condition.State.CONDITION_FAILED,
}


class MessageError(Exception):
    """The message requests something unsupported. The API returns the error's text with status INVALID_ARGUMENT."""


def key_of(name: str) -> ServiceKey:
    """Parse the key in `projects/P/locations/L/services/S[/…]`.

    Raises:
        MessageError: the name does not have that form.
    """
    parts = name.split("/")
    if len(parts) < 6 or parts[0::2][:3] != ["projects", "locations", "services"] or not all(parts):
        raise MessageError(f"{name!r} is not projects/PROJECT/locations/LOCATION/services/SERVICE.")
    return ServiceKey(name=parts[5], project=parts[1], location=parts[3])


def full_name(key: ServiceKey) -> str:
    """Return the service's name in the API's spelling."""
    return f"projects/{key.project}/locations/{key.location}/services/{key.name}"


def labels_of(given: Any) -> Labels:
    """Return a map field as sorted pairs."""
    return tuple(sorted(given.items()))


def template_of(service: run_v2.Service) -> RevisionTemplate:
    """Return the revision that a Service message describes, with Cloud Run's defaults for unset fields.

    `min` and `max` instances may be set on the service and on the revision: the larger minimum and the smaller maximum
    apply.

    Raises:
        MessageError: the message requests something that the emulator does not support (several containers, secrets,
            volumes).
    """
    given = service.template
    if len(given.containers) != 1:
        raise MessageError(f"template.containers: the local Cloud Run runs exactly 1, not {len(given.containers)}.")
    if given.volumes:
        raise MessageError("template.volumes: the local Cloud Run mounts none.")
    container = given.containers[0]
    secret = next((variable.name for variable in container.env if variable.value_source), None)
    if secret is not None:
        raise MessageError(f"env {secret}: the local Cloud Run has no secrets; give a plain value.")
    limits = container.resources.limits
    try:
        cpu = cpu_of(limits["cpu"]) if "cpu" in limits else DEFAULT.cpu
        memory_bytes = memory_bytes_of(limits["memory"]) if "memory" in limits else DEFAULT.memory_bytes
    except ValueError as error:
        raise MessageError(f"template.containers[0].resources.limits: {error}.") from None
    least = max(given.scaling.min_instance_count, service.scaling.min_instance_count)
    limits_of = (given.scaling, service.scaling)
    most = min(
        (limit.max_instance_count for limit in limits_of if limit.max_instance_count), default=DEFAULT.max_instances
    )
    if service.scaling.scaling_mode == run_v2.ServiceScaling.ScalingMode.MANUAL:
        least = most = service.scaling.manual_instance_count
    return RevisionTemplate(
        command=tuple(container.command),
        args=tuple(container.args),
        env=tuple(sorted((variable.name, variable.value) for variable in container.env)),
        port=container.ports[0].container_port if container.ports else DEFAULT.port,
        image=container.image,
        cpu=cpu,
        memory_bytes=memory_bytes,
        concurrency=given.max_instance_request_concurrency or DEFAULT.concurrency,
        min_instances=least,
        max_instances=most,
        timeout_s=given.timeout.total_seconds() if given.timeout else DEFAULT.timeout_s,
        cpu_boost=container.resources.startup_cpu_boost,
        startup_probe=_probe_of(container.startup_probe),
        revision_name=given.revision or None,
    )


def check_fields(service: run_v2.Service) -> None:
    """Check that every field of a Service message is applied or stored.

    Raises:
        MessageError: a field is neither applied nor stored; the error's text names the field.
    """
    try:
        check(_document(service), "v2")
    except FieldError as error:
        raise MessageError(f"{error} docs/google-surfaces.md lists the fields that it knows.") from None


def kept_of(service: run_v2.Service) -> tuple[Kept, Kept]:
    """Return those fields of a Service message that are only stored, for the revision and for the service."""
    document = _document(service)
    of_revision = dict(kept_in(document, "v2", of_revision=True))
    container = service.template.containers[0] if service.template.containers else run_v2.Container()
    if "resources" in container and not container.resources.cpu_idle:  # in the API, a missing value means false
        of_revision[CPU_IDLE] = "false"
    else:
        of_revision.pop(CPU_IDLE, None)  # this is the default of the API
    return tuple(sorted(of_revision.items())), kept_in(document, "v2", of_revision=False)


def _document(service: run_v2.Service) -> dict[str, Any]:
    document: dict[str, Any] = json_format.MessageToDict(run_v2.Service.pb(service))
    return document


def _put(message: Any, path: Path, value: Any) -> None:
    """Write a stored value into a message that is returned."""
    for name in path[:-1]:
        message = message[0] if name == EACH else getattr(message, re.sub(r"([A-Z])", r"_\1", name).lower())
    json_format.ParseDict({path[-1]: value}, message)


def _probe_of(probe: run_v2.Probe) -> StartupProbe:
    if "http_get" not in probe and "tcp_socket" not in probe:
        return DEFAULT_PROBE
    return StartupProbe(
        kind="http" if "http_get" in probe else "tcp",
        path=probe.http_get.path or DEFAULT_PROBE.path,
        initial_delay_s=float(probe.initial_delay_seconds),
        period_s=float(probe.period_seconds or 10),
        timeout_s=float(probe.timeout_seconds or 1),
        failure_threshold=probe.failure_threshold or 3,
    )


def traffic_of(service: run_v2.Service) -> str | None:
    """Return the revision that gets all traffic; None means the latest revision that is ready.

    Raises:
        MessageError: the traffic is split; the local Cloud Run sends all traffic to one revision.
    """
    wanted = [target for target in service.traffic if target.percent]
    if len(wanted) > 1:
        raise MessageError("traffic: the local Cloud Run cannot split traffic; it sends 100 % to one revision.")
    return wanted[0].revision.rpartition("/")[2] or None if wanted else None


def shown_template(status: ServiceStatus) -> RevisionTemplate:
    """Return the service's template, with the CPU that was chosen if the template sets none."""
    newest = next((each for each in status.revisions if each.name == status.latest_created_revision), None)
    return replace(status.template, cpu=status.template.cpu or (newest.cpu if newest else None))


def service_message(status: ServiceStatus) -> run_v2.Service:
    """Return the service as a message, as Cloud Run describes it."""
    name = full_name(status.key)
    state, changed = STATES[status.phase], _time(status.updated_s)
    serving = next((revision.name for revision in status.revisions if revision.serving), None)
    allocation = run_v2.TrafficTargetAllocationType
    message = run_v2.Service(
        name=name,
        uid=status.uid,
        generation=status.generation,
        observed_generation=status.observed_generation,
        labels=dict(status.labels),
        annotations={name: text for name, text in status.annotations if not is_googles(name)},
        create_time=_time(status.created_s),
        update_time=changed,
        launch_stage="GA",
        ingress=run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL,
        template=_template_message(shown_template(status)),
        traffic=[
            run_v2.TrafficTarget(
                type_=allocation.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
                if status.traffic
                else allocation.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST,
                revision=status.traffic or "",
                percent=100,
            )
        ],
        traffic_statuses=[
            run_v2.TrafficTargetStatus(
                type_=allocation.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION, revision=serving, percent=100
            )
        ]
        if serving
        else [],
        terminal_condition=_condition("Ready", state, status.message, changed),
        conditions=[
            _condition("RoutesReady", state, "", changed),
            _condition("ConfigurationsReady", state, status.message, changed),
        ],
        latest_ready_revision=_revision_name(name, status.latest_ready_revision),
        latest_created_revision=_revision_name(name, status.latest_created_revision),
        uri=status.url,
        urls=[status.url],
        reconciling=status.phase in (Phase.DEPLOYING, Phase.DELETING),
        etag=f'"{status.generation}"',
    )
    for path, value in shown(status.kept, "v2"):
        _put(run_v2.Service.pb(message), path, value)
    return message


def revision_message(status: ServiceStatus, revision: RevisionStatus) -> run_v2.Revision:
    """Return one revision of the service as a message, as Cloud Run describes it."""
    name = full_name(status.key)
    template = _template_message(replace(revision.template, cpu=revision.template.cpu or revision.cpu))
    state = STATES[revision.phase]
    return run_v2.Revision(
        name=_revision_name(name, revision.name),
        service=status.key.name,
        create_time=_time(revision.created_s),
        scaling=template.scaling,
        max_instance_request_concurrency=template.max_instance_request_concurrency,
        timeout=template.timeout,
        containers=template.containers,
        conditions=[_condition("Ready", state, revision.message, _time(revision.created_s))],
        reconciling=revision.phase is Phase.DEPLOYING,
    )


def _template_message(template: RevisionTemplate) -> run_v2.RevisionTemplate:
    limits = {"memory": memory_text(template.memory_bytes)}
    if template.cpu is not None:
        limits["cpu"] = cpu_text(template.cpu)
    probe = template.startup_probe
    message = run_v2.RevisionTemplate(
        revision=template.revision_name or "",
        scaling=run_v2.RevisionScaling(
            min_instance_count=template.min_instances, max_instance_count=template.max_instances
        ),
        timeout=timedelta(seconds=template.timeout_s),
        max_instance_request_concurrency=template.concurrency,
        containers=[
            run_v2.Container(
                image=template.image,
                command=list(template.command),
                args=list(template.args),
                env=[run_v2.EnvVar(name=name, value=value) for name, value in template.env],
                ports=[run_v2.ContainerPort(name="http1", container_port=template.port)],
                resources=run_v2.ResourceRequirements(
                    limits=limits, cpu_idle=True, startup_cpu_boost=template.cpu_boost
                ),
                startup_probe=run_v2.Probe(
                    initial_delay_seconds=round(probe.initial_delay_s),
                    period_seconds=round(probe.period_s),
                    timeout_seconds=round(probe.timeout_s),
                    failure_threshold=probe.failure_threshold,
                    **(
                        {"http_get": run_v2.HTTPGetAction(path=probe.path)}
                        if probe.kind == "http"
                        else {"tcp_socket": run_v2.TCPSocketAction(port=template.port)}
                    ),
                ),
            )
        ],
    )
    for path, value in shown(template.kept, "v2"):
        _put(run_v2.RevisionTemplate.pb(message), path[1:], value)  # below template
    return message


def _condition(kind: str, state: Any, message: str, changed: datetime) -> run_v2.Condition:
    return run_v2.Condition(type_=kind, state=state, message=message, last_transition_time=changed)


def _revision_name(service: str, revision: str | None) -> str:
    return f"{service}/revisions/{revision}" if revision else ""


def _time(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)
