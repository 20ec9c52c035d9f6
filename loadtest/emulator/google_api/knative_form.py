"""Translate between the Knative v1 form of a Cloud Run service, which gcloud writes, and the emulator's model.

The form: https://cloud.google.com/run/docs/reference/rest/v1/namespaces.services. The Knative form keeps the
autoscaler's limits and the CPU boost in annotations of the template.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ...core.cloud_metrics import PREFIX
from ...core.quantities import cpu_of, cpu_text, memory_bytes_of, memory_text
from ..model import Labels, Phase, RevisionStatus, RevisionTemplate, ServiceStatus, StartupProbe
from .fields import LOCATION, FieldError, Kept, check, kept_in, put, shown
from .messages import DEFAULT, DEFAULT_PROBE, MessageError, shown_template

API_VERSION = "serving.knative.dev/v1"
MIN_SCALE, MAX_SCALE = "autoscaling.knative.dev/minScale", "autoscaling.knative.dev/maxScale"
SERVICE_MIN_SCALE, SERVICE_MAX_SCALE = PREFIX + "minScale", PREFIX + "maxScale"
SCALING_MODE, MANUAL_COUNT = PREFIX + "scalingMode", PREFIX + "manualInstanceCount"
CPU_TARGET = PREFIX + "scaling-cpu-target"
CONCURRENCY_TARGET = PREFIX + "scaling-concurrency-target"
CPU_BOOST = PREFIX + "startup-cpu-boost"
"""Without this annotation the boost is on, as in a deploy by gcloud. gcloud writes `True` and `False`."""
SCALING = frozenset({SERVICE_MIN_SCALE, SERVICE_MAX_SCALE, SCALING_MODE, MANUAL_COUNT})

Cpu = Annotated[float, BeforeValidator(lambda value: cpu_of(str(value)))]
MemoryBytes = Annotated[int, BeforeValidator(lambda value: memory_bytes_of(str(value)))]
_STATUS = {Phase.READY: "True", Phase.FAILED: "False"}


class _Form(BaseModel):
    """The fields that the emulator applies. The module `fields` stores or refuses all other fields."""

    model_config = ConfigDict(extra="ignore")


class Variable(_Form):
    """One environment variable; a variable from a secret has no `value`."""

    name: str
    value: str = ""
    valueFrom: None = None  # noqa: N815 the API itself uses this spelling, in this line and below


class Port(_Form):
    """The port on which the container listens."""

    containerPort: int = DEFAULT.port  # noqa: N815


class HttpGet(_Form):
    """The path of an HTTP probe."""

    path: str = DEFAULT_PROBE.path


class Probe(_Form):
    """A startup probe, with Kubernetes' defaults."""

    initialDelaySeconds: float = 0.0  # noqa: N815
    periodSeconds: float = 10.0  # noqa: N815
    timeoutSeconds: float = 1.0  # noqa: N815
    failureThreshold: int = 3  # noqa: N815
    httpGet: HttpGet | None = None  # noqa: N815


class Amounts(_Form):
    """The limits of one container."""

    cpu: Cpu = 1.0
    memory: MemoryBytes = DEFAULT.memory_bytes


class Resources(_Form):
    """The resources that one container may use."""

    limits: Amounts = Field(default_factory=Amounts)


class Container(_Form):
    """The one container of a revision."""

    image: str = ""
    command: list[str] = Field(default_factory=list)
    args: list[str] = Field(default_factory=list)
    env: list[Variable] = Field(default_factory=list)
    ports: list[Port] = Field(default_factory=list)
    resources: Resources = Field(default_factory=Resources)
    startupProbe: Probe | None = None  # noqa: N815


class Metadata(_Form):
    """Name, labels and annotations of an object."""

    name: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class RevisionSpec(_Form):
    """The containers and settings that a revision runs."""

    containerConcurrency: int | None = None  # noqa: N815
    timeoutSeconds: float = DEFAULT.timeout_s  # noqa: N815
    containers: list[Container] = Field(min_length=1, max_length=1)


class TemplateForm(_Form):
    """The template of a revision."""

    metadata: Metadata = Field(default_factory=Metadata)
    spec: RevisionSpec


class Traffic(_Form):
    """A share of the traffic."""

    percent: int = 0
    revisionName: str | None = None  # noqa: N815
    latestRevision: bool = False  # noqa: N815


class ServiceSpec(_Form):
    """Template and traffic."""

    template: TemplateForm
    traffic: list[Traffic] = Field(default_factory=list)


class ServiceForm(_Form):
    """A service as gcloud sends it. The module `fields` has already checked that every field is known."""

    kind: Literal["Service"] = "Service"
    metadata: Metadata
    spec: ServiceSpec

    def template(self) -> RevisionTemplate:
        """Return the revision that the service requests.

        Raises:
            MessageError: an annotation that must be a number is not a number.
        """
        given, meta = self.spec.template.spec, self.spec.template.metadata
        container = given.containers[0]
        service = self.metadata.annotations
        least = max(_count(meta.annotations, MIN_SCALE, 0), _count(service, SERVICE_MIN_SCALE, 0))
        most = min(
            _count(meta.annotations, MAX_SCALE, DEFAULT.max_instances),
            _count(service, SERVICE_MAX_SCALE, DEFAULT.max_instances),
        )
        if service.get(SCALING_MODE, "automatic").lower() == "manual":
            least = most = _count(service, MANUAL_COUNT, 1)
        return RevisionTemplate(
            command=tuple(container.command),
            args=tuple(container.args),
            env=tuple(sorted((variable.name, variable.value) for variable in container.env)),
            port=container.ports[0].containerPort if container.ports else DEFAULT.port,
            image=container.image,
            cpu=container.resources.limits.cpu,
            memory_bytes=container.resources.limits.memory,
            concurrency=given.containerConcurrency or DEFAULT.concurrency,
            min_instances=least,
            max_instances=most,
            timeout_s=given.timeoutSeconds,
            cpu_boost=_is_true(meta.annotations, CPU_BOOST),
            startup_probe=_probe(container.startupProbe),
            revision_name=meta.name,
            cpu_target_ratio=_ratio(meta.annotations, CPU_TARGET),
            concurrency_target_ratio=_ratio(meta.annotations, CONCURRENCY_TARGET),
        )

    def traffic(self) -> str | None:
        """Return the revision that gets all traffic; None means the latest revision that is ready.

        Raises:
            MessageError: the traffic is split.
        """
        wanted = [share for share in self.spec.traffic if share.percent]
        if len(wanted) > 1:
            raise MessageError("traffic: the local Cloud Run cannot split traffic; it sends 100 % to one revision.")
        return wanted[0].revisionName if wanted and not wanted[0].latestRevision else None


def parse_service(body: bytes) -> ServiceForm:
    """Parse the service in a request's body.

    Raises:
        MessageError: the body is not a service, or has a field that the emulator does not support; the message names
        it.
    """
    try:
        document = json.loads(body)
        form = ServiceForm.model_validate(document)
        check(document, "v1")
        return form
    except FieldError as error:
        raise MessageError(f"{error} docs/google-surfaces.md lists the fields that it knows.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MessageError(
            f"{where}: {first['msg']} (docs/emulator.md lists what the local Cloud Run supports)"
        ) from None
    except (ValueError, RecursionError) as error:
        raise MessageError(f"The body is not JSON: {error}.") from None


def kept_of(body: bytes) -> tuple[Kept, Kept]:
    """Return those fields of a service's document that are only stored, for the revision and for the service."""
    document = json.loads(body)
    return kept_in(document, "v1", of_revision=True), kept_in(document, "v1", of_revision=False)


def labels_of(given: dict[str, str]) -> Labels:
    """Return labels or annotations as sorted pairs, without the location, which is part of the service's key."""
    return tuple(sorted((name, text) for name, text in given.items() if name != LOCATION))


def service_form(status: ServiceStatus) -> dict[str, Any]:
    """Return the service in gcloud's form."""
    key, template = status.key, shown_template(status)
    serving = next((revision.name for revision in status.revisions if revision.serving), None)
    ready = _STATUS.get(status.phase, "Unknown")
    pinned = {"revisionName": status.traffic} if status.traffic else {"latestRevision": True}
    form = {
        "apiVersion": API_VERSION,
        "kind": "Service",
        "metadata": {
            "name": key.name,
            "namespace": key.project,
            "selfLink": f"/apis/{API_VERSION}/namespaces/{key.project}/services/{key.name}",
            "uid": status.uid,
            "resourceVersion": str(status.generation),
            "generation": status.generation,
            "creationTimestamp": _time(status.created_s),
            "labels": {**dict(status.labels), LOCATION: key.location},
            "annotations": dict(status.annotations),
        },
        "spec": {"template": _template_form(template), "traffic": [{"percent": 100, **pinned}]},
        "status": {
            "observedGeneration": status.observed_generation,
            "conditions": [
                _condition(kind, ready, status.message, status.updated_s)
                for kind in ("Ready", "ConfigurationsReady", "RoutesReady")
            ],
            "latestReadyRevisionName": status.latest_ready_revision,
            "latestCreatedRevisionName": status.latest_created_revision,
            "url": status.url,
            "address": {"url": status.url},
            "traffic": [{"percent": 100, "revisionName": serving, **({} if status.traffic else pinned)}]
            if serving
            else [],
        },
    }
    for path, value in shown(status.kept, "v1"):
        put(form, path, value)
    return form


def revision_form(status: ServiceStatus, revision: RevisionStatus) -> dict[str, Any]:
    """Return one revision in gcloud's form."""
    template = _template_form(replace(revision.template, cpu=revision.template.cpu or revision.cpu))
    ready = _STATUS.get(revision.phase, "Unknown")
    conditions = [
        _condition(kind, ready, revision.message, revision.created_s)
        for kind in ("Ready", "ContainerHealthy", "ResourcesAvailable")
    ]
    if revision.serving:
        conditions.append(_condition("Active", "True", "", revision.created_s))
    return {
        "apiVersion": API_VERSION,
        "kind": "Revision",
        "metadata": {
            "name": revision.name,
            "namespace": status.key.project,
            "creationTimestamp": _time(revision.created_s),
            "labels": {
                "serving.knative.dev/service": status.key.name,
                "serving.knative.dev/configuration": status.key.name,
                LOCATION: status.key.location,
            },
            "annotations": template["metadata"]["annotations"],
        },
        "spec": template["spec"],
        "status": {
            "observedGeneration": 1,
            "conditions": conditions,
        },
    }


def _template_form(template: RevisionTemplate) -> dict[str, Any]:
    probe = template.startup_probe
    limits = {"memory": memory_text(template.memory_bytes)}
    if template.cpu is not None:
        limits["cpu"] = cpu_text(template.cpu)
    handler: dict[str, Any] = (
        {"httpGet": {"path": probe.path}} if probe.kind == "http" else {"tcpSocket": {"port": template.port}}
    )
    annotations = {MAX_SCALE: str(template.max_instances), CPU_BOOST: str(template.cpu_boost).lower()}
    for name, ratio in (
        (CPU_TARGET, template.cpu_target_ratio),
        (CONCURRENCY_TARGET, template.concurrency_target_ratio),
    ):
        if ratio is not None:
            annotations[name] = f"{ratio:g}"
    if template.min_instances:
        annotations[MIN_SCALE] = str(template.min_instances)
    form: dict[str, Any] = {
        "metadata": {
            "annotations": annotations,
            **({"name": template.revision_name} if template.revision_name else {}),
        },
        "spec": {
            "containerConcurrency": template.concurrency,
            "timeoutSeconds": round(template.timeout_s),
            "containers": [
                {
                    "image": template.image,
                    **({"command": list(template.command)} if template.command else {}),
                    **({"args": list(template.args)} if template.args else {}),
                    "env": [{"name": name, "value": value} for name, value in template.env],
                    "ports": [{"name": "http1", "containerPort": template.port}],
                    "resources": {"limits": limits},
                    "startupProbe": {
                        **handler,
                        "initialDelaySeconds": round(probe.initial_delay_s),
                        "periodSeconds": round(probe.period_s),
                        "timeoutSeconds": round(probe.timeout_s),
                        "failureThreshold": probe.failure_threshold,
                    },
                }
            ],
        },
    }
    for path, value in shown(template.kept, "v1"):
        put(form, path[2:], value)  # below spec.template
    return form


def _probe(probe: Probe | None) -> StartupProbe:
    if probe is None:
        return DEFAULT_PROBE
    return StartupProbe(
        kind="http" if probe.httpGet else "tcp",
        path=probe.httpGet.path if probe.httpGet else DEFAULT_PROBE.path,
        initial_delay_s=probe.initialDelaySeconds,
        period_s=probe.periodSeconds,
        timeout_s=probe.timeoutSeconds,
        failure_threshold=probe.failureThreshold,
    )


def _count(annotations: dict[str, str], name: str, default: int) -> int:
    text = annotations.get(name, str(default))
    if not text.isdecimal():
        raise MessageError(f"annotation {name}: {text!r} is not a number.")
    return int(text)


def _is_true(annotations: dict[str, str], name: str) -> bool:
    text = annotations.get(name, "true")
    if text.lower() not in ("true", "false"):
        raise MessageError(f"annotation {name}: {text!r} is neither true nor false.")
    return text.lower() == "true"


def _ratio(annotations: dict[str, str], name: str) -> float | None:
    """Return a scaling target as a ratio; None if it is not set.

    The annotation is written as 0.10 to 0.95, or as 10 to 95 (percent).
    """
    text = annotations.get(name)
    if text is None:
        return None
    try:
        ratio = float(text)
    except ValueError:
        ratio = 0.0
    ratio = ratio / 100 if ratio > 1 else ratio
    if not 0.10 <= ratio <= 0.95:
        raise MessageError(f"annotation {name}: {text!r} must be 0.10 to 0.95.")
    return ratio


def _condition(kind: str, status: str, message: str, changed_s: float) -> dict[str, Any]:
    condition = {"type": kind, "status": status, "lastTransitionTime": _time(changed_s)}
    return {**condition, "message": message, "reason": "Failed"} if status == "False" else condition


def _time(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
