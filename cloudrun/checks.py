"""Say what is missing or risky about a Cloud Run service before a long run, each with the command that cures it."""

from __future__ import annotations

import json
import socket
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cloudrun.calls import call, on_service
from cloudrun.clients import Clients
from cloudrun.describe import Described, describe, place_of
from cloudrun.tokens import REFRESH_BEFORE_S, IdTokens
from recording.errors import CloudError, UsageError

if TYPE_CHECKING:
    from cloudrun.calls import Patience
    from recording.run import Limits

FAR_MS = 20.0
"""A round trip above this is of another region or a slow line: it adds to every latency that is measured."""


INVOKE = "run.routes.invoke"

PERMISSIONS = {
    INVOKE: "roles/run.invoker",
    "run.services.get": "roles/run.viewer",
    "run.services.getIamPolicy": "roles/run.viewer",
}
"""What a run needs of the service itself, and what grants it (https://cloud.google.com/run/docs/reference/iam/roles).
The series need roles/monitoring.viewer on the project; they are asked for."""


class Mark(StrEnum):
    """How a check came out."""

    GOOD = "✓"
    RISKY = "!"
    BAD = "✗"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor: what was looked at, what was found, and the command that cures it ("" when good)."""

    mark: Mark
    name: str
    finding: str
    cure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to look at.

    Attributes:
        service: name or URL.
        project: None: the credentials' own.
        region: None: from the URL.
        endpoint: a local Cloud Run instead of Google.
        run_s: planned length of the run.
        path: where the payload is posted.
        payload: one real request's body.
    """

    service: str
    project: str | None
    region: str | None
    endpoint: str | None
    run_s: float
    path: str
    payload: object


def check_service(asked: Asked, *, patience: Patience | None = None) -> Iterator[Check]:
    """Yield a line for each thing that a run against the service needs; ends early where the rest cannot be known."""
    clients = Clients(asked.endpoint)
    if asked.endpoint is None:
        check = _credentials(clients)
        yield check
        if check.mark is Mark.BAD:
            return
    try:
        project, region = place_of(asked.service, project=asked.project, region=asked.region, clients=clients)
        yield Check(Mark.GOOD, "project", f"{project}, region {region}")
        found = describe(asked.service, project=project, region=region, endpoint=asked.endpoint, patience=patience)
    except UsageError as error:
        yield Check(Mark.BAD, "project", str(error), "gcloud config set project PROJECT; add --region REGION")
        return
    except CloudError as error:
        yield Check(Mark.BAD, "Cloud Run API", str(error), _command_in(str(error)))
        return
    yield Check(Mark.GOOD, "Cloud Run API", f"describes {found.target.service}, revision {found.target.revision}")
    yield check_permissions(found, clients, patience=patience)
    yield _metrics(found, clients, patience)
    yield _ready(found)
    yield from check_limits(found.target.limits, found)
    token, check = _token(found, asked.run_s)
    yield check
    yield _round_trip(found.target.url)
    if check.mark is not Mark.BAD:
        yield check_payload(found.target.url + asked.path, asked.payload, token)


def check_permissions(found: Described, clients: Clients, *, patience: Patience | None = None) -> Check:
    """Ask which of PERMISSIONS this machine's credentials hold on the service."""
    from google.api_core.exceptions import NotFound
    from google.iam.v1.iam_policy_pb2 import TestIamPermissionsRequest

    service, project, region = str(found.target.service), str(found.target.project), str(found.target.region)
    purpose = on_service(
        "asking about permissions on", service, project=project, region=region, role="roles/run.viewer"
    )
    name = f"projects/{project}/locations/{region}/services/{service}"
    request = TestIamPermissionsRequest(resource=name, permissions=list(PERMISSIONS))
    try:
        held = call(clients.services.test_iam_permissions, request, purpose=purpose, patience=patience).permissions
    except (CloudError, NotFound) as error:
        return Check(Mark.BAD, "permissions", str(error), _command_in(str(error)))
    missing = [one for one in PERMISSIONS if one not in held and not (one == INVOKE and found.public)]
    if not missing:
        return Check(Mark.GOOD, "permissions", f"has what a run needs: {', '.join(PERMISSIONS)}")
    grant = f"gcloud run services add-iam-policy-binding {service} --project {project} --region {region} "
    grant += f"--member=user:YOU --role={PERMISSIONS[missing[0]]}"
    return Check(Mark.BAD if INVOKE in missing else Mark.RISKY, "permissions", f"lacks {', '.join(missing)}", grant)


def check_limits(limits: Limits, found: Described) -> Iterator[Check]:
    """Yield a line on each of the service's limits, with a sentence on the risky ones."""
    again = f"python lt.py deploy --service {found.target.service} --project {found.target.project} "
    again += f"--region {found.target.region} "
    again += "--endpoint HOST:PORT" if found.target.kind == "emulator" else "--image IMAGE"
    if limits.min_instances:
        yield Check(Mark.GOOD, "min instances", f"{limits.min_instances}: no cold start at first, billed while idle")
    else:
        said = "0: after a quiet quarter of an hour the first requests wait for an instance to start"
        yield Check(Mark.RISKY, "min instances", said, f"{again} --min-instances 1")
    if limits.max_instances is None:
        said = "none set: a mistake in the load may start as many as the project allows, and bill them"
        yield Check(Mark.RISKY, "max instances", said, f"{again} --max-instances 20")
    else:
        yield Check(Mark.GOOD, "max instances", f"{limits.max_instances}: beyond them requests queue, then get 429")
    cpu, concurrency = limits.cpu or 1.0, limits.concurrency or 80
    if concurrency > 20 * cpu:
        said = f"{concurrency} on {cpu:g} vCPU: a service that computes queues inside the instance before it scales out"
        yield Check(Mark.RISKY, "concurrency", said, f"{again} --concurrency {max(1, round(8 * cpu))}")
    else:
        yield Check(Mark.GOOD, "concurrency", f"{concurrency} on {cpu:g} vCPU")
    if limits.cpu_boost:
        yield Check(Mark.GOOD, "CPU boost", "on: a starting instance gets more CPU")
    else:
        yield Check(Mark.RISKY, "CPU boost", "off: every cold start takes longer", f"{again} --cpu-boost")
    if found.probe == "tcp":
        said = "TCP: passes as soon as the port opens, so the service must load its model before it listens"
        yield Check(Mark.RISKY, "startup probe", said, _probe_cure(found))
    else:
        yield Check(Mark.GOOD, "startup probe", f"{found.probe}: the service itself says when it is ready")


def _credentials(clients: Clients) -> Check:
    try:
        return Check(Mark.GOOD, "credentials", type(clients.credentials).__name__)
    except CloudError as error:
        return Check(Mark.BAD, "credentials", str(error), _command_in(str(error)))


def _metrics(found: Described, clients: Clients, patience: Patience | None) -> Check:
    from cloudrun.metrics import known_metrics

    try:
        known = known_metrics(clients, found.target, patience=patience)
    except CloudError as error:
        return Check(Mark.BAD, "Monitoring API", str(error), _command_in(str(error)))
    return Check(Mark.GOOD, "Monitoring API", f"{len(known)} metrics of Cloud Run can be read")


def _ready(found: Described) -> Check:
    if found.ready:
        return Check(Mark.GOOD, "service", f"ready at {found.target.url}")
    place = f"--project {found.target.project} --region {found.target.region}"
    said = f"its latest revision is not ready: {found.message or 'no reason given'}"
    return Check(Mark.BAD, "service", said, f"gcloud run services logs read {found.target.service} {place}")


def _token(found: Described, run_s: float) -> tuple[str | None, Check]:
    if found.public or found.target.kind == "emulator":
        return None, Check(Mark.GOOD, "ID token", "not needed: everyone may call the service")
    try:
        token = IdTokens(found.target.url).token()
    except CloudError as error:
        return None, Check(Mark.BAD, "ID token", str(error), "gcloud auth login")
    left_s = token.expires_s - time.time()
    if left_s >= run_s:
        return token.text, Check(Mark.GOOD, "ID token", f"lives {left_s / 60:.0f} min, the run {run_s / 60:.0f} min")
    said = (
        f"lives {left_s / 60:.0f} min of the run's {run_s / 60:.0f}: refreshed {REFRESH_BEFORE_S / 60:.0f} min before"
    )
    return token.text, Check(Mark.GOOD, "ID token", said)


def _round_trip(url: str) -> Check:
    """Measure TCP connects to the service's front (they start no instance): the median of five."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    took_ms = []
    try:
        for _ in range(5):
            begun = time.perf_counter()
            socket.create_connection(address, timeout=5).close()
            took_ms.append((time.perf_counter() - begun) * 1000)
    except OSError as error:
        return Check(Mark.BAD, "round trip", f"{address[0]}:{address[1]} does not accept: {error}", f"curl -v {url}")
    median_ms = statistics.median(took_ms)
    if median_ms <= FAR_MS:
        return Check(Mark.GOOD, "round trip", f"{median_ms:.1f} ms: the generator stands near the service")
    said = f"{median_ms:.0f} ms: the generator stands far from the service, and every latency includes it"
    return Check(Mark.RISKY, "round trip", said, "run the generator in the service's region (docs/distributed.md)")


def check_payload(url: str, payload: object, token: str | None) -> Check:
    """Post one real request, which starts an instance where there is none, and say how it was answered.

    It goes directly, whatever proxies the environment names, because the load does.
    """
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, json.dumps(payload).encode(), headers)
    shown = f"curl -i -X POST {url} -H 'Content-Type: application/json' -d @payload.json"
    begun = time.perf_counter()
    try:
        with direct.open(request, timeout=60) as answer:
            took_s = time.perf_counter() - begun
            return Check(Mark.GOOD, "payload", f"answered {answer.status} in {took_s:.2f} s")
    except urllib.error.HTTPError as error:
        said = f"answered {error.code}: {error.read(200).decode(errors='replace')}"
        if error.code in (401, 403):
            shown = "gcloud run services add-iam-policy-binding SERVICE --member=user:YOU --role=roles/run.invoker"
        return Check(Mark.BAD, "payload", said, shown)
    except OSError as error:
        return Check(Mark.BAD, "payload", f"no answer: {error}", shown)


def _probe_cure(found: Described) -> str:
    place = f"--project {found.target.project} --region {found.target.region}"
    return f"gcloud run services update {found.target.service} {place} --startup-probe httpGet.path=/healthz"


def _command_in(sentence: str) -> str:
    """Return the command that an error's sentence quotes last; "" when it quotes none."""
    quoted = sentence.split("`")[1::2]
    return quoted[-1] if quoted else ""
