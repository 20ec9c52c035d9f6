"""List every field of a Cloud Run service, and say whether the emulator applies, stores or refuses it.

One table covers both forms of the API. A field that is not in the table is refused, and the error contains its name.
So the emulator never accepts a field and then ignores it.

Sources: https://cloud.google.com/run/docs/reference/rest/v1/namespaces.services,
https://cloud.google.com/run/docs/reference/rpc/google.cloud.run.v2 (google-cloud-run 0.16.2), and the annotations of
gcloud 528 (googlecloudsdk/api_lib/run); all read 2026-11.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from ...core.cloud_metrics import PREFIX

Form = Literal["v1", "v2"]
Path = tuple[str, ...]
Kept = tuple[tuple[str, str], ...]
"""The fields that are only stored: their names in the table and their values as JSON, sorted."""

EACH = "[]"
ANY = "*"  # any one name
REST = "**"  # all fields below this field


class Use(StrEnum):
    """What the emulator does with a field."""

    HONOURED = "honoured"
    KEPT = "kept and shown again"
    REFUSED = "refused by name"
    OUTPUT = "set by the server"


@dataclass(frozen=True, slots=True)
class Field:
    """A field in both forms of the API.

    Attributes:
        v1: its path in the Knative form; () if it is not in that form.
        v2: its path in the JSON of `google.cloud.run.v2.Service`; () if it is not in that form.
        use: what the emulator does with the field.
        why: for a refused field, the feature that the emulator does not have.
        harmless: values of a refused field that are accepted, because they do not request the feature.
        is_flag: whether the field is a boolean, which the Knative form spells as text.
    """

    v1: Path
    v2: Path
    use: Use
    why: str = ""
    harmless: tuple[str, ...] = ()
    is_flag: bool = False

    @property
    def name(self) -> str:
        """The name under which the field is stored."""
        return ".".join(self.v2 or self.v1)

    @property
    def of_revision(self) -> bool:
        """Whether the field belongs to the template, and so to each revision."""
        return self.v2[:1] == ("template",) or self.v1[:2] == ("spec", "template")

    def path(self, form: Form) -> Path:
        """Return the path of the field in one form."""
        return self.v1 if form == "v1" else self.v2


def _path(text: str) -> Path:
    """Split a path at spaces; dots occur in the names of annotations."""
    return tuple(text.split())


def _field(v1: str, v2: str, use: Use, why: str = "", *harmless: str, is_flag: bool = False) -> Field:
    return Field(_path(v1), _path(v2), use, why, harmless, is_flag)


_A, _T = f"metadata annotations {PREFIX}", f"spec template metadata annotations {PREFIX}"
_KNATIVE = "spec template metadata annotations autoscaling.knative.dev/"
_S, _C1, _C2 = "spec template spec ", "spec template spec containers [] ", "template containers [] "
H, K, R, OUT = Use.HONOURED, Use.KEPT, Use.REFUSED, Use.OUTPUT

FIELDS: tuple[Field, ...] = (
    # -- the service --------------------------------------------------------------------------------------------------
    *(_field(name, "", OUT) for name in ("apiVersion", "kind", "status **", "metadata namespace", "metadata selfLink")),
    *(_field(f"metadata {name}", "", OUT) for name in ("uid", "generation", "resourceVersion", "creationTimestamp")),
    *(_field("", name, OUT) for name in ("uid", "generation", "createTime", "updateTime", "deleteTime", "expireTime")),
    *(_field("", name, OUT) for name in ("creator", "lastModifier", "observedGeneration", "terminalCondition **")),
    *(_field("", name, OUT) for name in ("conditions **", "latestReadyRevision", "latestCreatedRevision", "etag")),
    *(_field("", name, OUT) for name in ("trafficStatuses **", "uri", "urls **", "satisfiesPzs", "reconciling")),
    *(_field("", name, OUT) for name in ("threatDetectionEnabled", "client", "clientVersion")),
    _field("metadata name", "name", H),
    _field("metadata labels **", "labels **", H),
    _field("metadata annotations **", "annotations **", H),  # except the annotations listed below
    _field(_A + "minScale", "scaling minInstanceCount", H),
    _field(_A + "maxScale", "scaling maxInstanceCount", H),
    _field(_A + "scalingMode", "scaling scalingMode", H),
    _field(_A + "manualInstanceCount", "scaling manualInstanceCount", H),
    *(
        _field(_A + name, "", OUT)
        for name in ("client-name", "client-version", "operation-id", "urls", "ingress-status")
    ),
    _field("metadata annotations serving.knative.dev/creator", "", OUT),
    _field("metadata annotations serving.knative.dev/lastModifier", "", OUT),
    _field("metadata annotations client.knative.dev/user-image", "", K),
    _field(_A + "description", "description", K),
    _field(_A + "ingress", "", K),
    _field("", "ingress", K),
    _field(_A + "launch-stage", "launchStage", K),
    _field(_A + "invoker-iam-disabled", "invokerIamDisabled", K, is_flag=True),
    _field(_A + "custom-audiences", "", K),
    _field("", "customAudiences **", K),
    _field(_A + "binary-authorization", "", K),
    _field(_A + "binary-authorization-breakglass", "", K),
    _field("", "binaryAuthorization **", K),
    *(_field(_A + f"build-{name}", "", K) for name in ("id", "name", "source-location", "function-target")),
    *(_field(_A + f"build-{name}", "", K) for name in ("image-uri", "environment-variables", "worker-pool")),
    *(_field(_A + f"build-{name}", "", K) for name in ("service-account", "base-image", "enable-automatic-updates")),
    *(_field(_A + name, "", K) for name in ("source-location", "function-target", "image-uri")),
    _field(_A + "enable-automatic-updates", "", K),
    _field("", "buildConfig **", K),
    _field(_A + "iap-enabled", "iapEnabled", R, "has no Identity-Aware Proxy", "false"),
    _field(_A + "default-url-disabled", "defaultUriDisabled", R, "has no other URL", "false"),
    _field(_A + "regions", "multiRegionSettings **", R, "has one place, no regions"),
    _field(_A + "max-surge", "", R, "has no gradual roll-out"),
    _field(_A + "max-unavailable", "", R, "has no gradual roll-out"),
    _field("spec traffic [] percent", "traffic [] percent", H),
    _field("spec traffic [] revisionName", "traffic [] revision", H),
    _field("spec traffic [] latestRevision", "traffic [] type", H),
    _field("spec traffic [] url", "", OUT),
    _field("spec traffic [] tag", "traffic [] tag", R, "has no URL for each tag of the traffic"),
    # -- the revision -------------------------------------------------------------------------------------------------
    _field("spec template metadata name", "template revision", H),
    _field("spec template metadata labels **", "template labels **", K),
    # except the fields that are listed below
    _field("spec template metadata annotations **", "template annotations **", K),
    _field(_KNATIVE + "minScale", "template scaling minInstanceCount", H),
    _field(_KNATIVE + "maxScale", "template scaling maxInstanceCount", H),
    _field(_T + "startup-cpu-boost", _C2 + "resources startupCpuBoost", H),
    _field(_T + "scaling-cpu-target", "", H),
    _field(_T + "scaling-concurrency-target", "", H),
    *(_field(_T + name, "", OUT) for name in ("client-name", "client-version", "operation-id")),
    _field("spec template metadata annotations client.knative.dev/user-image", "", K),
    _field(_T + "cpu-throttling", _C2 + "resources cpuIdle", K, is_flag=True),
    _field(_T + "execution-environment", "", K),
    _field("", "template executionEnvironment", K),
    _field(_T + "vpc-access-connector", "", K),
    _field(_T + "vpc-access-egress", "", K),
    _field(_T + "network-interfaces", "", K),
    _field("", "template vpcAccess **", K),
    _field(_T + "encryption-key", "template encryptionKey", K),
    _field(_T + "post-key-revocation-action-type", "", K),
    _field("", "template encryptionKeyRevocationAction", K),
    _field(_T + "encryption-key-shutdown-hours", "", K),
    _field("", "template encryptionKeyShutdownDuration", K),
    _field(_T + "base-images", "", K),
    _field(_T + "sources", "", R, "builds nothing: give --image"),
    _field(_T + "linux-base-image-update", "", K),
    _field(_T + "sessionAffinity", "template sessionAffinity", R, "has no session affinity", "false"),
    _field(_T + "health-check-disabled", "template healthCheckDisabled", R, "always checks the start", "false"),
    _field(_T + "cloudsql-instances", "", R, "has no Cloud SQL"),
    _field(_T + "secrets", "", R, "has no secrets"),
    _field(_T + "container-dependencies", "", R, "runs exactly 1 container"),
    _field(_T + "gpu-zonal-redundancy-disabled", "template gpuZonalRedundancyDisabled", R, "has no GPU"),
    _field(_T + "mesh", "template serviceMesh **", R, "has no service mesh"),
    _field(_T + "mesh-dataplane", "", R, "has no service mesh"),
    _field(_T + "identity", "", R, "has no workload identity"),
    _field(_T + "enable-workload-certificate", "", R, "has no workload identity"),
    _field(_T + "overflow-scaling", "", R, "does not scale by that"),
    _field(_S + "containerConcurrency", "template maxInstanceRequestConcurrency", H),
    _field(_S + "timeoutSeconds", "template timeout", H),
    _field(_S + "serviceAccountName", "template serviceAccount", K),
    _field(_S + "volumes **", "template volumes **", R, "mounts no volumes"),
    _field(_S + "nodeSelector **", "template nodeSelector **", R, "has no GPU"),
    _field(_S + "runtimeClassName", "", R, "has no runtime classes"),
    _field(_S + "enableServiceLinks", "", R, "has no service links", "false"),
    # -- the container ------------------------------------------------------------------------------------------------
    _field(_C1 + "name", _C2 + "name", K),
    _field(_C1 + "image", _C2 + "image", H),
    _field(_C1 + "command **", _C2 + "command **", H),
    _field(_C1 + "args **", _C2 + "args **", H),
    _field(_C1 + "env [] name", _C2 + "env [] name", H),
    _field(_C1 + "env [] value", _C2 + "env [] value", H),
    _field(_C1 + "env [] valueFrom **", _C2 + "env [] valueSource **", R, "has no secrets; give a plain value"),
    _field(_C1 + "envFrom **", "", R, "has no config maps or secrets"),
    _field(_C1 + "ports [] containerPort", _C2 + "ports [] containerPort", H),
    _field(_C1 + "ports [] name", _C2 + "ports [] name", R, "speaks HTTP/1 to the container", "http1"),
    _field(_C1 + "ports [] protocol", "", R, "speaks HTTP/1 to the container", "TCP"),
    _field(_C1 + "resources limits cpu", _C2 + "resources limits cpu", H),
    _field(_C1 + "resources limits memory", _C2 + "resources limits memory", H),
    _field(_C1 + "resources limits *", _C2 + "resources limits *", R, "has no GPU and no other resources"),
    _field(_C1 + "resources requests **", "", K),
    _field(_C1 + "startupProbe grpc **", _C2 + "startupProbe grpc **", R, "probes by TCP or HTTP"),
    _field(_C1 + "startupProbe **", _C2 + "startupProbe **", H),
    _field(_C1 + "livenessProbe **", _C2 + "livenessProbe **", K),
    _field(_C1 + "readinessProbe **", _C2 + "readinessProbe **", R, "has no readiness probe"),
    _field(_C1 + "volumeMounts **", _C2 + "volumeMounts **", R, "mounts no volumes"),
    _field(_C1 + "workingDir", _C2 + "workingDir", R, "runs the command in the folder in which it was started itself"),
    _field("", _C2 + "dependsOn **", R, "runs exactly 1 container"),
    _field(_C1 + "securityContext **", "", R, "runs the command as you"),
    _field(_C1 + "imagePullPolicy", "", R, "pulls no images"),
    _field("", _C2 + "sourceCode **", R, "builds nothing: give an image"),
    _field("", _C2 + "baseImageUri", K),
    _field("", _C2 + "buildInfo **", K),
)

_GOOGLES = (PREFIX, "autoscaling.knative.dev/", "cloud.googleapis.com/")
"""Annotations with these prefixes have a meaning for Cloud Run; all others are annotations of the user."""

LOCATION = "cloud.googleapis.com/location"

CPU_IDLE = "template.containers.[].resources.cpuIdle"
"""The field that decides whether the CPU is throttled between requests, by its name in the table."""


def is_googles(annotation: str) -> bool:
    """Whether an annotation of the Knative form has a meaning for Cloud Run.

    The v2 form has fields instead of such annotations.
    """
    return annotation.startswith(_GOOGLES)


class FieldError(Exception):
    """The field is refused or unknown. The API returns the message with status INVALID_ARGUMENT."""


def check(document: Mapping[str, Any], form: Form) -> None:
    """Check that every field of a service's document is applied or stored.

    Raises:
        FieldError: a field is refused; the message names the first such field and the reason.
    """
    for path, value in _said(document):
        found = find(path, form)
        shown = ".".join(path).replace(f".{EACH}", "[]")
        if found is None:
            raise FieldError(f"{shown}: the local Cloud Run does not know this field.")
        if found.use is Use.REFUSED and str(value).lower() not in {word.lower() for word in found.harmless}:
            raise FieldError(f"{shown}: the local Cloud Run {found.why}.")


def find(path: Path, form: Form) -> Field | None:
    """Return the table's most specific field for a path; None if there is none."""
    best: Field | None = None
    for field in FIELDS:
        pattern = field.path(form)
        if pattern and _fits(pattern, path) and (best is None or _exactness(pattern) > _exactness(best.path(form))):
            best = field
    if best is not None and best.path(form)[-1] == REST and "annotations" in path:
        name = path[-1]
        if name.startswith(_GOOGLES) and name != LOCATION:
            return None
    return best


def kept_in(document: Mapping[str, Any], form: Form, *, of_revision: bool) -> Kept:
    """Return those fields of a document that are only stored, either for the revision or for the service."""
    found = {}
    for field in FIELDS:
        path = field.path(form)
        if field.use is not Use.KEPT or field.of_revision is not of_revision or not path:
            continue
        value = _get(document, path[:-1] if path[-1] == REST else path)
        if path[-2:] == ("annotations", REST):
            value = {name: text for name, text in (value or {}).items() if not name.startswith(_GOOGLES)}
        if value in (None, "", [], {}):
            continue
        if field.is_flag:
            value = str(value).lower() == "true"
        found[field.name] = json.dumps(value, sort_keys=True)
    return tuple(sorted(found.items()))


def carried(before: Kept, now: Kept, form: Form) -> Kept:
    """Return the stored fields after an update in one form of the API. Fields that only the other form has are kept."""
    unspoken = {field.name for field in FIELDS if field.use is Use.KEPT and not field.path(form)}
    return tuple(sorted({**{name: text for name, text in before if name in unspoken}, **dict(now)}.items()))


def shown(kept: Kept, form: Form) -> Iterator[tuple[Path, Any]]:
    """Yield path and value of the stored fields that this form has."""
    by_name = {field.name: field for field in FIELDS if field.use is Use.KEPT}
    for name, text in kept:
        path, value = by_name[name].path(form), json.loads(text)
        if not path:
            continue
        if by_name[name].is_flag and form == "v1":
            value = "true" if value else "false"
        yield (path[:-1] if path[-1] == REST else path), value


def put(document: dict[str, Any], path: Path, value: Any) -> None:
    """Write a value into a document; an object is merged with the existing object."""
    place: Any = document
    for name in path[:-1]:
        place = place[0] if name == EACH else place.setdefault(name, {})
    if isinstance(value, dict) and isinstance(place.get(path[-1]), dict):
        place[path[-1]].update(value)
    else:
        place[path[-1]] = value


def _said(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield each leaf that has a value. Nulls and empty lists, objects and texts are left out."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _said(inner, (*path, str(name)))
    elif isinstance(value, list):
        for inner in value:
            yield from _said(inner, (*path, EACH))
    elif value not in (None, ""):
        yield path, value


def _fits(pattern: Path, path: Path) -> bool:
    if pattern[-1] == REST:
        return len(path) >= len(pattern) - 1 and _fits_exactly(pattern[:-1], path[: len(pattern) - 1])
    return _fits_exactly(pattern, path)


def _fits_exactly(pattern: Path, path: Path) -> bool:
    return len(pattern) == len(path) and all(a in (ANY, b) for a, b in zip(pattern, path, strict=True))


def _exactness(pattern: Path) -> tuple[int, int]:
    return len(pattern) - (pattern[-1] == REST), sum(name not in (ANY, REST) for name in pattern)


def _get(document: Any, path: Path) -> Any:
    for name in path:
        if name == EACH:
            document = document[0] if isinstance(document, list) and document else None
        else:
            document = document.get(name) if isinstance(document, Mapping) else None
    return document
